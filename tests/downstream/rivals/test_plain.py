"""Encodings that have learned nothing, against their formulas."""

import numpy as np
import pytest
from numpy.typing import NDArray

from satclip.downstream.rivals.plain import encoding, harmonics, raw, sincos, tuned_harmonics
from satclip.location.encodings import ENCODINGS

Array = NDArray[np.float64]


def test_raw_and_sincos_are_what_their_names_say(places: Array) -> None:
    lon, lat = np.radians(places).T
    assert np.array_equal(raw()(places), places)
    expected = np.stack([np.sin(lat), np.cos(lat), np.sin(lon), np.cos(lon)], 1)
    np.testing.assert_allclose(sincos()(places), expected, atol=1e-15)


@pytest.mark.parametrize("polys", [1, 6, 20])
def test_every_column_of_the_harmonics_knows_its_degree(places: Array, polys: int) -> None:
    """Unsöld's theorem: over one degree the squares sum to (2 l + 1) / 4 pi at every place."""
    bare = harmonics(polys)
    values = bare(places)
    assert bare.degrees.shape == (polys**2,) == values.shape[1:]
    for degree in range(polys):
        total = (values[:, bare.degrees == degree] ** 2).sum(1)
        np.testing.assert_allclose(total, (2 * degree + 1) / (4 * np.pi), rtol=1e-10)


@pytest.mark.parametrize("name", sorted(ENCODINGS))
def test_every_encoding_is_a_rival_that_has_seen_nothing(places: Array, name: str) -> None:
    built = encoding(name, {"legendre_polys": 4} if name == "sphericalharmonics" else {})
    values = built(places)
    assert (built.name, built.seen, len(values)) == (name, "nothing", len(places))
    assert np.isfinite(values).all()
    assert values.dtype == np.float64


def test_options_reach_the_encoding_and_its_fingerprint() -> None:
    coarse, fine = encoding("grid", {"min_radius": 10}), encoding("grid", {"min_radius": 1})
    assert coarse.fingerprint != fine.fingerprint
    assert fine.fingerprint == encoding("grid", {"min_radius": 1}).fingerprint
    with pytest.raises(ValueError, match="grid does not take radius; its options are: frequencies, min_radius"):
        encoding("grid", {"radius": 1})
    with pytest.raises(ValueError, match="unknown encoding 'gird'"):
        encoding("gird")


def test_tuned_harmonics_are_several_to_choose_from() -> None:
    group = tuned_harmonics()
    assert [each.name for each in group.candidates] == [f"harmonics, L = {polys}" for polys in (5, 10, 20, 40)]
    assert group.seen == "nothing"


@pytest.mark.parametrize("bad", [[[0.0, 95.0]], [[np.nan, 0.0]], [[400.0, 0.0]], [0.0, 0.0], [[0.0, 0.0, 0.0]]])
def test_what_is_no_place_is_refused(bad: list[object]) -> None:
    with pytest.raises(ValueError, match="longitude"):
        sincos()(np.array(bad))
