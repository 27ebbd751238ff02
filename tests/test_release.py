"""scripts/release.py: what it stores is what the run has, and what is off is refused with nothing changed."""

import importlib.util
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
import torch

from satclip import load_location_encoder
from satclip.checkpoint.sources import PACKAGED
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren

HEADER = "task,holdout,asked,row,score,over_untrained,over_untrained_low\n"


@pytest.fixture
def release(project: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", project / "scripts" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["release"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    encoder = LocationEncoder(SphericalHarmonics(6), partial(Siren, hidden_dim=16), 40, skip_degrees=4)
    state = {f"model.location_encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    content = {"state_dict": state, "satclip": {"location_encoder": encoder.config()}}
    torch.save(content, tmp_path / "run" / "checkpoints" / "best.ckpt")
    return tmp_path / "run"


def scores(folder: Path, *lines: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "summary.csv").write_text(HEADER + "\n".join(lines) + "\n")
    (folder / "table.md").write_text("| run | .4 |\n")
    return folder


def call(release: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["release.py", *map(str, arguments)])
    release.main()


def test_what_the_package_carries_passes_its_check(
    release: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call(release, monkeypatch, "--check")
    assert "599,809 weights, 512 numbers a place, finite everywhere" in capsys.readouterr().out
    assert PACKAGED["blue-marble"].is_dir()


def test_a_run_is_stored_in_half_the_bytes_and_loads_in_float32(
    release: ModuleType, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "PLACES", 2000)
    told = scores(tmp_path / "scores", "elevation,cells,100,run,.4,.1,.05")
    call(release, monkeypatch, "--run", run, "--scores", told, "--target", tmp_path / "out")
    stored, exact = load_location_encoder(tmp_path / "out"), load_location_encoder(run)
    assert stored.dtype == torch.float32
    weights = sum(weight.numel() for weight in exact.parameters())
    assert (tmp_path / "out" / "model.safetensors").stat().st_size < 2 * weights + 1000
    assert "| blue-marble | .4 |" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["elevation,cells,100,run,.4,.1,-.05"], "no gain over the untrained"),
        (
            ["elevation,cells,100,run,.4,.1,.05", "elevation,cells,100,blue-marble,.3,.1,.05"],
            "scores differ from the run's by 0.100",
        ),
    ],
)
def test_scores_that_are_off_are_refused_and_nothing_is_changed(
    release: ModuleType, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], said: str
) -> None:
    monkeypatch.setattr(release, "PLACES", 2000)
    told = scores(tmp_path / "scores", *lines)
    with pytest.raises(SystemExit, match=said):
        call(release, monkeypatch, "--run", run, "--scores", told, "--target", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_embeddings_that_are_off_are_refused(
    release: ModuleType, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "PLACES", 2000)
    monkeypatch.setattr(release, "TOLERANCE", 1e-7)
    told = scores(tmp_path / "scores", "elevation,cells,100,run,.4,.1,.05")
    with pytest.raises(SystemExit, match="the stored encoder is off by"):
        call(release, monkeypatch, "--run", run, "--scores", told, "--target", tmp_path / "out")
    assert not (tmp_path / "out").exists()
