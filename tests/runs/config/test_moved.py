"""An option that has moved is still taken where it was, with the same meaning."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from satclip.runs import hydra_setup
from satclip.runs.config.moved import renamed, settle

CONF = Path(__file__).parents[3] / "conf"


@pytest.mark.parametrize("loss", ["clip", "siglip", "soft_clip"])
def test_cached_batches_of_the_loss_are_those_of_the_module(loss: str, caplog: pytest.LogCaptureFixture) -> None:
    config = hydra_setup.compose(CONF, ["experiment=blue_marble", f"loss={loss}", "loss.cached_batches=4"])
    assert (config.cached_batches, config.model.cached_batches) == (4, 4)
    assert "cached_batches" not in config.loss
    assert "loss.cached_batches is called cached_batches now" in caplog.text


def test_a_file_of_one_s_own_may_say_it_in_the_old_place_too() -> None:
    config = OmegaConf.create({"cached_batches": 1, "loss": {"chunk": 3, "cached_batches": 8}})
    assert settle(config) == {"cached_batches": 8, "loss": {"chunk": 3}}
    assert settle(OmegaConf.create({"loss": None})) == {"loss": None}


def test_other_options_are_left_as_they_are_written() -> None:
    given = ["loss.chunk=4", "+loss.cached_batches=2", "++loss.cached_batches=1,2", "x.loss.cached_batches=1", "seed=1"]
    assert renamed(given) == [
        "loss.chunk=4",
        "cached_batches=2",
        "cached_batches=1,2",
        "x.loss.cached_batches=1",
        "seed=1",
    ]
