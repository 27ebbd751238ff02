"""Every block of code in README and docs runs, composes or parses: what a page says to type can be typed."""

import ast
import itertools
import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pydoc import locate

import click
import hydra
import numpy as np
import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from markdown_it import MarkdownIt
from omegaconf import OmegaConf

from satclip.cli.app import app
from satclip.downstream.benchmark.fitted import Fitted
from satclip.downstream.rivals import Frozen, source
from satclip.runs import evaluating, hydra_setup
from satclip.runs.sweeping import wandb_file

PROJECT = Path(__file__).parents[1]
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), *PROJECT.glob(".github/**/*.md")])
HISTORY = ("CHANGELOG.md", "docs/decisions.md")  # they may name what is gone
CONFIGS = {"train.py": "train", "evaluate.py": "evaluate", "scripts/cache_features.py": "cache_features"}
LAUNCHERS = ("python", "torchrun", "srun")
OTHERS = {"npm", "jq"}  # programs that are not ours to check
LANGUAGES = {"python", "sh", "bash", "yaml", "json", "text"}
SHELL, INLINE = ("sh", "bash"), "inline"
SLOW = {"docs/regions.md", "docs/reference/benchmark.md"}  # maps of the world, a benchmark
SMALLER = {"torch.randn(32,": "torch.randn(2,"}  # rows of a batch


@dataclass(frozen=True)
class Block:
    """A block of code, or a command within a sentence."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """What CommonMark calls code on a page; within sentences only what begins as a command of ours."""
    name = str(page.relative_to(PROJECT))
    for token in MarkdownIt().enable("table").parse(page.read_text()):
        line = token.map[0] + 1 if token.map else 0
        if token.type == "fence":
            yield Block(name, line, token.info.strip(), token.content)
        elif token.type == "code_block" and re.match(r"(python|satclip|make) ", token.content):
            yield Block(name, line, "sh", token.content)
        elif token.type == "inline" and name not in HISTORY:
            for child in token.children or []:
                if child.type == "code_inline" and re.match(
                    r"(python \S+\.py|satclip [a-z]|make [a-z])", child.content
                ):
                    yield Block(name, line, INLINE, child.content)


BLOCKS = [block for page in PAGES for block in blocks(page)]
EXAMPLES = [
    Block(
        f"satclip {name} --help", 0, "sh", "\n".join(re.findall(r"^  (\S*satclip .+|RAY.+)$", each.epilog or "", re.M))
    )
    for name, each in [*app.commands.items(), ("", app)]
]


def of(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


def commands(text: str) -> Iterator[list[str]]:
    """The words of each simple command, without assignments before it and redirections after it."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        for separator, group in itertools.groupby(words, lambda word: word in ("&&", "||", "|", ";", "&")):
            command = list(itertools.dropwhile(lambda word: re.match(r"\w+=", word), group))
            if command and not separator:
                yield command


@cache
def packaged() -> str:
    """The fingerprint of the packaged model, whose probe a page uses."""
    row = source("blue-marble")
    assert isinstance(row, Frozen)
    return row.fingerprint


