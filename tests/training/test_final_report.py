"""The report of a small model: what is found, saved and named, and what is said where something is missing."""

import csv
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from satclip.explorer import explorer_page
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import ENCODINGS
from satclip.location.networks import NETWORKS
from satclip.model import TwoTowers
from satclip.plots import globe_picture
from satclip.region import Region
from satclip.sphere import uniform_on_sphere
from satclip.training import final_report
from satclip.training.final_report import FinalReport

RECIPE: Mapping[str, Any] = {
    "config": {
        "dataset": {
            "_target_": "satclip.data.blue_marble_datamodule.BlueMarbleDataModule",
            "split": "block",
            "val_fraction": 0.1,
            "split_degrees": 5.0,
            "patch_size": 8,
            "image_size": 8,
            "kilometres_per_pixel": 40.0,
            "bands": ["R", "G", "B"],
        }
    }
}


class Colours(nn.Module):
    """An image tower that gives the mean colour, sixteen numbers wide."""

    embedding_dim = 16

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        return images.mean((2, 3)).repeat(1, 6)[:, :16]


@pytest.fixture(scope="module")
def model() -> TwoTowers:
    torch.manual_seed(0)
    encoder = LocationEncoder(
        ENCODINGS["sphericalharmonics"](4), lambda **dims: NETWORKS["siren"](**dims, hidden_dim=32), 16
    )
    return TwoTowers(Colours(), encoder).train()


@pytest.fixture(scope="module")
def batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {"image": torch.rand(120, 3, 8, 8, generator=generator), "lonlat": uniform_on_sphere(120, generator)}


def twice(encoder: nn.Module, path: Path, *, region: Region | None) -> Path:
    """A picture from outside the package."""
    assert isinstance(encoder, LocationEncoder)
    Image.new("RGB", (40, 20), (200, 30, 30)).save(path)
    return path


def test_a_report_is_retrieval_the_benchmark_in_short_and_pictures(
    model: TwoTowers, batch: dict[str, Tensor], tmp_path: Path
) -> None:
    other = model.location_encoder.untrained(7)
    report = FinalReport(probe_places=400, pictures={"globe": partial(globe_picture, degrees=6.0), "mine": twice})
    found = report.measured(
        model, batch, tmp_path, described="best weights (epoch 1)", recipe=RECIPE, beside={"last weights": other}
    )
    assert model.training
    names = {"globe.png", "mine.png", "report.html", "report.md", "records.csv", "summary.csv"}
    assert names <= {path.name for path in (*tmp_path.iterdir(), *(tmp_path / "benchmark").iterdir())}
    page = (tmp_path / "benchmark" / "report.html").read_text()
    assert "Retrieval of the best weights" in page
    assert "<figcaption>mine</figcaption>" in page  # a picture by the mapping
    assert found.benchmark is not None
    rows = found.benchmark.results.families
    assert rows[:3] == ["best weights (epoch 1)", "last weights", "untrained"]
    assert {"harmonics, L tuned", "IDW", "ceiling: image tower"} == set(rows[3:])
    assert {key[1:] for key in found.benchmark.results.keys} == {
        (f"cells {size}", asked) for size in (10, 20) for asked in ("100", "300")
    }
    for kind in ("probe", "gain"):
        assert f"{kind}/cells_20/100/climate_zone_accuracy" in found.figures
        every = [value for name, value in found.figures.items() if name.startswith(f"{kind}/cells")]
        assert found.figures[f"{kind}/mean"] == pytest.approx(sum(every) / len(every))
    lines = list(csv.DictReader((tmp_path / "benchmark" / "summary.csv").read_text().splitlines()))
    asked = {"task": "elevation", "holdout": "cells 10", "asked": "300", "row": "best weights (epoch 1)"}
    (ours,) = [line for line in lines if asked.items() <= line.items()]
    assert float(ours["score"]) == found.figures["probe/cells_10/300/elevation_R2"]
    assert float(ours["over_untrained"]) == found.figures["gain/cells_10/300/elevation_R2"]
    assert ours["pretraining"] == "blocks left out"
    beside = found.beside["last weights"]
    assert set(beside) == {name for name in found.figures if name.startswith(("probe", "gain"))}
    assert beside["probe/mean"] != found.figures["probe/mean"]


def test_a_report_ends_with_the_pages_of_its_mapping(
    model: TwoTowers, batch: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("satclip.explorer.probed.PLACES", 300)
    report = FinalReport(probe_places=50, pictures={}, pages={"explorer": partial(explorer_page, degrees=30.0)})
    found = report.measured(model, batch, tmp_path, described="last weights", recipe=RECIPE)
    assert found.pages == {"explorer": tmp_path / "explorer.html"}
    assert (tmp_path / "explorer.html").read_text().startswith("<!doctype html>")
    assert not found.pictures


def test_no_picture_and_too_few_places_for_a_probe_are_no_error(
    model: TwoTowers, batch: dict[str, Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    report = FinalReport(probe_places=50, pictures={})
    found = report.measured(model, batch, tmp_path, described="last weights", recipe=RECIPE)
    assert not found.pictures
    assert not (tmp_path / "globe.png").exists()
    assert "50 places are too few to be taught by 100 and tested; report.probe_places=3000 has more" in caplog.text


@pytest.mark.slow
def test_a_region_is_probed_and_drawn_alone(model: TwoTowers, batch: dict[str, Tensor], tmp_path: Path) -> None:
    alps = Region.of([5, 44, 16, 48])
    report = FinalReport(probe_places=300, degrees=0.5)
    found = report.measured(model, batch, tmp_path, described="last weights", recipe={}, region=alps)
    assert found.benchmark is not None
    (elevation,) = [labels for name, labels in found.benchmark.tasks.items() if name == "elevation"]
    assert alps.contains(torch.from_numpy(elevation.lonlat)).all()
    assert {key[1] for key in found.benchmark.results.keys} == {
        "cells 0.55",
        "cells 1.1",
    }  # a twentieth and a tenth of eleven degrees
    with Image.open(tmp_path / "globe.png") as picture:
        width, height = picture.size
    assert 0.4 < height / width < 0.9  # eleven degrees by four, at 46 degrees north; the world has 0.49


def test_a_region_too_small_to_probe_is_said_to_be_and_the_rest_is_done(
    model: TwoTowers, batch: dict[str, Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    town = Region.of([11.3, 48.0, 11.8, 48.3])
    found = FinalReport(degrees=0.1).measured(model, batch, tmp_path, described="l", recipe={}, region=town)
    assert "a probe needs 100; report.bounds=null probes the world" in caplog.text
    assert found.benchmark is None
    assert set(found.pictures) == {"globe"}
    assert not any(name.startswith(("probe", "gain")) for name in found.figures)


def test_without_the_demo_packages_the_retrieval_is_still_reported(
    model: TwoTowers,
    batch: dict[str, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("labels come with the demo: pip install 'satclip[demo]'")

    monkeypatch.setattr(final_report, "labelled_places", missing)
    monkeypatch.setattr(final_report, "globe_picture", missing)
    with caplog.at_level(logging.WARNING):
        found = FinalReport().measured(model, batch, tmp_path, described="last weights", recipe={})
    assert caplog.text.count("pip install 'satclip[demo]'") == 2
    assert found.benchmark is None
    assert not found.pictures
    assert (tmp_path / "retrieval.csv").is_file()
