"""What may stand for a model: a run's folder, an architecture with fresh weights; and what does not."""

import logging
from functools import partial
from pathlib import Path

import pytest
import torch

from satclip.checkpoint import describe, load_location_encoder, load_towers
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren


def save(path: Path, seed: int) -> LocationEncoder:
    torch.manual_seed(seed)
    model = LocationEncoder(SphericalHarmonics(4), partial(Siren, hidden_dim=8), 5)
    state = {f"model.location_encoder.{name}": tensor for name, tensor in model.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": state, "satclip": {"location_encoder": model.config()}}, path)
    return model


def test_a_runs_folder_stands_for_its_best_checkpoint_else_its_last(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    last = save(tmp_path / "run" / "checkpoints" / "last.ckpt", 1)
    found = load_location_encoder(tmp_path / "run")
    assert torch.equal(found.network.first.weight, last.network.first.weight)
    best = save(tmp_path / "run" / "checkpoints" / "best.ckpt", 2)
    with caplog.at_level(logging.INFO, logger="satclip"):
        for folder in ("run", "run/checkpoints"):
            found = load_location_encoder(str(tmp_path / folder))
            assert torch.equal(found.network.first.weight, best.network.first.weight)
            assert str(found.source).endswith("best.ckpt")
            assert "best.ckpt" in repr(found)
    assert "taking" in caplog.text
    assert describe(tmp_path / "run")["file"].endswith("best.ckpt")


def test_a_folder_without_a_model_says_what_it_lacks_and_which_runs_it_holds(tmp_path: Path) -> None:
    save(tmp_path / "12-00-00" / "checkpoints" / "last.ckpt", 1)
    with pytest.raises(FileNotFoundError, match=r"neither config\.json .* nor checkpoints/best\.ckpt.* runs 12-00-00"):
        load_location_encoder(tmp_path)


def test_untrained_is_the_architecture_with_the_same_fresh_weights_each_time(tmp_path: Path) -> None:
    trained = save(tmp_path / "last.ckpt", 1)
    source = f"untrained:{tmp_path / 'last.ckpt'}"
    fresh, again = load_location_encoder(source), load_location_encoder(source)
    assert torch.equal(fresh.network.first.weight, again.network.first.weight)
    assert torch.equal(fresh.network.first.weight, trained.untrained(0).network.first.weight)
    assert not torch.equal(fresh.network.first.weight, trained.network.first.weight)
    assert describe(source)["kind"].startswith("untrained encoder")
    with pytest.raises(ValueError, match="an untrained model is a location encoder alone"):
        load_towers(source)


def test_the_file_of_weights_stands_for_its_folder(tmp_path: Path) -> None:
    save(tmp_path / "last.ckpt", 1).save_pretrained(tmp_path / "saved")
    assert load_location_encoder(tmp_path / "saved" / "model.safetensors").embedding_dim == 5


@pytest.mark.parametrize("source", ["", "untrained:", "~nobody/x", "a\0b", "x" * 5000, "a\udcffb"])
def test_names_of_nothing_are_one_line(source: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        load_location_encoder(source)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_a_device_or_a_dtype_that_is_none_is_told(tmp_path: Path) -> None:
    save(tmp_path / "last.ckpt", 1)
    with pytest.raises(ValueError, match="there is no device gpu here"):
        load_location_encoder(tmp_path / "last.ckpt", device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match=r"there is no device cuda here .*device='cpu' always works"):
            load_location_encoder(tmp_path / "last.ckpt", device="cuda")
    for dtype in (torch.int32, "float16"):
        with pytest.raises(TypeError, match=r"dtype must be one of torch\.float32"):
            load_location_encoder(tmp_path / "last.ckpt", dtype=dtype)  # type: ignore[arg-type]
