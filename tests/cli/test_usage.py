"""Help, usage errors and exit codes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COMMANDS = ("embed", "export", "grid", "info", "map", "models", "predict", "resume", "similar", "train")
HEAVY = ("torch", "pyarrow", "numpy", "rasterio", "matplotlib", "ray", "lightning", "hydra", "onnx")


def test_help_answers_without_importing_what_computes() -> None:
    code = (
        "import sys; from satclip.cli import main\n"
        "assert main(['--help']) == 0 and main(['embed', '--help']) == 0\n"
        f"print('heavy:', [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_the_package_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "satclip.cli", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("satclip, version ")


def test_help_names_every_command(satclip: Any) -> None:
    outcome = satclip("--help")
    assert outcome.code == 0
    for command in COMMANDS:
        assert f"  {command} " in outcome.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_examples(command: str, satclip: Any) -> None:
    outcome = satclip(command, "--help")
    assert outcome.code == 0
    assert f"  satclip {command} " in outcome.out.split("Examples:")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("embed",), "Missing argument"),
        (("nonsense",), "No such command"),
        (("embed", "in.csv", "-o", "out.npy"), "--model"),
        (("embed", "none.csv", "--model", "m", "-o", "out.npy"), "does not exist"),
        (("embed", "in.csv", "--model", "m", "-o", "out.docx"), "must end in one of .parquet, .csv, .csv.gz, .npy"),
        (("embed", "in.csv", "--model", "m", "-o", "nowhere/out.npy"), "there is no folder nowhere"),
        (("embed", "in.csv", "--model", "m", "-o", "in.csv"), "would replace the input"),
        (("embed", "in.docx", "--model", "m", "-o", "out.npy"), "these are: .csv"),
        (("embed", "in.csv", "--model", "m", "-o", "out.npy", "--layer", "a"), "has no layers"),
        (("embed", "in.csv", "--model", "m", "-o", "out.npy", "--workers", "2"), "only --engine ray"),
        (("embed", "in.csv", "--model", "m", "-o", "out.npy", "--batch-size", "0"), "1<=x<=1048576"),
        (("embed", "in.csv", "--model", "m", "-o", "out.npy", "--engine", "ray", "--device", "mps"), "cpu or cuda"),
        (("embed", "in.gpkg", "--model", "m", "-o", "out.npy", "--lon", "a"), "holds points"),
        (("grid", "--model", "m", "-o", "out.png"), "must end in one of .tif"),
        (("grid", "--model", "m", "-o", "out.tif", "--resolution", "0.7"), "0.7 does not divide the 360 degrees"),
        (("grid", "--model", "m", "-o", "out.tif", "--bounds", "5", "6", "5", "7"), "across the date line"),
        (("grid", "--model", "m", "-o", "out.npy", "--dtype", "int8"), "has no scale for int8"),
        (("map", "--model", "m", "-o", "out.png", "--bounds", "5", "7", "6", "6"), "south below north"),
        (("map", "--model", "m", "-o", "out.png", "--resolution", "0.1"), "--bounds allow finer"),
        (("map", "--model", "m", "-o", "out.png", "--resolution", "0.001", "--bounds", "0", "0", "9", "9"), "too many"),
        (("similar", "--model", "m", "-o", "a.png", "--lon", "0", "--lat", "-95"), "latitude must lie in -90..90"),
        (("similar", "--model", "m", "-o", "a.tif", "--lon", "0", "--lat", "0", "--top", "5"), "leave --top"),
        (("similar", "--model", "m", "--model", "n", "-o", "a.csv", "--lon", "0", "--lat", "0"), "give one for a file"),
        (
            ("similar", "--model", "m", "-o", "a.png", "--lon", "0", "--lat", "0", "--vmin", ".5", "--vmax", ".1"),
            "lie below --vmax",
        ),
        (("map", "--model", "m", "-o", "out.tif"), "must end in one of .png"),
        (("similar", "--model", "m", "-o", "out.png", "--lon", "5"), "--lat"),
        (("export", "m", "-o", "out.onnx"), "--format"),
        (("export", "m", "-o", "out.pt2", "--format", "onnx"), "must end in one of .onnx"),
        (("export", "m", "-o", "full", "--format", "safetensors"), "holds something else"),
        (("export", "m", "-o", "in.csv", "--format", "safetensors"), "is a file: name a folder"),
        (("grid", "--model", "m", "-o", "folder.tif"), "is a folder: name a file"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_what_is_right(
    arguments: tuple[str, ...], said: str, satclip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text("lon,lat\n1,2\n")
    for name in ("in.docx", "in.gpkg"):
        (tmp_path / name).touch()
    for name in ("full", "folder.tif"):
        (tmp_path / name).mkdir()
    (tmp_path / "full" / "diary.txt").touch()
    outcome = satclip(*arguments)
    assert outcome.code == 2
    assert said in " ".join(outcome.err.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("info", "none.ckpt"),
        ("grid", "--model", "none.ckpt", "-o", "out.tif"),
        ("map", "--model", "none.ckpt", "-o", "out.png"),
        ("similar", "--model", "none.ckpt", "--lon", "1", "--lat", "2", "-o", "out.png"),
        ("export", "none.ckpt", "--format", "pt2", "-o", "out.pt2"),
        ("embed", "in.csv", "--model", "none.ckpt", "-o", "out.npy"),
    ],
)
def test_a_model_that_is_not_there_is_exit_code_1_without_a_traceback(
    arguments: tuple[str, ...], satclip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text("lon,lat\n1,2\n")
    outcome = satclip(*arguments)
    assert outcome.code == 1
    assert outcome.err.startswith("Error: no file or folder none.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(device: str, satclip: Any, model: str, tmp_path: Path) -> None:
    import torch

    if {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}[device]():
        pytest.skip(f"this machine has {device}")
    outcome = satclip("grid", "--model", model, "-o", tmp_path / "out.npy", "--device", device)
    assert outcome.code == 2
    assert f"there is no {device} on this machine" in outcome.err


def test_a_missing_extra_is_named_with_its_remedy(
    satclip: Any, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "in.csv").write_text("lon,lat\n1,2\n")
    outcome = satclip("embed", tmp_path / "in.csv", "--model", model, "-o", tmp_path / "out.npy", "--engine", "ray")
    assert outcome.code == 1
    assert "pip install 'satclip[ray]'" in outcome.err
