"""The report of a small model: everything is found, saved and named."""

import json
import logging
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from satclip.downstream import report
from satclip.downstream.report import evaluate, figures_alone, retrieval_report
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import ENCODINGS
from satclip.location.networks import NETWORKS
from satclip.model import TwoTowers
from satclip.region import Region
from satclip.sphere import uniform_on_sphere


class Sees(nn.Module):
    """An image tower that reads off its pictures what the location encoder says of the place."""

    embedding_dim = 16

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        return images[:, :, 0, 0]


@pytest.fixture
def model() -> TwoTowers:
    torch.manual_seed(0)
    encoder = LocationEncoder(
        ENCODINGS["sphericalharmonics"](4), lambda **dims: NETWORKS["siren"](**dims, hidden_dim=32), 16
    )
    return TwoTowers(Sees(), encoder).train()


@pytest.fixture
def batch(model: TwoTowers) -> dict[str, Tensor]:
    lonlat = uniform_on_sphere(300, torch.Generator().manual_seed(1))
    with torch.no_grad():
        images = model.eval().encode_location(lonlat)[:, :, None, None].expand(-1, -1, 2, 2).float()
    model.train()
    return {"image": images, "lonlat": lonlat}


def test_a_report_is_two_tables_a_picture_and_their_numbers(
    model: TwoTowers, batch: dict[str, Tensor], tmp_path: Path
) -> None:
    found = evaluate(model, batch, tmp_path, retrieval_places=200, probe_places=800, degrees=3.0)
    assert model.training
    names = {f"{name}.{ending}" for name in ("retrieval", "probe") for ending in ("md", "csv", "json")} | {"globe.png"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert found.picture == tmp_path / "globe.png"
    assert found.metrics["retrieval/image_to_location/top1"] == 1.0
    assert found.metrics["retrieval/location_to_image/median_km"] < 1.0
    assert found.metrics["retrieval/chance/top10"] == 10 / 200
    rows = json.loads((tmp_path / "probe.json").read_text())
    ours = next(row for row in rows if row["split"] == "block" and row["features"] == "embedding")
    assert found.metrics["probe/block/elevation_R2"] == ours["elevation R2"]
    assert "probe/random/climate_zone_accuracy" in found.metrics
    assert "among 200 validation places" in (tmp_path / "retrieval.md").read_text()
    assert figures_alone(model, batch, retrieval_places=200, probe_places=800) == found.metrics


def test_few_places_are_not_called_a_score_without_the_word(
    model: TwoTowers, batch: dict[str, Tensor], tmp_path: Path
) -> None:
    few = retrieval_report(model, batch, tmp_path, places=5, held_out="held out at random", described="last weights")
    assert few.title.startswith(
        "Retrieval of the last weights among 5 validation places (held out at random). Fewer than"
    )
    assert few.rows[-1] == ("chance", 0.2, 1.0, 1.0, pytest.approx(9000, rel=0.5))
    assert "Fewer" not in retrieval_report(model, batch, tmp_path, places=100).title


def test_a_region_is_probed_and_drawn_alone(model: TwoTowers, batch: dict[str, Tensor], tmp_path: Path) -> None:
    alps = Region.of([5, 44, 16, 48])
    found = evaluate(model, batch, tmp_path, retrieval_places=200, probe_places=500, region=alps)
    assert "places on land in 5° E to 16° E, 44° N to 48° N, tested" in found.tables["probe"].title
    with Image.open(tmp_path / "globe.png") as picture:
        width, height = picture.size
    assert 0.4 < height / width < 0.9  # eleven degrees by four, at 46 degrees north; the world has 0.49


def test_a_region_too_small_to_probe_is_said_to_be_and_the_rest_is_done(
    model: TwoTowers, batch: dict[str, Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    town = Region.of([11.3, 48.0, 11.8, 48.3])
    found = evaluate(model, batch, tmp_path, retrieval_places=200, region=town)
    assert "a probe needs 100; report.bounds=null probes the world" in caplog.text
    assert set(found.tables) == {"retrieval"}
    assert found.picture is not None
    assert not any(name.startswith("probe") for name in found.metrics)


def test_without_the_demo_packages_the_retrieval_is_still_reported(
    model: TwoTowers,
    batch: dict[str, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("labels come with the demo: pip install 'satclip[demo]'")

    monkeypatch.setattr(report, "labelled_places", missing)
    with caplog.at_level(logging.WARNING):
        found = evaluate(model, batch, tmp_path)
    assert "pip install 'satclip[demo]'" in caplog.text
    assert set(found.tables) == {"retrieval"}
    assert found.picture is None
    assert (tmp_path / "retrieval.csv").is_file()
