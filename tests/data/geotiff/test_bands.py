import pytest

from satclip.data.geotiff.bands import ABSENT, SENTINEL2, SENTINEL2_L2A, Bands, choose_bands, rgb_of


def test_b10_stands_between_b09_and_b11_and_is_the_only_band_that_may_be_absent() -> None:
    assert SENTINEL2.index("B10") == 10
    assert choose_bands(SENTINEL2, SENTINEL2_L2A) == Bands(12, tuple(range(12)), (*range(10), ABSENT, 10, 11))


def test_bands_are_chosen_by_name_in_any_order_and_only_those_are_decoded() -> None:
    assert choose_bands(["B04", "B03", "B10", "B02"], SENTINEL2_L2A) == Bands(12, (1, 2, 3), (2, 1, ABSENT, 0))
    assert choose_bands(["B10"], ["B09", "B10"]) == Bands(2, (1,), (0,))


@pytest.mark.parametrize(
    ("wanted", "held", "complaint"),
    [
        (["B04", "B99"], SENTINEL2_L2A, "no band B99 in the files, which hold B01, B02"),
        ([], SENTINEL2_L2A, "no band at all"),
        (["B10"], SENTINEL2_L2A, "no band at all"),
        (["B04", "B04"], SENTINEL2_L2A, "dataset.bands names a band twice"),
        (["R"], ["R", "G", "G"], "dataset.file_bands names a band twice"),
    ],
)
def test_bands_that_cannot_be_had_are_refused(wanted: list[str], held: list[str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        choose_bands(wanted, held)


@pytest.mark.parametrize(
    ("names", "positions"),
    [(SENTINEL2, (3, 2, 1)), (("B", "G", "R", "N"), (2, 1, 0)), (("VV", "VH"), (0,)), (("x", "y", "z"), (0, 1, 2))],
)
def test_red_green_and_blue_are_found_by_name(names: tuple[str, ...], positions: tuple[int, ...]) -> None:
    assert rgb_of(names) == positions
