import pytest

from satclip.data.bands import ABSENT, SENTINEL2, SENTINEL2_L2A, band_positions


def test_b10_stands_between_b09_and_b11_and_is_the_only_band_that_may_be_absent() -> None:
    assert SENTINEL2.index("B10") == 10
    assert band_positions(SENTINEL2, SENTINEL2_L2A) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ABSENT, 10, 11]


def test_bands_are_chosen_by_name_in_any_order() -> None:
    assert band_positions(["B04", "B03", "B02"], SENTINEL2_L2A) == [3, 2, 1]
    assert band_positions(["B10"], ["B09", "B10"]) == [1]


@pytest.mark.parametrize(
    ("wanted", "held", "complaint"),
    [
        (["B04", "B99"], SENTINEL2_L2A, "no band B99 in the files, which hold B01, B02"),
        ([], SENTINEL2_L2A, "no band at all"),
        (["B04", "B04"], SENTINEL2_L2A, "dataset.bands names a band twice"),
        (["R"], ["R", "G", "G"], "dataset.file_bands names a band twice"),
    ],
)
def test_bands_that_cannot_be_had_are_refused(wanted: list[str], held: list[str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        band_positions(wanted, held)
