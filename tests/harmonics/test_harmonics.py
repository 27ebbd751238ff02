import subprocess
import sys

import mpmath
import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y

from satclip.harmonics import (
    CALCULATIONS,
    HarmonicTables,
    batches,
    evaluate_harmonics,
    harmonic_tables,
    legendre_rows,
    longitude_rows,
    many_harmonics,
)
from satclip.optional_import import optional
from satclip.sphere import uniform_on_sphere

HARD_PLACES = torch.tensor(
    [
        [0, 90],
        [50, -90],
        [180, 0],
        [-180, 0],
        [360, -45],
        [10, 89.9999],
        [33, -89.9],
        [0, 0],
        [-180, 89],
    ],
    dtype=torch.float64,
)
EASY_PLACES = uniform_on_sphere(24, torch.Generator().manual_seed(0))
PLACES = torch.cat((HARD_PLACES, EASY_PLACES))


def degrees_and_orders(count: int) -> tuple[np.ndarray, np.ndarray]:
    degree = np.concatenate([[degree] * (2 * degree + 1) for degree in range(count)])
    return degree, np.arange(count**2) - degree * (degree + 1)


def by_scipy(places: torch.Tensor, count: int) -> torch.Tensor:
    """Orthonormal, with the reference's angles: longitude from the date line, polar angle from the south pole."""
    degree, order = degrees_and_orders(count)
    around, polar = np.deg2rad(places[:, 0:1].numpy() + 180), np.deg2rad(places[:, 1:2].numpy() + 90)
    wave = sph_harm_y(degree, np.abs(order), polar, around) * (-1.0) ** order  # scipy has the Condon-Shortley phase
    return torch.from_numpy(np.where(order == 0, wave.real, np.sqrt(2) * np.where(order < 0, wave.imag, wave.real)))


