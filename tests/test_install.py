"""`pip install satclip` without any extra: what works, and how the rest says what it needs.

The environment is a real one, with the Python of the tests: a bare venv, into which those distributions are linked that
the metadata of satclip asks for without an extra, and what they ask for in turn.
"""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Iterator
from functools import partial
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

import pytest
import torch
from packaging.requirements import Requirement

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).parents[1]
EXTRA = r"pip install 'satclip\["


def wanted(requirements: Iterator[Requirement] | list[Requirement], found: dict[str, Distribution]) -> None:
    """Add the distributions that requirements name, and theirs."""
    for requirement in requirements:
        extras = requirement.extras or {""}
        name = requirement.name.lower().replace("_", "-")
        if requirement.marker is not None and not any(requirement.marker.evaluate({"extra": e}) for e in ("", *extras)):
            continue
        if name not in found:
            found[name] = distribution(requirement.name)
            of_it = [Requirement(each) for each in found[name].requires or ()]
            wanted([each for each in of_it if each.marker is None or any(
                each.marker.evaluate({"extra": extra}) for extra in extras
            )], found)  # fmt: skip


def top_level(one: Distribution) -> set[str]:
    """Names of the files and folders in site-packages that a distribution installed."""
    return {file.parts[0] for file in one.files or () if file.parts[0] not in ("..", "__pycache__", "bin")}


def environment(root: Path, *extras: str) -> Path:
    """The Python of an environment that holds the core and these extras, and nothing else."""
    venv.create(root / "venv", symlinks=True)
    site = root / "venv" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    found: dict[str, Distribution] = {}
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    for group in (project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)):
        wanted([Requirement(each) for each in group], found)
    assert "lightning" not in found
    for one in found.values():
        for name in top_level(one):
            if not (site / name).exists():
                (site / name).symlink_to(Path(str(one.locate_file(name))))
    (site / "satclip.pth").write_text(f"{PROJECT / 'src'}\n")
    python = root / "venv" / "bin" / "python"
    listed = subprocess.run(
        [python, "-c", "import sys; print(sys.path)"], check=True, capture_output=True, text=True, env=bare()
    )
    assert sysconfig.get_paths()["purelib"] not in listed.stdout
    return python


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the core and nothing else."""
    return environment(tmp_path_factory.mktemp("core"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and the inputs of the commands."""
    root = tmp_path_factory.mktemp("work")
    torch.manual_seed(0)
    LocationEncoder(SphericalHarmonics(6), partial(Siren, hidden_dim=16), 8).save_pretrained(root / "model")
    (root / "p.csv").write_text("lon,lat,y\n2,48,1\n3,49,2\n")
    for name in ("p.parquet", "p.gpkg", "p.geojson"):
        (root / name).touch()
    (root / "run" / ".hydra").mkdir(parents=True)
    (root / "run" / ".hydra" / "overrides.yaml").write_text("- a=1\n")
    (root / "run" / ".hydra" / "hydra.yaml").write_text("hydra: {runtime: {cwd: .}}\n")
    return root


def bare() -> dict[str, str]:
    """The environment, less what would bring the tests' own packages in."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def answered(core: Path, folder: Path, script: str) -> Any:
    done = subprocess.run([core, "-c", script], cwd=folder, env=bare(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_core_alone_loads_and_embeds_as_the_whole_does(core: Path, folder: Path) -> None:
    found = answered(core, folder, """
import json, sys, torch, satclip
encoder = satclip.load_location_encoder("model")
places = torch.tensor([[2.0, 48.0], [-70.0, -33.0]], dtype=torch.float64)
with torch.no_grad():
    print(json.dumps([encoder(places).tolist(), sorted(name for name in sys.modules if "." not in name)]))
