"""`satclip predict`: places for a picture, from both towers of a checkpoint."""

import csv
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren
from satclip.loss import ClipLoss
from satclip.training.module import ContrastiveModule
from satclip.training.optim import adamw
from satclip.vision import TinyCNN

VISION = {"_target_": "satclip.vision.TinyCNN", "in_channels": 3, "width": 4, "embedding_dim": 8}
DATASET = {
    "_target_": "satclip.data.datamodule.S2DataModule", "root": "gone", "bands": ["R", "G", "B"],
    "file_bands": ["R", "G", "B"], "scale": 255.0, "image_size": 16, "split": "all",
}  # fmt: skip


@pytest.fixture(scope="module")
def module() -> ContrastiveModule:
    torch.manual_seed(3)
    encoder = LocationEncoder(SphericalHarmonics(5), partial(Siren, hidden_dim=16), 8)
    vision = TinyCNN(in_channels=3, width=4, embedding_dim=8)
    made = ContrastiveModule(encoder, vision, ClipLoss(), partial(adamw, lr=1e-3, weight_decay=0.0))
    made.recipe = {"config": {"dataset": DATASET, "loss": {"_target_": "satclip.loss.MatchLoss"}}, "vision": VISION}
    return made


@pytest.fixture(scope="module")
def checkpoint(module: ContrastiveModule, tmp_path_factory: pytest.TempPathFactory) -> Path:
    content: dict[str, Any] = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    path = tmp_path_factory.mktemp("two") / "best.ckpt"
    torch.save(content, path)
    return path


def write_patch(path: Path, *, bands: int = 3, size: int = 16, place: bool = True) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (bands, size, size), dtype=np.uint8)
    where = {"crs": "EPSG:4326", "transform": rasterio.Affine(0.01, 0, 10.0, 0, -0.01, 50.0)} if place else {}
    with rasterio.open(path, "w", driver="GTiff", height=size, width=size, count=bands, dtype="uint8", **where) as file:
        file.write(pixels)
    return path


def read(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@torch.no_grad()
def test_the_places_are_those_of_the_largest_cosine_with_their_distances(
    satclip: Any, module: ContrastiveModule, checkpoint: Path, tmp_path: Path
) -> None:
    patch = write_patch(tmp_path / "a.tif")
    lonlat = np.random.default_rng(1).uniform((-180, -80), (180, 80), (300, 2))
    np.savetxt(tmp_path / "mine.csv", lonlat, delimiter=",", header="lon,lat", comments="")
    arguments = ("--model", checkpoint, "--gallery", tmp_path / "mine.csv", "--top", 4, "--apart-km", 0)
    outcome = satclip("predict", patch, *arguments, "-o", tmp_path / "out.csv")
    assert outcome.code == 0
    assert "remembered, not recognised" in outcome.err
    assert "MatchLoss" in outcome.err
    assert "1 pictures, 300 candidates" in outcome.err
    with rasterio.open(patch) as file:
        image = torch.from_numpy(file.read()).float()[None] / 255
    model = module.model.eval()
    cosine = torch.cosine_similarity(model.encode_image(image), model.location_encoder(torch.from_numpy(lonlat)))
    rows, best = read(tmp_path / "out.csv"), cosine.argsort(descending=True)[:4]
    share = torch.softmax(cosine.double() * model.logit_scale.exp().double(), 0)
    for row, index in zip(rows, best.tolist(), strict=True):
        assert (float(row["lon"]), float(row["lat"])) == pytest.approx(tuple(lonlat[index]), abs=1e-3)
        assert float(row["similarity"]) == pytest.approx(float(cosine[index]), abs=2e-4)
        assert float(row["share"]) == pytest.approx(float(share[index]), rel=0.06)
    a, b = np.radians([10.08, 49.92]), np.radians(lonlat[best[0]])
    cos = np.sin(a[1]) * np.sin(b[1]) + np.cos(a[1]) * np.cos(b[1]) * np.cos(a[0] - b[0])
    assert float(rows[0]["km"]) == pytest.approx(6371 * np.arccos(cos), abs=2)


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")  # as it is written here
def test_guesses_lie_apart_and_a_picture_without_a_place_has_no_distance(
    satclip: Any, checkpoint: Path, tmp_path: Path
) -> None:
    patch = write_patch(tmp_path / "a.tif", place=False)
    arguments = ("--model", checkpoint, "--candidates", 500, "--bounds", 170, -40, -170, -20, "--apart-km", 300)
    assert satclip("predict", patch, *arguments, "-o", tmp_path / "out.csv").code == 0
    rows = read(tmp_path / "out.csv")
    assert {row["km"] for row in rows} == {""}
    x = np.radians([[float(row["lon"]), float(row["lat"])] for row in rows])
    v = np.stack((np.cos(x[:, 1]) * np.cos(x[:, 0]), np.cos(x[:, 1]) * np.sin(x[:, 0]), np.sin(x[:, 1])), 1)
    assert 6371 * (np.arccos((v @ v.T).clip(-1, 1)) + 10 * np.eye(len(v))).min() > 299
    assert np.abs(np.abs(np.degrees(x[:, 0])) - 180).max() <= 10


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("bands", "can be used"),
        ("small", "can be used"),
        ("text", "can be used"),
        ("encoder", "location encoder alone"),
    ],
)
def test_what_is_no_such_picture_or_no_two_towers_is_a_line(
    kind: str, said: str, satclip: Any, checkpoint: Path, model: str, tmp_path: Path
) -> None:
    patch = write_patch(tmp_path / "a.tif", bands=2 if kind == "bands" else 3, size=8 if kind == "small" else 16)
    if kind == "text":
        patch.write_text("no picture")
    outcome = satclip("predict", patch, "--model", model if kind == "encoder" else checkpoint, "--candidates", 50)
    assert outcome.code == 1
    assert said in outcome.err
    assert outcome.out == ""
