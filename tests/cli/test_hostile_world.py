"""Full disks, closed pipes, early signals, names that are no UTF-8: one line, and nothing that looks whole."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from satclip.checkpoint import load_location_encoder

# Tests that were started in the background ignore SIGINT, and so would their children.
PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from satclip.cli import main  # the standard library and nothing else
sys.stderr.write("up\\n"); sys.stderr.flush()
sys.exit(main(sys.argv[1:]))
"""


def start(*arguments: str | Path, **options: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize(
    ("number", "delay"),
    [
        (signal.SIGINT, 0.02),
        *(
            pytest.param(number, delay, marks=pytest.mark.slow)
            for number, delay in ((2, 0.1), (2, 0.5), (2, 1.5), (15, 0.05), (15, 1.0), (1, 0.3))
        ),
    ],
)
def test_a_signal_while_it_is_still_importing_is_one_line(number: int, delay: float, model: str) -> None:
    process = start("info", model)
    with process:
        assert process.stderr is not None
        assert process.stderr.readline() == "up\n"
        time.sleep(delay)
        process.send_signal(number)
        said, wrote = process.stderr.read(), process.wait(timeout=60)
    if wrote != 0:  # the command had not ended by then
        assert wrote in (128 + number, -number)
        assert said in ("Interrupted: no file was written.\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("ending", ["zarr", "tif", "npy"])
def test_a_signal_while_a_raster_is_written_leaves_nothing(
    ending: str, number: signal.Signals, model: str, tmp_path: Path
) -> None:
    process = start("grid", "--model", model, "--resolution", "0.1", "-o", tmp_path / f"world.{ending}")
    deadline = time.monotonic() + 120
    with process:
        while not any(tmp_path.iterdir()):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(0.05)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert said == "up\nInterrupted: no file was written.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.tif", "a.npy", "a.zarr"])
def test_a_raster_on_a_full_disk_is_one_line_and_no_file(
    name: str, satclip: Any, model: str, tmp_path: Path, file_size_limit: Any
) -> None:
    with file_size_limit(4096):
        outcome = satclip("grid", "--model", model, "--resolution", 2, "-o", tmp_path / name)
    assert (outcome.code, outcome.out) == (1, "")
    assert [line for line in outcome.err.splitlines() if not line.startswith("ERROR 1")] == [
        outcome.err.splitlines()[-1]
    ]
    assert outcome.err.splitlines()[-1].startswith(f"Error: {tmp_path / name}: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["pt2", "safetensors"])
def test_an_export_on_a_full_disk_is_one_line_and_no_file(
    kind: str, satclip: Any, model: str, tmp_path: Path, file_size_limit: Any
) -> None:
    target = tmp_path / ("a" if kind == "safetensors" else f"a.{kind}")
    with file_size_limit(512):
        outcome = satclip("export", model, "--format", kind, "-o", target)
    assert outcome.code == 1
    assert len(outcome.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "sink"), [(["info"], "pipe"), (["info"], "full"), (["--help"], "pipe")])
def test_an_output_that_nobody_takes_is_no_traceback(arguments: list[str], sink: str, model: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    out = writer if sink == "pipe" else os.open("/dev/full", os.O_WRONLY)
    source = [model] if arguments == ["info"] else []
    command = [sys.executable, "-m", "satclip.cli", *arguments, *source]
    done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == ("" if sink == "pipe" else "Error: [Errno 28] No space left on device\n")


def test_names_that_are_no_utf8_work_or_are_told(satclip: Any, model: str, tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    odd.mkdir()
    assert satclip("export", model, "--format", "safetensors", "-o", odd / "model").code == 0
    assert torch.equal(
        load_location_encoder(odd / "model").network.first.weight, load_location_encoder(model).network.first.weight
    )
    assert satclip("grid", "--model", odd / "model", "--resolution", 30, "-o", odd / "a.npy").code == 0
    for command in (
        ("grid", "--model", odd / "model", "--resolution", 30, "-o", odd / "a.tif"),
        ("export", odd / "model", "--format", "onnx", "-o", odd / "a.onnx"),
    ):
        outcome = satclip(*command)
        assert outcome.code == 1
        assert "is no UTF-8, as this format needs its names to be; rename it" in outcome.err
        assert len(outcome.err.splitlines()) == 1
    assert sorted(path.name for path in odd.iterdir()) == ["a.npy", "model"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--resolution", "nan"), "must be above 0 and at most 180, got nan"),
        (("--resolution", "inf"), "got inf"),
        (("--resolution", "-1"), "got -1"),
        (("--resolution", "0"), "got 0"),
        (("--resolution", "5e-324"), "no format holds more than 2,147,483,647"),
        (("--resolution", "1e-6"), "180,000,000 x 360,000,000 cells of 5 numbers are 1.3 EB"),
        (("--bounds", "nan", "0", "1", "1"), "give west, south, east, north"),
    ],
)
def test_a_grid_that_fits_nowhere_says_how_large_it_would_be(
    options: tuple[str, ...], said: str, satclip: Any, model: str, tmp_path: Path
) -> None:
    outcome = satclip("grid", "--model", model, "-o", tmp_path / "a.npy", *options)
    assert outcome.code == 2
    assert said in " ".join(outcome.err.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("lon", "lat", "said"),
    [
        ("0", "-95", "latitude must lie in -90..90, got -95"),
        ("0", "nan", "latitude must lie in -90..90, got nan"),
        ("1e400", "0", "longitude must lie in -180..360, got inf"),
    ],
)
def test_a_place_that_is_none_is_told_before_any_model_is_looked_for(
    lon: str, lat: str, said: str, satclip: Any, tmp_path: Path
) -> None:
    outcome = satclip("similar", "--model", "none.ckpt", "--lon", lon, "--lat", lat, "-o", tmp_path / "a.png")
    assert outcome.code == 2
    assert outcome.err.endswith(f"{said}\n")


def test_a_runs_folder_is_taken_and_its_checkpoint_named(satclip: Any, model: str, tmp_path: Path) -> None:
    encoder = load_location_encoder(model)
    state = {f"model.location_encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    torch.save(
        {"state_dict": state, "satclip": {"location_encoder": encoder.config()}}, tmp_path / "run/checkpoints/last.ckpt"
    )
    for source in (tmp_path / "run", f"untrained:{tmp_path / 'run'}"):
        outcome = satclip("grid", "--model", source, "--resolution", 30, "-o", tmp_path / "a.npy")
        assert outcome.code == 0
        assert outcome.err.startswith(f"{source}: taking ")
        assert "last.ckpt\n" in outcome.err
