"""Another encoder's vectors teach a location encoder."""

from pathlib import Path

import numpy as np
import pytest
import torch

from satclip.checkpoint import get_satclip
from satclip.downstream.rivals.frozen import UNKNOWN
from satclip.downstream.rivals.trained import trained
from satclip.model import TwoTowers
from satclip.runs import hydra_setup, run
from satclip.sphere import uniform_on_sphere, unit_vectors
from satclip.vision import VectorTower

CONF = Path(__file__).parents[2] / "conf"
SMALL = [
    "experiment=distil_geoclip", "vision.teacher=somebody", "pe_type.hidden_dim=32", "legendre_polys=5",
    "embedding_dim=6", "dataset.batch_size=64", "~callbacks.progress", "report=null",
]  # fmt: skip


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A teacher that gives six smooth numbers of a place."""
    lonlat = uniform_on_sphere(600, torch.Generator().manual_seed(0))
    points = unit_vectors(lonlat)
    np.save(tmp_path / "teacher.npy", torch.cat((points, points.square()), 1).float().numpy())
    rows = [f"{longitude!r},{latitude!r}" for longitude, latitude in lonlat.tolist()]
    (tmp_path / "teacher.csv").write_text("\n".join(["lon,lat", *rows]))
    return tmp_path / "teacher.npy"


def train(table: Path, output: Path, *overrides: str) -> dict[str, float]:
    options = [*SMALL, f"dataset.root={table}", f"output_dir={output}", *overrides]
    return run.train(hydra_setup.compose(CONF, options))


def test_a_student_learns_its_teacher_and_the_checkpoint_says_whose_vectors_they_were(
    table: Path, tmp_path: Path
) -> None:
    assert train(table, tmp_path / "run", "epochs=30")["last/val/loss"] < 0.1  # of numbers with deviation 1
    best = tmp_path / "run" / "checkpoints" / "best.ckpt"
    recipe = trained(best).recipe
    assert (recipe["features"]["teacher"], recipe["vision"]["teacher"]) == ("teacher.npy", "somebody")
    assert len(recipe["features"]["sha256"]) == 64
    assert trained(best).seen == UNKNOWN
    towers = get_satclip(best, return_all=True)
    assert isinstance(towers, TwoTowers)
    assert isinstance(towers.vision, VectorTower)
    with torch.no_grad():
        taught = towers.encode_image(torch.from_numpy(np.load(table)[:50]))
        places = torch.from_numpy(np.loadtxt(table.with_suffix(".csv"), delimiter=",", skiprows=1)[:50])
        assert (taught - towers.encode_location(places)).square().mean() < 0.1


def test_a_learning_head_goes_with_contrastive_losses_alone(table: Path, tmp_path: Path) -> None:
    assert train(table, tmp_path / "clip", "epochs=1", "loss=clip", "vision.head=linear")["last/val/loss"] > 0
    with pytest.raises(ValueError, match=r"loss=match needs .* VectorTower does: .*vision\.head=standardised"):
        train(table, tmp_path / "match", "vision.head=linear")


def test_an_image_tower_is_refused_on_vectors(table: Path, tmp_path: Path) -> None:
    images = ["vision=statistics", "dataset.bands=[R,G,B]", "dataset.image_size=32"]
    small = [option for option in SMALL if not option.startswith("vision.")]
    options = [*small, "~vision.head", *images, f"dataset.root={table}", f"output_dir={tmp_path}/run"]
    with pytest.raises(ValueError, match="is a table of 6 numbers a place, which no image tower gives; give vision="):
        run.train(hydra_setup.compose(CONF, options))
