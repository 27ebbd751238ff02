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

NUMBERS = [
    "nan",
    "inf",
    "-inf",
    "0",
    "-0.0",
    "-1",
    "5e-324",
    "1e-6",
    "1e308",
    "1e999",
    "9" * 30,
    "30",
    "90",
    "0.7",
    "1,5",
    "",
]
WORDS = st.sampled_from([*NUMBERS, "float16", "cuda", "mps", "auto", "lon", "\x1b[31m", "EPSG:0"])
ANY_TEXT = st.text(st.characters(exclude_characters="/\0", max_codepoint=0x2FFF, categories=None), max_size=8)
VALUES = WORDS | ANY_TEXT  # no slash: what looks like a name on the hub would be asked for there
ENDINGS = [
    "",
    ".npy",
    ".tif",
    ".zarr",
    ".csv",
    ".csv.gz",
    ".parquet",
    ".png",
    ".svg",
    ".onnx",
    ".pt2",
    ".TIF",
    "\udcff.npy",
]
OPTIONS = {
    "info": ["--json"],
    "grid": ["--resolution", "--bounds", "--device", "--dtype"],
    "embed": ["--lon", "--lat", "--crs", "--layer", "--bad", "--batch-size", "--dtype", "--device", "--workers"],
    "map": ["--device"],
    "similar": ["--lon", "--lat", "--device"],
    "export": ["--format", "--dtype"],
}
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command and some of its options, with values of any kind. MODEL, TABLE and OUTPUT stand for files."""
    command = draw(st.sampled_from(sorted(OPTIONS)))
    words = [command]
    if command == "embed":
        words.append("TABLE")
    words += ["MODEL"] if command in ("info", "export") else ["--model", "MODEL"]
    if command != "info":
        words += ["-o", "OUTPUT" + draw(st.sampled_from(ENDINGS) | ANY_TEXT)]
    if command in ("map", "similar"):
        words += ["--resolution", draw(st.sampled_from([*NUMBERS, "25", "29.5"]))]
    if command == "export":
        words += ["--format", draw(st.sampled_from(["safetensors", "pt2", "npz"]))]
    for option in draw(st.lists(st.sampled_from(OPTIONS[command]), max_size=4)):
        words.append(option)
        count = {"--json": 0, "--bounds": 4}.get(option, 1)
        words += [draw(VALUES) for _ in range(count)]
    return words


@st.composite
def spoilt(draw: st.DrawFn, content: bytes) -> bytes:
    """The content cut, changed in some bytes, or replaced."""
    kind = draw(st.sampled_from(["whole", "cut", "changed", "other"]))
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
        words = [files.get(word, word) for word in words]
        outputs = [index for index, word in enumerate(words) if word.startswith("OUTPUT")]
        for index in outputs:
            words[index] = str(place / "out" / words[index])
        code = main(words)
        said = capsys.readouterr().err
        assert code in (0, 1, 2)
        assert "Traceback" not in said
        written = code == 0 and not {"-h", "--help"} & set(words)
        left = sorted(path.name for path in (place / "out").iterdir())
        assert left == [Path(words[index]).name for index in outputs if written]
        if code:
            assert "Error: " in said


COMMON: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


@settings(max_examples=30, derandomize=True, **COMMON)
@given(data=st.data())
def test_anything_ends_in_a_line(data: st.DataObject, sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
    throw(data, sources, capsys)


@pytest.mark.slow
@settings(max_examples=1500, **COMMON)
@given(data=st.data())
def test_much_more_of_anything_ends_in_a_line(
    data: st.DataObject, sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    throw(data, sources, capsys)
