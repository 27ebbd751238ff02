"""`satclip map` and `satclip similar` leave a picture of the world."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

image = pytest.importorskip("matplotlib.image")
pytest.importorskip("geopandas", reason="the outlines of the land need `pip install 'satclip[demo]'`")


@pytest.mark.parametrize(
    "command",
    [("map",), ("similar", "--lon", "13.4", "--lat", "52.5")],
    ids=["map", "similar"],
)
def test_a_picture_is_wider_than_high_and_has_colours(
    command: tuple[str, ...], satclip: Any, model: str, tmp_path: Path
) -> None:
    target = tmp_path / "world.png"
    outcome = satclip(*command, "--model", model, "--resolution", 4, "-o", target)
    assert outcome.code == 0
    assert str(target) in outcome.err
    picture = image.imread(target)
    height, width = picture.shape[:2]
    assert 1.5 < width / height < 2.5
    assert len(np.unique(picture[::8, ::8, :3].reshape(-1, 3), axis=0)) > 100


def test_a_place_that_is_none_is_told(satclip: Any, model: str, tmp_path: Path) -> None:
    outcome = satclip("similar", "--model", model, "--lon", "52.5", "--lat", "113.4", "-o", tmp_path / "a.png")
    assert outcome.code == 2
    assert "latitude must lie in -90..90, got 113.4" in outcome.err


def test_a_model_of_two_dimensions_has_no_map(satclip: Any, tmp_path: Path) -> None:
    from satclip.location.encoder import LocationEncoder
    from satclip.location.encodings import Cartesian3D
    from satclip.location.networks import Linear

    LocationEncoder(Cartesian3D(), Linear, embedding_dim=2).save_pretrained(tmp_path / "model")
    outcome = satclip("map", "--model", tmp_path / "model", "--resolution", 10, "-o", tmp_path / "a.png")
    assert outcome.code == 1
    assert "3 principal components need 3 dimensions" in outcome.err
