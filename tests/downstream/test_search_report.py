"""Finding places by their pictures: the table and its figures, of a small model."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from satclip.downstream.search_report import retrieval_figures, retrieval_report
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import ENCODINGS
from satclip.location.networks import NETWORKS
from satclip.model import TwoTowers
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


def test_the_retrieval_is_a_table_in_three_files_and_its_numbers(
    model: TwoTowers, batch: dict[str, Tensor], tmp_path: Path
) -> None:
    table = retrieval_report(model, batch, tmp_path, places=200)
    assert model.training
    assert {path.name for path in tmp_path.iterdir()} == {f"retrieval.{ending}" for ending in ("md", "csv", "json")}
    found = retrieval_figures(table)
    assert found["retrieval/image_to_location/top1"] == 1.0
    assert found["retrieval/location_to_image/median_km"] < 1.0
    assert found["retrieval/chance/top10"] == 10 / 200
    assert "among 200 validation places" in (tmp_path / "retrieval.md").read_text()


def test_few_places_are_not_called_a_score_without_the_word(
    model: TwoTowers, batch: dict[str, Tensor], tmp_path: Path
) -> None:
    few = retrieval_report(model, batch, tmp_path, places=5, held_out="held out at random", described="last weights")
    assert few.title.startswith(
        "Retrieval of the last weights among 5 validation places (held out at random). Fewer than"
    )
    assert few.rows[-1] == ("chance", 0.2, 1.0, 1.0, pytest.approx(9000, rel=0.5))
    assert "Fewer" not in retrieval_report(model, batch, tmp_path, places=100).title
