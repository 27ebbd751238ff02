"""GPS2Vec on Keras files that the test writes, and the UTM grid under it."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from satclip.downstream.rivals.gps2vec import GPS2Vec, lattice
from satclip.downstream.rivals.utm import extent, metres, zones

h5py = pytest.importorskip("h5py", reason="NEEDS pip install 'satclip[demo]'")
pytest.importorskip("pyproj", reason="NEEDS pip install 'satclip[cli]'")

Array = NDArray[np.float64]
SINGAPORE, BERLIN, LIMA = (103.764553967551, 1.3199909039789364), (13.4, 52.5), (-77.03, -12.05)


def keras(path: Path, heads: dict[str, int], *, below: str = "", widths: tuple[int, ...] = (512, 1024, 2048)) -> None:
    """Random weights in the layout that Keras saves: a group per layer, and in it one of the same name."""
    random = np.random.default_rng(len(path.name))
    sizes = {f"layer{number}": width for number, width in enumerate(widths, 1)}
    with h5py.File(path, "w") as file:
        before = 400
        for name, width in [*sizes.items(), *heads.items()]:
            group = file.create_group(f"{below}{name}/{name}")
            group["kernel:0"] = random.normal(0, before**-0.5, (before, width)).astype("f4")
            group["bias:0"] = random.normal(0, 0.1, width).astype("f4")
            before = width if name in sizes else before


@pytest.mark.parametrize(
    ("place", "zone"),
    [
        (SINGAPORE, "48 N"),
        (BERLIN, "33 U"),
        (LIMA, "18 L"),
        ((5.3, 60.4), "32 V"),  # Bergen: the zone is wider there
        ((2.0, 60.4), "31 V"),
        ((15.6, 78.2), "33 X"),  # Svalbard
        ((-180.0, 0.0), "1 N"),
        ((180.0, -0.1), "1 M"),
        ((0.0, 84.1), ""),
        ((0.0, -80.1), ""),
    ],
)
def test_a_place_has_its_utm_zone(place: tuple[float, float], zone: str) -> None:
    assert zones(np.array([place])).tolist() == [zone]


def test_metres_are_those_of_the_zone() -> None:
    centre = metres("33 U", np.array([[15.0, 52.0]]))
    np.testing.assert_allclose(
        centre, [[500_000, 0.9996 * 5_763_343.55]], atol=0.1
    )  # WGS 84 meridian arc to 52 degrees
    assert metres("18 L", np.array([LIMA]))[0, 1] == pytest.approx(10_000_000 - 1_332_900, abs=1500)


def test_a_zone_is_mirrored_about_its_middle_and_contains_its_places() -> None:
    reach = extent("48 N")
    assert reach.west + reach.east == pytest.approx(1_000_000)
    assert reach.south == pytest.approx(0, abs=1e-6)
    assert 880_000 < reach.north < 890_000  # 8 degrees of latitude
    east, north = metres("48 N", np.array([SINGAPORE]))[0]
    assert reach.west < east < reach.east
    assert reach.south < north < reach.north


def test_the_feature_of_a_cell_falls_with_the_distance_to_its_centre() -> None:
    place = np.array([SINGAPORE])
    values, reach, (east, north) = lattice("48 N", place)[0].reshape(20, 20), extent("48 N"), metres("48 N", place)[0]
    step = ((reach.east - reach.west) / 20, (reach.north - reach.south) / 20)
    for across in (0, 7, 19):
        for along in (0, 3, 19):
            x, y = reach.west + step[0] * (across + 0.5), reach.south + step[1] * (along + 0.5)
            assert values[across, along] == pytest.approx(np.exp(-np.hypot(east - x, north - y) / 20_000), rel=1e-9)


@pytest.mark.parametrize("below", ["", "model_weights/"])
@pytest.mark.parametrize(("heads", "width"), [({"object": 1000, "scene": 365}, 1365), ({"tag": 2000}, 2000)])
def test_each_zone_has_its_own_network(tmp_path: Path, heads: dict[str, int], width: int, below: str) -> None:
    for zone in ("48 N", "33 U"):
        keras(tmp_path / f"model_{zone}.h5", heads, below=below)
    lonlat = np.array([SINGAPORE, BERLIN, (104.0, 1.0)])
    encoder = GPS2Vec(tmp_path)
    vectors = encoder(lonlat)
    assert vectors.shape == (3, width)
    np.testing.assert_allclose(vectors.sum(1), len(heads), rtol=1e-5)
    for row, zone in enumerate(("48 N", "33 U", "48 N")):
        with h5py.File(tmp_path / f"model_{zone}.h5") as file:
            w = {name: np.asarray(file[f"{below}{name}/{name}/kernel:0"], float) for name in file[below or "/"]}
            b = {name: np.asarray(file[f"{below}{name}/{name}/bias:0"], float) for name in file[below or "/"]}
        hidden = lattice(zone, lonlat[row : row + 1])
        for layer in ("layer1", "layer2", "layer3"):
            hidden = np.maximum(hidden @ w[layer] + b[layer], 0)
        parts = [np.exp(hidden @ w[head] + b[head]) for head in heads]
        expected = np.concatenate([part / part.sum() for part in parts], 1)[0]
        np.testing.assert_allclose(vectors[row], expected, rtol=1e-3, atol=1e-7)


def test_places_without_a_network_are_refused_by_their_zone(tmp_path: Path) -> None:
    keras(tmp_path / "model_48 N.h5", {"tag": 2000})
    with pytest.raises(ValueError, match=r"no network for 2 of 3 places: UTM zones polar \(1\), 33 U \(1\)"):
        GPS2Vec(tmp_path)(np.array([SINGAPORE, BERLIN, (0.0, 89.0)]))


def test_a_folder_or_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no model_\*\.h5 in .*models_visual\.zip"):
        GPS2Vec(tmp_path)
    keras(tmp_path / "model_48 N.h5", {"other": 10})
    with pytest.raises(ValueError, match="object and scene, or tag is missing; it holds layer1"):
        GPS2Vec(tmp_path)(np.array([SINGAPORE]))
    keras(tmp_path / "model_48 N.h5", {"tag": 2000}, widths=(512, 1024))
    with pytest.raises(ValueError, match="layer3 is missing"):
        GPS2Vec(tmp_path)(np.array([SINGAPORE]))