@pytest.fixture
def here(tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with what the pages name: a checkpoint, a store of features, a table of vectors, a probe."""
    monkeypatch.chdir(tmp_path)
    run = Path("outputs/blue_marble/.../checkpoints")  # three dots are a name like any other
    run.mkdir(parents=True)
    shutil.copy(reference / "official_format_l10.ckpt", run / "best.ckpt")
    bands = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]
    facts = {"format": 1, "kind": "features", "bands": bands, "image_size": 224, "dim": 384}
    for store in (Path("data/s2_100k_vit16"), Path("data/blue_marble_statistics")):
        store.mkdir(parents=True)
        (store / "manifest.json").write_text(json.dumps(facts))
    np.save("data/geoclip.npy", np.ones((3, 512), np.float32))
    Fitted(np.ones((512, 1)), np.ones(1), None, {"fingerprint": packaged()}).save(Path("yield.npz"))
    Path("data/geoclip.csv").write_text("lon,lat\n1,2\n3,4\n5,6\n")


@cache
def compose(script: str, *given: str) -> None:
    """Compose what `python SCRIPT GIVEN` would run; of a multirun the first job and the last."""
    hydra_setup.register()
    options = [word for word in given if word not in ("-m", "--multirun", "...")]
    if script == "evaluate.py":
        options = evaluating.arguments(options)
    parsed = OverridesParser.create().parse_overrides(options)
    swept = [each for each in parsed if each.is_sweep_override()]
    assert not swept or options != list(given), f"{swept[0].input_line}: several values need -m"
    fixed = ["output_dir=outputs", *["store=store"] * (script == "scripts/cache_features.py")]
    fixed += [each.input_line for each in parsed if not each.is_sweep_override()]
    for end in (0, -1) if swept else (0,):
        job = [f"{each.get_key_element()}={list(each.sweep_string_iterator())[end]}" for each in swept]
        with hydra.initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
            OmegaConf.resolve(hydra.compose(CONFIGS[script], overrides=[*fixed, *job]))


def parse(words: Sequence[str], *, whole: bool) -> None:
    """Parse `satclip WORDS` as click does; files that must be there are made first."""
    assert words[0] in app.commands, f"satclip has no command {words[0]}"
    command, given = app.commands[words[0]], list(words[1:])
    if not whole:  # in a sentence: only the names of options
        known = {name for option in command.params for name in option.opts}
        assert command.name == "train" or not {word for word in given if word.startswith("--")} - known
        return
    context = click.Context(command, **command.context_settings)
    values = command.make_parser(context).parse_args(list(given))[0]
    for option in command.params:
        value = values.get(str(option.name))
        if isinstance(option.type, click.Path) and option.type.exists and value:
            for path in map(Path, [value] if isinstance(value, str) else value):
                is_file = option.type.file_okay and path.suffix
                (path.parent if is_file else path).mkdir(parents=True, exist_ok=True)
                if is_file:
                    path.touch()
    command.make_context(command.name, given)
    if command.name == "train" and not {"--help", "--cfg"} & set(given):
        compose("train.py", *given)


def run_script(words: Sequence[str]) -> None:
    """Compose `SCRIPT OPTIONS`, or find each of its options in its source."""
    script, *given = words[next(at for at, word in enumerate(words) if word.endswith(".py")) :]
    assert (PROJECT / script).is_file(), f"there is no {script}"
    if script not in CONFIGS:
        for option in (word for word in given if word.startswith("--") and word != "--help"):
            assert f'"{option}"' in (PROJECT / script).read_text(), f"{script} has no {option}"
    elif not {"--help", "--cfg", "--config-dir"} & set(given):
        compose(script, *given)


def check(words: Sequence[str], *, whole: bool = True) -> None:
    """Raise unless this command line could run."""
    program, rest = words[0], words[1:]
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
        assert all(word in targets or "=" in word for word in rest), f"make has no target {rest}"
    elif program == "satclip":
        parse(rest, whole=whole)
    elif program in LAUNCHERS:
        run_script(rest)
    elif program == "wandb":
        if rest[0] == "sweep":
            wandb_file.read(PROJECT / rest[1])
    elif program == "pip":
        extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        asked = {extra for word in rest for extra in re.findall(r"satclip\[(.+)\]", word) for extra in extra.split(",")}
        assert asked <= extras.keys(), f"no such extra: {asked - extras.keys()}"
    elif program == "cd":
        assert (PROJECT / rest[0]).is_dir(), f"there is no folder {rest[0]}"
    else:
        assert program in OTHERS, f"no program {program}"


def test_every_block_says_its_language() -> None:
    assert [f"{each} [{each.language}]" for each in BLOCKS if each.language not in (*LANGUAGES, INLINE)] == []
    assert len(of("sh")) > 20


@pytest.mark.parametrize("block", [*of(*SHELL, INLINE), *EXAMPLES], ids=str)
def test_what_a_page_says_to_type_can_be_typed(block: Block, here: None) -> None:
    for words in commands(block.text):
        if block.language != "bash" or words[0] in LAUNCHERS:  # a whole script has more than commands of ours
            check(words, whole=block.language != INLINE)


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_a_page_imports_what_is_there(block: Block) -> None:
    for node in (each for each in ast.walk(ast.parse(block.text)) if isinstance(each, ast.ImportFrom)):
        for name in (alias.name for alias in node.names):
            assert hasattr(import_module(str(node.module)), name) or find_spec(f"{node.module}.{name}"), name


RUN = [pytest.param(page, marks=[pytest.mark.slow] * (page in SLOW)) for page in sorted({b.page for b in of("python")})]


@pytest.mark.parametrize("page", RUN)
def test_the_python_of_a_page_runs_from_top_to_bottom(page: str, here: None) -> None:
    space: dict[str, object] = {}
    for block in (each for each in of("python") if each.page == page):
        code = block.text
        for large, small in SMALLER.items():
            code = code.replace(large, small)
        exec(compile("\n" * block.line + code, page, "exec"), space)  # errors name the line of the page


@pytest.mark.parametrize("block", of("yaml", "json"), ids=str)
def test_a_file_that_a_page_shows_names_what_is_there(block: Block) -> None:
    for target in re.findall(r"_target_: ([\w.]+)", yaml.safe_dump(yaml.safe_load(block.text))):
        assert locate(target) is not None, target


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("python train.py experiment=blue_marbel", "blue_marbel"),
        ("python train.py pe_type.first_omgea=3", "first_omega"),
        ("python train.py legendre_polys=10,20", "several values need -m"),
        ("python train.py -m experiment=blue_marble legendre_polys=10,200", "200"),
        ("python evaluate.py model=best.ckpt protocol=complete", "complete"),
        ("python scripts/write_shards.py a b --levle 9", "no --levle"),
        ("python scripts/write_shard.py a b", "there is no"),
        ("satclip embde places.csv", "no command embde"),
        ("satclip map --model best.ckpt --bound 1 2 3 -o a.png", "No such option .--bound"),
        ("satclip embed places.csv --model best.ckpt --dtype float99 -o a.npy", "float99"),
        ("make trian", "trian"),
        ("pip install 'satclip[maps]'", "maps"),
        ("wandb sweep sweeps/none.yaml", "no sweep file"),
        ("cd src/stclip", "no folder"),
        ("stclip info best.ckpt", "no program"),
    ],
)
def test_a_line_that_cannot_be_typed_is_found(line: str, said: str, here: None) -> None:
    (words,) = commands(line)
    with pytest.raises((AssertionError, click.UsageError, HydraException, FileNotFoundError), match=said):
        check(words)
