"""The probe table: honest splits, the rows that were promised, the same figures every time."""

import pytest
import torch

from satclip.data.split.rule import block_split
from satclip.downstream.places import LabelledPlaces, labelled_places
from satclip.downstream.probe import feature_sets, figures, probe_figures, probe_table, splits, usable
from satclip.downstream.seen import Seen
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
    assert [(row[0], *row[3:5]) for row in table.rows] == [
        (split, name, numbers)
        for split in ("random", "block")
        for name, numbers in zip(names, (16, 16, 2, 3, 4, 36), strict=True)
    ]
    assert table.columns[:6] == ("split", "test n", "imagery", "features", "numbers", "elevation R2")
    assert "climate zone accuracy" in table.columns
    scores = {(row[0], row[3]): dict(zip(table.columns, row, strict=True)) for row in table.rows}
    for row in scores.values():
        assert row["elevation R2"] <= 1
        assert 0 < row["climate zone accuracy"] < 1
    for split in ("random", "block"):  # 36 harmonics say more of the world than two angles
        for column in table.columns[5:]:
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


def imagery(places: LabelledPlaces, seen: Seen | None) -> dict[tuple[object, object], object]:
    """What the table says that each row's features have seen of the test places."""
    table = probe_table(encoder(legendre_polys=3), places, seen=seen)
    return {(row[0], row[3]): row[2] for row in table.rows}


def test_a_row_says_what_its_encoder_was_trained_on_and_nothing_that_is_not_known() -> None:
    places = labelled_places(600)
    held_out = block_split(places.lonlat, 0.1)
    blocks = imagery(places, Seen(places.lonlat[~held_out], 5.0))
    assert blocks["block", "embedding"] == "unseen blocks"
    assert str(blocks["random", "embedding"]).endswith(" % seen")
    everywhere = imagery(places, Seen(places.lonlat, 5.0))  # as a random split of dense imagery has it
    assert everywhere["block", "embedding"] == everywhere["random", "embedding"] == "seen in training"
    assert imagery(places, None)["block", "embedding"] == "unknown"
    for table in (blocks, everywhere):
        assert {table[split, name] for split, name in table if name != "embedding"} == {"none"}


def test_a_title_says_which_places_and_which_weights() -> None:
    places = labelled_places(300)
    title = probe_table(encoder(legendre_polys=3), places, described="best weights (epoch 4)").title
    assert title.startswith("Ridge probes of the best weights (epoch 4): 300 places on land, tested at random")
    unnamed = LabelledPlaces(places.lonlat, places.tasks, places.labels)
    assert "on land" not in probe_table(encoder(legendre_polys=3), unnamed).title


def test_few_test_places_are_warned_of_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    table = probe_table(encoder(legendre_polys=3), labelled_places(300))
    counts = {row[0]: row[1] for row in table.rows}
    for split, count in counts.items():
        assert 0 < int(count) < 100
        assert (
            f"the probe's {split} split has {count} test places: with fewer than 100 its scores are noise"
            in caplog.text
        )
    caplog.clear()
    probe_table(encoder(legendre_polys=3), labelled_places(2000))
    assert not caplog.text


def test_the_figures_of_other_weights_are_those_that_their_table_would_have() -> None:
    model, places = encoder(legendre_polys=4), labelled_places(800)
    assert probe_figures(model, places) == figures(probe_table(model, places))


def test_a_split_without_test_places_is_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    near = uniform_on_sphere(400, torch.Generator().manual_seed(0)) / 100 + 2.5  # in one block of five degrees
    assert [split.name for split in usable(splits(near))] == ["random"]
    assert "the probe's block split is left out" in caplog.text
    with pytest.raises(ValueError, match="too few to train, tune and test on"):
        usable(splits(near[:1]))