""")  # fmt: skip
    numbers, modules = found
    encoder = LocationEncoder.from_pretrained(folder / "model")
    with torch.no_grad():
        expected = encoder(torch.tensor([[2.0, 48.0], [-70.0, -33.0]], dtype=torch.float64))
    assert torch.allclose(torch.tensor(numbers, dtype=expected.dtype), expected, atol=1e-6)
    assert not {"lightning", "hydra", "numba", "timm", "torchgeo", "rasterio"} & set(modules)


WORKS = [
    ["info", "model"], ["info", "blue-marble"], ["models"],
    ["grid", "--model", "model", "--resolution", "30", "-o", "w.npy"],
    ["export", "model", "--format", "pt2", "-o", "e.pt2"],
    ["export", "model", "--format", "safetensors", "-o", "e.safetensors"],
]  # fmt: skip
NEEDS = {
    "cli": [
        *(["embed", f"p.{kind}", "--model", "model", "-o", f"e{end}"]
          for kind, end in (
              ("csv", ".csv"), ("csv", ".npy"), ("parquet", ".parquet"), ("gpkg", ".csv"), ("geojson", ".npy")
          )),
        ["embed", "p.csv", "--model", "model", "-o", "e.parquet", "--engine", "ray"],
        ["grid", "--model", "model", "--resolution", "30", "-o", "w.tif"],
        ["grid", "--model", "model", "--resolution", "30", "-o", "w.zarr"],
        ["map", "--model", "model", "-o", "m.png"],
        ["similar", "--model", "model", "--lon", "2", "--lat", "48", "-o", "s.png"],
        ["similar", "--model", "model", "--lon", "2", "--lat", "48", "-o", "s.csv"],
        ["map", "--model", "model", "--bounds", "5", "43", "16", "49", "--points", "p.csv", "-o", "m.png"],
        ["grid", "--model", "blue-marble", "--resolution", "30", "--land", "-o", "w.npy"],
    ],
    "evaluate": [["evaluate", "model", "-o", "scores"], ["probe", "model", "p.csv", "--target", "y"]],
    "export": [["export", "model", "--format", "onnx", "-o", "e.onnx"]],
    "train": [["resume", "run"], ["train", "seed=1"], ["predict", "p.csv", "--model", "model"]],
}  # fmt: skip


def test_every_command_works_or_names_what_to_install_in_one_line(core: Path, folder: Path) -> None:
    wanted = [(None, words) for words in WORKS] + [(extra, words) for extra in NEEDS for words in NEEDS[extra]]
    found = answered(core, folder, f"""
import contextlib, io, json
from satclip.cli.run import run
told = []
for words in json.loads({json.dumps([words for _, words in wanted])!r}):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        code = run(words)
    told.append((code, said.getvalue()))
print(json.dumps(told))
""")  # fmt: skip
    for (extra, words), (code, said) in zip(wanted, found, strict=True):
        if extra is None:
            assert code == 0, (words, said)
        else:
            assert code == 1, (words, said)
            assert len(said.splitlines()) == 1, (words, said)
            assert f"pip install 'satclip[{extra}]'" in said, (words, said)
    assert sorted(path.name for path in folder.glob("[ewms].*")) == ["e.pt2", "e.safetensors", "w.npy"]


API = [
    "from satclip import S2DataModule", "from satclip import ContrastiveModule", "import satclip.data.datamodule",
    "from satclip.data.sources.download import fetch", "import satclip.training.module", "import satclip.plots",
    "from satclip.plots.world import world", "import satclip.runs.run", "from satclip.vision import TimmBackbone",
    "from satclip.vision import MocoBackbone", "from satclip.geography.countries import countries; countries()",
]  # fmt: skip


def test_what_the_core_cannot_do_from_python_names_what_to_install(core: Path, folder: Path) -> None:
    found = answered(core, folder, f"""
import json
told = []
for line in json.loads({json.dumps(API)!r}):
    try:
        exec(line)
        told.append("nothing")
    except ModuleNotFoundError as error:
        told.append(str(error))
print(json.dumps(told))
""")  # fmt: skip
    for line, said in zip(API, found, strict=True):
        assert "pip install 'satclip[" in said, (line, said)


CORE_IS_ENOUGH = (
    "scripts/draw_explorer.py",
    "scripts/release.py",
    "scripts/write_outlines.py",
)  # for their help, and a check


@pytest.mark.parametrize(
    "script", ["train.py", "evaluate.py", *sorted(f"scripts/{p.name}" for p in (PROJECT / "scripts").glob("*.py"))]
)
def test_programs_of_the_checkout_name_what_to_install_in_one_line(core: Path, folder: Path, script: str) -> None:
    done = subprocess.run(
        [core, PROJECT / script, "--help"], cwd=folder, env=bare(), capture_output=True, text=True, check=False
    )
    if script in CORE_IS_ENOUGH:
        assert (done.returncode, done.stderr) == (0, "")
        return
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "pip install 'satclip[" in done.stderr


def test_the_extras_of_the_benchmark_probe_and_evaluate_without_the_framework(folder: Path, tmp_path: Path) -> None:
    python = environment(tmp_path, "cli", "evaluate")
    (folder / "labels.csv").write_text(
        "lon,lat,y\n" + "".join(f"{7 * n % 360 - 180},{11 * n % 120 - 50},{n % 17}\n" for n in range(150))
    )
    few = ["--rivals", "none"]
    for words in (
        ["probe", "model", "labels.csv", "--target", "y", *few],
        ["evaluate", "model", "--task", "country", "--draws", "2", "--labels", "30", *few, "-o", "scores"],
    ):
        done = subprocess.run(
            [python, "-c", "import sys; from satclip.cli.run import run; sys.exit(run(sys.argv[1:]))", *words],
            cwd=folder, env=bare(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert (folder / "scores" / "report.html").is_file()
