import math

import pytest
import torch

from satclip.sphere import (
    EARTH_RADIUS_KM,
    angle_dtype,
    bad_lonlat,
    block_ids,
    check_lonlat,
    great_circle_km,
    in_radians,
    uniform_on_sphere,
    unit_vectors,
    wrap_longitude,
)


def degrees(*rows: tuple[float, float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def test_the_axes_point_where_they_should():
    places = degrees((0, 0), (90, 0), (33, 90), (-180, 0))
    expected = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(unit_vectors(places), expected)


def test_distances_agree_with_the_haversine_formula():
    generator = torch.Generator().manual_seed(0)
    a, b = uniform_on_sphere(50, generator), uniform_on_sphere(50, generator)
    for (lon1, lat1), (lon2, lat2), ours in zip(a.tolist(), b.tolist(), great_circle_km(a, b).tolist(), strict=True):
        south, north = math.radians(lat1), math.radians(lat2)
        half = math.sin((north - south) / 2) ** 2
        half += math.cos(south) * math.cos(north) * math.sin(math.radians(lon2 - lon1) / 2) ** 2
        assert ours == pytest.approx(2 * 6371.0088 * math.asin(math.sqrt(half)), rel=1e-9)


def test_distances_hold_for_the_nearest_and_the_farthest_places():
    millimetre = math.degrees(1e-6 / EARTH_RADIUS_KM)
    near = great_circle_km(degrees((10, 50)), degrees((10, 50 + millimetre)))
    assert near.item() == pytest.approx(1e-6, rel=1e-3)
    opposite = great_circle_km(degrees((10, 50)), degrees((-170, -50)))
    assert opposite.item() == pytest.approx(math.pi * EARTH_RADIUS_KM, rel=1e-12)


def test_distances_broadcast_to_a_matrix():
    places = uniform_on_sphere(4, torch.Generator().manual_seed(1))
    matrix = great_circle_km(places[:, None], places[None])
    assert matrix.shape == (4, 4)
    torch.testing.assert_close(matrix, matrix.T)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_longitudes_wrap_into_the_half_open_circle(dtype):
    turned = wrap_longitude(torch.tensor([180, 540, -181, 360, 359.5, -180 - 1e-9, 179.25], dtype=dtype))
    torch.testing.assert_close(turned[:5], torch.tensor([-180, -180, 179, 0, -0.5], dtype=dtype))
    assert turned.min() >= -180
    assert turned.max() < 180


def test_longitudes_in_range_come_back_bit_for_bit():
    longitude = torch.tensor([1e-12, -180.0, 179.999999999, 12.345678901234567], dtype=torch.float64)
    assert torch.equal(wrap_longitude(longitude), longitude)


@pytest.mark.parametrize("bad", [(math.nan, 0), (0, math.inf), (0, 90.001), (0, -91), (-180.5, 0), (360.1, 0)])
def test_what_is_no_place_is_refused_by_row_number(bad):
    places = degrees((0, 0), (360, 90), bad, (-180, -90))
    assert bad_lonlat(places).tolist() == [False, False, True, False]
    with pytest.raises(ValueError, match=r"1 of 4 rows.*row 2: .*(longitude must lie|swap them)"):
        check_lonlat(places)


def test_only_the_first_bad_rows_are_listed():
    with pytest.raises(ValueError, match=r"row 0.*row 2: \(0, 95\) and 47 more") as refusal:
        check_lonlat(degrees(*[(0, 95)] * 50), show=3)
    assert "row 3" not in str(refusal.value)


def test_latitude_first_is_recognised():
    with pytest.raises(ValueError, match=r"look like \(latitude, longitude\): swap them"):
        check_lonlat(degrees((52.5, 13.4), (35.7, 139.7), (-33.9, 151.2)))


def test_a_wrong_latitude_is_not_taken_for_swapped_columns():
    with pytest.raises(ValueError, match="longitude must lie in"):
        check_lonlat(degrees((120, 10), (13, 95)))


def test_places_may_be_checked_in_any_shape_that_ends_in_two():
    check_lonlat(torch.zeros(3, 4, 2))
    check_lonlat(torch.zeros(0, 2))
    with pytest.raises(ValueError, match=r"last axis of 2.*\(2, 3\)"):
        check_lonlat(torch.zeros(2, 3))


def test_random_places_cover_the_surface_evenly():
    places = uniform_on_sphere(20_000, torch.Generator().manual_seed(2))
    assert places.dtype == torch.float64
    check_lonlat(places)
    # The height of an even spread is uniform on [-1, 1] (Archimedes), so its square has mean 1/3.
    vectors = unit_vectors(places)
    assert vectors.mean(0).abs().max() < 0.02
    torch.testing.assert_close((vectors**2).mean(0), torch.full((3,), 1 / 3, dtype=torch.float64), atol=0.01, rtol=0)


def test_random_places_depend_on_their_generator_alone():
    again = [uniform_on_sphere(5, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*again)


def test_cells_are_numbered_from_the_south_west():
    places = degrees((-180, -90), (-175.1, -85.1), (-174.9, -90), (-180, -84.9), (179.9, 89.9))
    assert block_ids(places).tolist() == [0, 0, 1, 72, 36 * 72 - 1]


def test_the_edges_of_the_map_belong_to_one_cell():
    same = block_ids(degrees((-180, 12), (180, 12)))
    assert same[0] == same[1]
    assert block_ids(degrees((0, 90), (0, 89))).unique().numel() == 1
    assert block_ids(degrees((200, 0), (-160, 0))).unique().numel() == 1


@pytest.mark.parametrize("size", [0.7, 5.0, 7.0, 180.0])
def test_cells_of_any_size_are_counted_without_overlap(size):
    places = uniform_on_sphere(5000, torch.Generator().manual_seed(4))
    columns = math.ceil(360 / size)
    expected = [
        math.floor((lat + 90) / size) * columns + math.floor((lon + 180) / size) for lon, lat in places.tolist()
    ]
    assert block_ids(places, size).tolist() == expected


@pytest.mark.parametrize("size", [0, -1, 181])
def test_cells_of_no_size_are_refused(size):
    with pytest.raises(ValueError, match="degrees must be above 0"):
        block_ids(torch.zeros(1, 2), size)


def test_angles_are_wide_where_the_device_can():
    assert angle_dtype(torch.device("cpu")) == torch.float64
    assert angle_dtype(torch.device("cuda")) == torch.float64
    assert angle_dtype(torch.device("mps")) == torch.float32


def test_radians_are_told_from_degrees_by_where_they_would_lie():
    everywhere = uniform_on_sphere(40, torch.Generator().manual_seed(1))
    assert in_radians(torch.deg2rad(everywhere))
    assert in_radians(torch.deg2rad(torch.remainder(everywhere, 360) * degrees((1, 0)) + everywhere * degrees((0, 1))))
    assert not in_radians(everywhere)
    accra_and_kumasi = degrees((-0.19, 5.6), (-1.62, 6.69)).repeat(4, 1)
    assert not in_radians(accra_and_kumasi)
    assert not in_radians(torch.zeros(40, 2, dtype=torch.float64))  # no table of places at all
    assert not in_radians(torch.deg2rad(everywhere)[:3])
    assert not in_radians(torch.full((9, 2), torch.nan, dtype=torch.float64))
