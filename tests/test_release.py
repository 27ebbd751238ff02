"""scripts/release.py: what it stores is what the run has, and what is off is refused with nothing changed."""

import importlib.util
import json
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
    folder = tmp_path / "run"
    torch.save(content, folder / "checkpoints" / "best.ckpt")
    of_recipe(folder, "blue_marble")
    (folder / "metrics.json").write_text('{"best/epoch": 16.0, "best/train/samples_per_second": 4000.0}')
    began = {"data": {"train": 30_000}, "hardware": {"cores": 6}, "versions": {"satclip": "0.1.0", "torch": "2.14.1"}}
    (folder / "provenance.json").write_text(json.dumps({"starts": [began]}))
    return folder


def of_recipe(run: Path, name: str) -> None:
    (run / ".hydra").mkdir(exist_ok=True)
    (run / ".hydra" / "hydra.yaml").write_text(f"hydra: {{runtime: {{choices: {{experiment: {name}}}}}}}")


def scores(folder: Path, *, stored: str = ".4,.1,.05", run: str = ".4,.1,.05", carried: str = ".4,.1,.05") -> Path:
    """What two calls of evaluate.py leave: scores, gains over untrained and the low ends of their intervals."""
    rows = {"card": {"blue-marble": stored}, "compared": {"run": run, "carried": carried}}
    for part, lines in rows.items():
        (folder / part).mkdir(parents=True)
        text = "".join(f"elevation,cells,100,{row},{numbers}\n" for row, numbers in lines.items() if numbers)
        (folder / part / "summary.csv").write_text(HEADER + text)
    (folder / "card" / "table.md").write_text("| blue-marble | .4 |\n")
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
    told = scores(tmp_path / "scores")
    call(release, monkeypatch, "--run", run, "--scores", told, "--target", tmp_path / "out")
    stored, exact = load_location_encoder(tmp_path / "out"), load_location_encoder(run)
    assert stored.dtype == torch.float32
    weights = sum(weight.numel() for weight in exact.parameters())
    assert (tmp_path / "out" / "model.safetensors").stat().st_size < 2 * weights + 1000
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| blue-marble | .4 |" in card
    for fact in (
        "into 40 numbers",
        "first 25 numbers",
        "the other 15 are spherical harmonics of degrees 1 to 3",
        "30,000 patches",
        "16 epochs in 2 minutes on 6 CPU cores (satclip 0.1.0, torch 2.14.1)",
        "8,006 km long",
    ):
        assert fact in card


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ({"stored": ".4,.1,-.05"}, "no gain over the untrained"),
        ({"stored": ".3,.1,.05"}, "scores differ from the run's by 0.100"),
        ({"carried": ".43,.1,.05"}, "on average it scores 0.030 less than the encoder that the package carries"),
        ({"run": ""}, "run were not scored on the same tasks"),
    ],
)
def test_scores_that_are_off_are_refused_and_nothing_is_changed(
    release: ModuleType, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: dict[str, str], said: str
) -> None:
    monkeypatch.setattr(release, "PLACES", 2000)
    told = scores(tmp_path / "scores", **lines)
    with pytest.raises(SystemExit, match=said):
        call(release, monkeypatch, "--run", run, "--scores", told, "--target", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_embeddings_that_are_off_are_refused(
    release: ModuleType, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "PLACES", 2000)
    monkeypatch.setattr(release, "TOLERANCE", 1e-7)
    told = scores(tmp_path / "scores")
    with pytest.raises(SystemExit, match="the stored encoder is off by"):
        call(release, monkeypatch, "--run", run, "--scores", told, "--target", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_without_an_end_and_one_of_another_recipe_are_refused(
    release: ModuleType, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--run", run, "--scores", scores(tmp_path / "scores"), "--target", tmp_path / "out")
    of_recipe(run, "blue_marble_one_hot")
    with pytest.raises(SystemExit, match="is of experiment=blue_marble_one_hot; the card is of experiment=blue_marble"):
        call(release, monkeypatch, *words)
    of_recipe(run, "blue_marble")
    (run / "metrics.json").unlink()
    with pytest.raises(SystemExit, match=f"is not finished .*; `satclip resume {run}` goes on"):
        call(release, monkeypatch, *words)
    assert not (tmp_path / "out").exists()
