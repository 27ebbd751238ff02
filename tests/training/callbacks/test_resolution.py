"""What the encoder resolves is said where the patches lie."""

import logging
from functools import partial

import pytest
import torch

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import Cartesian3D, SphericalHarmonics
from satclip.location.networks import Siren
from satclip.region import Region
from satclip.training.callbacks.resolution import tell

ALPS = Region.of((5, 43, 16, 49)).draw(500, torch.Generator().manual_seed(0))


def encoder(degrees: int) -> LocationEncoder:
    torch.manual_seed(0)
    return LocationEncoder(SphericalHarmonics(degrees), partial(Siren, hidden_dim=32), 16)


def test_the_line_has_the_half_wave_of_the_last_degree_and_the_region(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="satclip"):
        tell(encoder(41), ALPS)
    assert "L = 41 has half waves of 500 km and more" in caplog.text
    assert "5° E to 16° E" in caplog.text
    assert "similarity halves at" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_region_within_half_a_wave_is_warned_of_and_other_encodings_are_measured(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, logger="satclip"):
        tell(encoder(10), ALPS)
        assert "wider than the region" in caplog.text
        caplog.clear()
        tell(LocationEncoder(Cartesian3D(), partial(Siren, hidden_dim=32), 16), ALPS)
    assert "half waves" not in caplog.text
    assert "similarity halves at" in caplog.text


def test_the_random_numbers_of_a_training_stay_as_they_were() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    model = encoder(10)
    torch.set_rng_state(before)
    tell(model, ALPS)
    assert torch.equal(torch.get_rng_state(), before)
