"""The probe table: honest splits, the rows that were promised, the same figures every time."""

import pytest
import torch

from satclip.data.split import block_split
from satclip.downstream.places import labelled_places
from satclip.downstream.probe import feature_sets, probe_table, splits
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import ENCODINGS
from satclip.location.networks import NETWORKS
from satclip.sphere import block_ids, uniform_on_sphere


def encoder(le_type: str = "sphericalharmonics", **options: int) -> LocationEncoder:
    torch.manual_seed(3)
    return LocationEncoder(
        ENCODINGS[le_type](**options), lambda **dims: NETWORKS["siren"](**dims, hidden_dim=32, first_omega=5.0), 16
    )


def test_the_block_split_tests_where_the_training_never_looked() -> None:
    lonlat = uniform_on_sphere(4000, torch.Generator().manual_seed(0))
    for fraction, degrees in ((0.1, 5.0), (0.3, 10.0)):
        _, split = splits(lonlat, val_fraction=fraction, split_degrees=degrees)
        assert torch.equal(split.test, block_split(lonlat, fraction, degrees))
        block = block_ids(lonlat, degrees)
        for part in (split.test, split.held):
            assert not set(block[part].tolist()) & set(block[~part].tolist())
        assert 0.1 < split.held[~split.test].double().mean() < 0.3


def test_the_random_split_is_a_fifth_and_always_the_same() -> None:
    lonlat = uniform_on_sphere(4000, torch.Generator().manual_seed(0))
    first, second = (splits(lonlat)[0] for _ in range(2))
    assert torch.equal(first.test, second.test)
    assert first.test.double().mean() == pytest.approx(0.2, abs=0.02)
    assert first.held[~first.test].double().mean() == pytest.approx(0.2, abs=0.02)


def test_the_rows_are_ours_and_the_plain_encodings_under_both_splits() -> None:
    places = labelled_places(800)
    table = probe_table(encoder(legendre_polys=6), places)
    names = ["embedding", "untrained", "lonlat", "cartesian3d", "wrap", "harmonics, L = 6"]
    assert [row[:3] for row in table.rows] == [
        (split, name, numbers)
        for split in ("random", "block")
        for name, numbers in zip(names, (16, 16, 2, 3, 4, 36), strict=True)
    ]
    assert table.columns[:4] == ("split", "features", "numbers", "elevation R2")
    assert "climate zone accuracy" in table.columns
    scores = {(row[0], row[1]): dict(zip(table.columns, row, strict=True)) for row in table.rows}
    for row in scores.values():
        assert row["elevation R2"] <= 1
        assert 0 < row["climate zone accuracy"] < 1
    for split in ("random", "block"):  # 36 harmonics say more of the world than two angles
        for column in table.columns[3:]:
            assert scores[split, "harmonics, L = 6"][column] > scores[split, "lonlat"][column]
    assert probe_table(encoder(legendre_polys=6), places) == table


def test_an_encoder_without_degrees_is_compared_with_ten() -> None:
    lonlat = uniform_on_sphere(50, torch.Generator().manual_seed(0))
    sets = feature_sets(encoder("wrap"), lonlat)
    assert sets["harmonics, L = 10"].shape == (50, 100)
    assert {features.dtype for features in sets.values()} == {torch.float64}


def test_the_bare_harmonics_end_at_forty() -> None:
    lonlat = uniform_on_sphere(5, torch.Generator().manual_seed(0))
    assert feature_sets(encoder(legendre_polys=50), lonlat)["harmonics, L = 40"].shape == (5, 1600)


def test_the_untrained_row_leaves_the_random_numbers_alone() -> None:
    lonlat = uniform_on_sphere(5, torch.Generator().manual_seed(0))
    model = encoder(legendre_polys=3)
    torch.manual_seed(11)
    sets = feature_sets(model, lonlat)
    drawn = torch.rand(3)
    torch.manual_seed(11)
    assert torch.equal(drawn, torch.rand(3))
    assert not torch.equal(sets["untrained"], sets["embedding"])
