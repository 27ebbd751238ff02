"""Whatever is thrown at the command, it ends with an exit code and a line, and leaves nothing that looks whole."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

from satclip.checkpoint import load_location_encoder
from satclip.cli import main

hypothesis = pytest.importorskip("hypothesis", reason="property tests need `pip install 'satclip[dev]'`")
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of torch and pyarrow, about files of other kinds

NUMBERS = ["nan", "inf", "-inf", "0", "-1", "5e-324", "1e-6", "1e999", "9" * 30, "1,5", ""]
ANY_TEXT = st.text(st.characters(exclude_characters="/\0", max_codepoint=0x2FFF, categories=None), max_size=8)
ODD = [*NUMBERS, "cuda", "lon", "\x1b[31m", "EPSG:0", "\udcff"]
VALUES = st.sampled_from(ODD) | ANY_TEXT  # no slash: what looks like a name on the hub would be asked for there
ENDINGS = {
    "grid": [".npy", ".tif", ".zarr", ".TIF", "\udcff.npy"],
    "embed": [".npy", ".csv", ".csv.gz", ".parquet"],
    "map": [".png", ".svg"],
    "similar": [".png", ".svg"],
    "export": ["", ".pt2"],
}
OPTIONS = {  # and values that are right
    "info": {"--json": [], "--bounds": ["0"]},
    "grid": {
        "--resolution": ["30", "45"],
        "--bounds": ["0"],
        "--device": ["auto", "cpu"],
        "--dtype": ["float16", "float64"],
    },
    "embed": {
        "--lon": ["lon"],
        "--lat": ["lat"],
        "--crs": ["EPSG:4326", "EPSG:3857"],
        "--layer": ["a"],
        "--bad": ["drop", "nan"],
        "--batch-size": ["1", "1000"],
        "--dtype": ["float16", "float64"],
        "--device": ["cpu"],
        "--workers": ["1"],
    },
    "map": {"--device": ["cpu"], "--resolution": ["29.5"], "--bounds": ["0"], "--size": ["1"], "--dpi": ["30"]},
    "similar": {"--lon": ["13.4"], "--lat": ["52.5"], "--device": ["cpu"], "--resolution": ["29.5"], "--top": ["3"]},
    "export": {"--format": ["safetensors", "pt2"], "--dtype": ["float32", "float64"]},
}
NEEDED = {"map": ["--resolution"], "similar": ["--resolution", "--lon", "--lat"], "export": ["--format"]}
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def mostly(draw: st.DrawFn, right: list[str], wild: st.SearchStrategy[str]) -> str:
    """Three times out of four what is right, so that what is wrong is not stopped by something else that is."""
    return draw(st.sampled_from(right) if draw(st.integers(0, 3)) else wild)


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command and some of its options, half of their values right. MODEL, TABLE and OUTPUT stand for files."""
    command = draw(st.sampled_from(sorted(OPTIONS)))
    words = [command]
    if command == "embed":
        words.append("TABLE")
    words += ["MODEL"] if command in ("info", "export") else ["--model", "MODEL"]
    if command != "info":
        words += ["-o", "OUTPUT" + mostly(draw, ENDINGS[command], ANY_TEXT)]
    options = OPTIONS[command]
    for option in [
        *NEEDED.get(command, []),
        *draw(st.lists(st.sampled_from(sorted(options)), max_size=3, unique=True)),
    ]:
        words.append(option)
        count = {"--json": 0, "--bounds": 4}.get(option, 1)
        wild = st.sampled_from(NUMBERS) if draw(st.booleans()) else VALUES
        words += [mostly(draw, options[option], wild) for _ in range(count)]
    return words


@st.composite
def spoilt(draw: st.DrawFn, content: bytes) -> bytes:
    """The content cut, changed in some bytes, or replaced."""
    kind = draw(st.sampled_from(["whole", "whole", "cut", "changed", "other"]))
    if kind == "cut":
        return content[: draw(st.integers(0, len(content)))]
    if kind == "other":
        return draw(st.binary(max_size=200))
    changed = bytearray(content)
    if kind == "changed":
        for _ in range(draw(st.integers(1, 4))):
            changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
    return bytes(changed)