def by_mpmath(place: torch.Tensor, degree: int, order: int) -> mpmath.mpf:
    """The textbook: factorials and Rodrigues' derivative, as a sum of exact powers, with 120 digits."""
    with mpmath.workdps(120):
        longitude, latitude = (mpmath.mpf(value) * mpmath.pi / 180 for value in place.tolist())
        around, z = longitude + mpmath.pi, mpmath.cos(latitude + mpmath.pi / 2)
        m = abs(order)
        derivative = mpmath.fsum(
            (-1) ** k
            * mpmath.binomial(degree, k)
            * mpmath.binomial(2 * degree - 2 * k, degree)
            * mpmath.factorial(degree - 2 * k)
            / mpmath.factorial(degree - 2 * k - m)
            * z ** (degree - 2 * k - m)
            for k in range((degree - m) // 2 + 1)
        )
        legendre = derivative * mpmath.cos(latitude) ** m / 2**degree
        norm = mpmath.sqrt(
            (2 * degree + 1) / (4 * mpmath.pi) * mpmath.factorial(degree - m) / mpmath.factorial(degree + m)
        )
        if order == 0:
            return norm * legendre
        return mpmath.sqrt(2) * norm * legendre * (mpmath.sin if order < 0 else mpmath.cos)(m * around)


@pytest.mark.parametrize("count", [1, 2, 3, 10, 40, 41, 100])
def test_every_harmonic_is_that_of_scipy(count):
    ours = evaluate_harmonics(PLACES, harmonic_tables(count), torch.float64)
    torch.testing.assert_close(ours, by_scipy(PLACES, count), atol=1e-12, rtol=0)


@pytest.mark.parametrize("degree", [3, 39, 99])
def test_harmonics_of_high_degree_are_the_textbook_formula(degree):
    ours = evaluate_harmonics(PLACES, harmonic_tables(degree + 1), torch.float64)
    for row in (0, 2, 5, 6, 8, 12, 20):
        for order in {-degree, -degree // 2, -1, 0, 1, 2, degree - 1, degree}:
            value = ours[row, degree * (degree + 1) + order].item()
            assert abs(value - by_mpmath(PLACES[row], degree, order)) < 1e-13


@pytest.mark.parametrize("count", [10, 40, 100])
def test_squares_of_a_degree_add_up_everywhere(count):
    """Unsoeld's theorem: the squares of the 2l + 1 harmonics of degree l sum to (2l + 1) / 4 pi, at every place."""
    squares = evaluate_harmonics(PLACES, harmonic_tables(count), torch.float64) ** 2
    degree = torch.from_numpy(degrees_and_orders(count)[0])
    sums = torch.zeros(len(PLACES), count, dtype=torch.float64).index_add_(1, degree, squares)
    expected = (2 * torch.arange(count, dtype=torch.float64) + 1) / (4 * torch.pi)
    torch.testing.assert_close(sums, expected.expand_as(sums), rtol=1e-13, atol=0)


def test_harmonics_are_orthonormal_over_the_sphere():
    count = 12
    nodes, weights = np.polynomial.legendre.leggauss(count)
    longitude = torch.arange(2 * count, dtype=torch.float64) * 360 / (2 * count) - 180
    latitude = torch.from_numpy(np.rad2deg(np.arcsin(nodes)))
    places = torch.cartesian_prod(latitude, longitude).flip(-1)
    area = torch.from_numpy(weights).repeat_interleave(2 * count) * torch.pi / count
    features = evaluate_harmonics(places, harmonic_tables(count), torch.float64)
    torch.testing.assert_close(features.T @ (area[:, None] * features), torch.eye(count**2, dtype=torch.float64))


@pytest.mark.parametrize("count", [10, 40, 100])
def test_float32_harmonics_are_exact_to_their_rounding(count):
    tables = harmonic_tables(count)
    single = evaluate_harmonics(PLACES, tables, torch.float32)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), evaluate_harmonics(PLACES, tables, torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("count", "bound"), [(10, 2e-6), (40, 1e-4), (100, 1e-3)])
def test_a_device_without_float64_stays_within_the_promised_error(count, bound):
    tables = harmonic_tables(count)
    narrow = HarmonicTables(*(table.float() if table.is_floating_point() else table for table in tables))
    longitude, latitude = torch.deg2rad(PLACES.float()).unbind(-1)
    legendre = legendre_rows(latitude, narrow, torch.float32)[tables.legendre_row]
    around = longitude_rows(longitude, narrow, torch.float32)[tables.longitude_row]
    exact = evaluate_harmonics(PLACES.float(), tables, torch.float64)
    torch.testing.assert_close((legendre * around).T.double(), exact, atol=bound, rtol=0)


def test_analytic_harmonics_have_pi_on_order_zero():
    places = torch.tensor([[12.0, 30.0]], dtype=torch.float64)
    features = evaluate_harmonics(places, harmonic_tables(2, "analytic"), torch.float64)[0]
    assert features[0].item() == pytest.approx(0.886226925452758)  # sqrt(pi) / 2
    assert features[2].item() == pytest.approx(1.534990061919732 * -0.5)  # sqrt(3 pi) / 2 cos(120 degrees)


def test_the_three_calculations_differ_by_their_two_scales_alone():
    order = degrees_and_orders(12)[1]
    orthonormal, analytic, closed = (
        evaluate_harmonics(PLACES, harmonic_tables(12, name), torch.float64)
        for name in ("orthonormal", "analytic", "closed-form")
    )
    torch.testing.assert_close(analytic, orthonormal * torch.from_numpy(np.where(order == 0, np.pi, 1)))
    torch.testing.assert_close(closed, orthonormal * torch.from_numpy(np.where(order % 2, -1.0, 1.0)))


@pytest.mark.parametrize("calculation", CALCULATIONS)
@pytest.mark.parametrize("count", [1, 2, 10, 40, 64, 100])
@pytest.mark.parametrize("number", [1, 1500])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_many_places_get_the_same_harmonics_as_a_few(count, calculation, dtype, number):
    """With numba or sphericart installed this compares implementations; without them, blocks with one piece."""
    places = torch.cat((HARD_PLACES, uniform_on_sphere(number, torch.Generator().manual_seed(5))))
    tables = harmonic_tables(count, calculation)
    many = many_harmonics(places, tables, calculation, dtype)
    assert many.dtype == dtype
    exact = evaluate_harmonics(places, tables, torch.float64)
    torch.testing.assert_close(many.double(), exact, atol=1e-12 if dtype == torch.float64 else 1e-6, rtol=0)


@pytest.mark.parametrize("count", [40, 64, 100])
def test_float32_features_hold_no_subnormal_numbers(count):
    """Near a pole cos(latitude)^m leaves float32's normal range, and processors slow down on what lies below it."""
    latitude = torch.linspace(-90, 90, 721, dtype=torch.float64)
    places = torch.stack((torch.full_like(latitude, 33.3), latitude), -1)
    features = many_harmonics(places, harmonic_tables(count), "orthonormal", torch.float32).abs()
    assert not ((features > 0) & (features < torch.finfo(torch.float32).tiny)).any()


@pytest.mark.parametrize("libraries", ["none", "sphericart", "numba"])
def test_many_places_need_no_library(monkeypatch, libraries):
    if libraries != "numba":
        monkeypatch.setattr(batches, "kernel", lambda: None)
    if libraries != "sphericart":
        monkeypatch.setattr(batches, "sphericart", None)
    places = uniform_on_sphere(1000, torch.Generator().manual_seed(6))
    tables = harmonic_tables(20)
    exact = evaluate_harmonics(places, tables, torch.float64)
    torch.testing.assert_close(many_harmonics(places, tables, "orthonormal", torch.float64), exact, atol=1e-13, rtol=0)


def test_a_numba_that_cannot_be_imported_is_done_without(monkeypatch):
    optional.cache_clear()
    monkeypatch.setitem(sys.modules, "satclip.harmonics.kernel", None)
    assert batches.kernel() is None
    optional.cache_clear()


def test_a_forked_process_computes_without_openmp(monkeypatch):
    """GNU OpenMP aborts the fork of a process that has used it: a data loader's worker must not."""
    monkeypatch.setattr(batches, "_PROCESS", -1)
    monkeypatch.setattr(batches, "by_numba", None)
    monkeypatch.setattr(batches, "by_sphericart", None)
    tables, places = harmonic_tables(5), EASY_PLACES
    torch.testing.assert_close(
        many_harmonics(places, tables, "orthonormal", torch.float64),
        evaluate_harmonics(places, tables, torch.float64),
    )


@pytest.mark.parametrize("calculation", CALCULATIONS)
@pytest.mark.parametrize(("count", "within"), [(40, 1e-12), (100, 1e-11)])
def test_the_compiled_loop_is_right_everywhere(calculation, count, within):
    kernel = pytest.importorskip("satclip.harmonics.kernel", exc_type=ImportError)
    tables = harmonic_tables(count, calculation)
    near_pole = torch.stack((torch.linspace(-180, 180, 500), torch.linspace(89, 90, 500)), -1).double()
    for places in (PLACES, near_pole, uniform_on_sphere(1025, torch.Generator().manual_seed(7))):
        features = torch.from_numpy(kernel.compute(places.numpy(), count, calculation, np.float64, 2)).T
        exact = evaluate_harmonics(places, tables, torch.float64)
        torch.testing.assert_close(features, exact, atol=within, rtol=0)


@pytest.mark.parametrize("count", [10, 100])
def test_no_places_get_no_harmonics(count):
    features = many_harmonics(torch.empty(0, 2), harmonic_tables(count), "orthonormal", torch.float32)
    assert features.shape == (0, count**2)


def test_gradients_are_right_at_the_poles_and_on_the_date_line():
    tables = harmonic_tables(9, "analytic")
    places = HARD_PLACES.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: evaluate_harmonics(x, tables, torch.float64), places, atol=1e-7)


