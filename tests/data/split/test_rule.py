import pytest
import torch

from satclip.data.split.rule import block_split, random_split
from satclip.sphere import block_ids, great_circle_km, uniform_on_sphere

PLACES = uniform_on_sphere(8_000, torch.Generator().manual_seed(0))


def test_a_block_is_wholly_in_or_wholly_out() -> None:
    chosen, blocks = block_split(PLACES, 0.1), block_ids(PLACES)
    assert not set(blocks[chosen].tolist()) & set(blocks[~chosen].tolist())
    assert 0.07 < chosen.double().mean() < 0.13


def test_validation_places_of_a_random_split_have_near_neighbours_and_of_a_block_split_have_not() -> None:
    def median_distance(chosen: torch.Tensor) -> float:
        held = PLACES[chosen][:200]
        return float(great_circle_km(held[:, None], PLACES[~chosen][None]).min(1).values.median())

    names = [f"patch_{n}.tif" for n in range(len(PLACES))]
    assert median_distance(block_split(PLACES, 0.1)) > 1.2 * median_distance(random_split(names, 0.1))


def test_a_place_keeps_its_side_whatever_else_is_in_the_data() -> None:
    assert torch.equal(block_split(PLACES, 0.1)[:500], block_split(PLACES[:500], 0.1))
    assert torch.equal(block_split(PLACES.flip(0), 0.1).flip(0), block_split(PLACES, 0.1))


def test_a_name_keeps_its_side_whatever_else_is_in_the_data() -> None:
    names = [f"patch_{n}.tif" for n in range(5000)]
    chosen = random_split(names, 0.2)
    assert torch.equal(random_split(names[::-1], 0.2).flip(0), chosen)
    assert 0.18 < chosen.double().mean() < 0.22


def test_the_split_of_a_release_is_the_split_of_the_next() -> None:
    assert random_split([f"patch_{n}.tif" for n in range(60)], 0.1).nonzero().flatten().tolist() == NAMES
    centres = torch.tensor([[lon, 2.5] for lon in range(-180, 180, 5)], dtype=torch.float64) + 0.1
    assert block_split(centres, 0.1).nonzero().flatten().tolist() == BLOCKS


def test_a_larger_fraction_only_adds_blocks() -> None:
    small, large = block_split(PLACES, 0.1), block_split(PLACES, 0.3)
    assert not (small & ~large).any()


def test_two_places_suffice_for_a_validation_set() -> None:
    for pair in PLACES[:40].split(2):
        assert block_split(pair, 0.1).sum() == 1


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_fraction_that_leaves_nothing_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="val_fraction must lie between 0 and 1"):
        block_split(PLACES, fraction)


NAMES = [0, 4, 7, 24, 45, 48, 54]
BLOCKS = [4, 5, 11, 31, 48, 58, 61, 64]