@pytest.fixture(scope="module")
def sources(model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of safetensors and a checkpoint, both whole."""
    folder = tmp_path_factory.mktemp("sources")
    shutil.copytree(model, folder / "saved")
    encoder = load_location_encoder(model)
    state = {f"model.location_encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    torch.save({"state_dict": state, "satclip": {"location_encoder": encoder.config()}}, folder / "x.ckpt")
    return folder


@st.composite
def models(draw: st.DrawFn, sources: Path, place: Path) -> str:
    """A model under `place`, whole or spoilt in one of many ways, as the command is told of it."""
    kind = draw(st.sampled_from(["ckpt", "content", "weights", "config", "saved", "word"]))
    if kind == "word":
        return draw(VALUES)
    if kind == "ckpt":
        (place / "x.ckpt").write_bytes(draw(spoilt((sources / "x.ckpt").read_bytes())))
        return draw(st.sampled_from(["", "untrained:"])) + str(place / "x.ckpt")
    if kind == "content":
        content = torch.load(sources / "x.ckpt", weights_only=True)
        part = draw(st.sampled_from([content, content["satclip"], content["state_dict"]]))
        part[draw(st.sampled_from(sorted(part)))] = draw(JUNK)
        torch.save(content, place / "x.ckpt")
        return str(place / "x.ckpt")
    folder = shutil.copytree(sources / "saved", place / "saved")
    if kind == "weights":
        path = folder / "model.safetensors"
        path.write_bytes(draw(spoilt(path.read_bytes())))
    if kind == "config":
        config = json.loads((folder / "config.json").read_text())
        part = draw(st.sampled_from([config, config["encoding"], config["network"]]))
        part[draw(st.sampled_from(sorted(part)))] = draw(JUNK)
        (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def ends_well(words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Run the command, its OUTPUT below `folder`: an exit code, a line where it failed, a file where it did not."""
    outputs = [index for index, word in enumerate(words) if word.startswith("OUTPUT")]
    for index in outputs:
        words[index] = str(folder / words[index])
    code = main(words)
    said = capsys.readouterr().err
    assert code in (0, 1, 2)
    assert "Traceback" not in said
    written = code == 0 and not {"-h", "--help"} & set(words)
    assert sorted(path.name for path in folder.iterdir()) == [Path(words[index]).name for index in outputs if written]
    if code:
        assert "Error: " in said


def throw(data: st.DataObject, sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "out").mkdir()
        table = place / data.draw(
            st.sampled_from(["in.csv", "in.tsv", "in.parquet", "in.gpkg", "in.docx", "in.csv.gz"])
        )
        table.write_bytes(data.draw(spoilt(b"name,lon,lat\nBerlin,13.4,52.5\nParis,2.35,48.86\n")))
        words = data.draw(command_lines())
        source = data.draw(models(sources, place))
        files = {"MODEL": source, "TABLE": str(table)}
        ends_well([files.get(word, word) for word in words], place / "out", capsys)


@pytest.mark.parametrize(
    ("command", "option"),
    [
        # Of a place several odd values are right, and a picture each is drawn.
        pytest.param(command, option, marks=[pytest.mark.slow] if (command, option[:3]) == ("similar", "--l") else [])
        for command, options in OPTIONS.items()
        for option in options
    ],
)
def test_every_option_with_every_odd_value_ends_in_a_line(
    command: str, option: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.csv").write_text("lon,lat\n13.4,52.5\n")
    (tmp_path / "out").mkdir()
    words = {"embed": [command, str(tmp_path / "in.csv"), "--model", model], "info": [command, model]}.get(
        command, [command, model] if command == "export" else [command, "--model", model]
    )
    if command != "info":
        words += ["-o", f"OUTPUT{ENDINGS[command][0]}"]
    for needed in NEEDED.get(command, []):
        words += [needed, OPTIONS[command][needed][0]]
    for value in ODD:
        count = {"--json": 0, "--bounds": 4}.get(option, 1)
        ends_well([*words, option, *[value] * count], tmp_path / "out", capsys)
        for left in (tmp_path / "out").iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()


COMMON: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


@settings(max_examples=40, derandomize=True, **COMMON)
@given(data=st.data())
def test_anything_ends_in_a_line(data: st.DataObject, sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
    throw(data, sources, capsys)


@pytest.mark.slow
@settings(max_examples=600, **COMMON)
@given(data=st.data())
def test_much_more_of_anything_ends_in_a_line(
    data: st.DataObject, sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    throw(data, sources, capsys)