def test_turning_the_earth_exchanges_sine_and_cosine():
    """d/dlongitude of the harmonic (l, m) is -m times (l, -m): an identity at degree 99, poles included."""
    count = 100
    places = HARD_PLACES[[0, 2, 5]].clone().requires_grad_()
    features = evaluate_harmonics(places, harmonic_tables(count), torch.float64)
    degree, order = (torch.from_numpy(index) for index in degrees_and_orders(count))
    tangent = torch.zeros_like(places)
    tangent[:, 0] = 180 / torch.pi  # one radian of longitude
    _, derivative = torch.autograd.functional.jvp(
        lambda x: evaluate_harmonics(x, harmonic_tables(count), torch.float64), places, tangent
    )
    expected = -order * features.detach()[:, degree * (degree + 1) - order]
    torch.testing.assert_close(derivative, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_is_nan_at_degree_99_in_either_direction(dtype):
    places = HARD_PLACES.clone().requires_grad_()
    features = evaluate_harmonics(places, harmonic_tables(100), dtype)
    features.sum().backward()
    assert features.isfinite().all()
    assert places.grad is not None
    assert places.grad.isfinite().all()


def test_autocast_and_fast_products_never_lower_the_precision():
    tables = harmonic_tables(40)
    plain = evaluate_harmonics(PLACES, tables, torch.float32)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(evaluate_harmonics(PLACES, tables, torch.float32), plain)
    finally:
        torch.set_float32_matmul_precision(before)


def test_the_series_are_short_and_small():
    """What makes them exact: at most 50 terms, of absolute sum below sqrt((2l + 1) / 2 pi)."""
    series = harmonic_tables(100).series
    assert series.shape == (4, 1275, 50)
    assert series.abs().sum(-1).max() < (199 / (2 * torch.pi)) ** 0.5


@pytest.mark.parametrize("count", [0, 101, -3])
def test_degrees_out_of_range_are_refused(count):
    with pytest.raises(ValueError, match=f"legendre_polys must be 1 to 100, got {count}"):
        harmonic_tables(count)


def test_an_unknown_calculation_is_refused():
    with pytest.raises(ValueError, match="analytic, closed-form, orthonormal, got 'shperical'"):
        harmonic_tables(3, "shperical")


def test_torch_keeps_its_number_of_threads() -> None:
    program = (
        "import torch; from satclip.harmonics import harmonic_tables, many_harmonics; torch.set_num_threads(1); "
        "many_harmonics(torch.rand(600, 2), harmonic_tables(10), 'orthonormal', torch.float32); "
        "print(torch.get_num_threads())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]
