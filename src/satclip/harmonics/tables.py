"""The constants of the harmonics: every normalised Legendre function as a short Fourier series in latitude.

N P_l^m(sin latitude) is a trigonometric polynomial of degree l in the latitude, whose frequencies share the parity of
l: a cosine series where l + m is even, a sine series where it is odd (Hofsommer and Potters 1960). The absolute values
of a series' coefficients add up to less than sqrt((2l + 1) / 2 pi), 5.6 at degree 99. So nothing overflows or cancels,
a harmonic near a pole is as exact as one at the equator, and the derivative needs no division by cos(latitude).
"""

from functools import lru_cache
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

MAX_LEGENDRE_POLYS = 100
CALCULATIONS = ("analytic", "closed-form", "orthonormal")

_Floats = npt.NDArray[np.float64]
_Wide = npt.NDArray[np.longdouble]
_PI = np.longdouble("3.14159265358979323846264338327950288")


class HarmonicTables(NamedTuple):
    """Constants for `evaluate_harmonics`, float64 and int64.

    The series come in four classes, l parity by m parity: (even, even), (even, odd), (odd, even), (odd, odd), each
    padded with zeros to the same number of rows. Feature l * l + l + m is the Legendre row `legendre_row` (counted
    through the classes) times the longitude row `longitude_row`.
    """

    series: Tensor  # [4, rows, K], K = ceil(L / 2)
    frequencies: Tensor  # [2, K, 1]: the even frequencies of a latitude, and the odd ones
    orders: Tensor  # [L, 1]: 0..L-1, the multiples of a longitude
    legendre_row: Tensor  # [L * L]
    longitude_row: Tensor  # [L * L], into sin(m longitude), m = 1..L-1, then cos(m longitude), m = 0..L-1


def harmonic_tables(legendre_polys: int, calculation: str = "orthonormal") -> HarmonicTables:
    """Build the tables of the harmonics of degrees below `legendre_polys`, on the CPU.

    The reference measures the polar angle from the south pole and longitude from the date line. That is the antipode of
    the place, which multiplies degree l by (-1)^l and changes nothing else. `calculation` scales the harmonics:

    - "orthonormal": not at all; squares integrate to one over the sphere, no Condon-Shortley phase.
    - "analytic": m = 0 times pi, as the published SatCLIP weights were trained.
    - "closed-form": odd m times -1 (the Condon-Shortley phase), the reference's other choice.

    Raises:
        ValueError: when `legendre_polys` is not a whole number from 1 to 100, or `calculation` is none of the three.
    """
    if not isinstance(legendre_polys, Integral) or not 1 <= legendre_polys <= MAX_LEGENDRE_POLYS:
        raise ValueError(f"legendre_polys must be 1 to {MAX_LEGENDRE_POLYS}, got {legendre_polys!r}")
    if calculation not in CALCULATIONS:
        raise ValueError(f"harmonics_calculation must be one of {', '.join(CALCULATIONS)}, got {calculation!r}")
    return HarmonicTables(*map(torch.from_numpy, _arrays(legendre_polys, calculation)))


@lru_cache(maxsize=16)
def _arrays(legendre_polys: int, calculation: str) -> tuple[npt.NDArray[Any], ...]:
    """The tables as numpy arrays. Tensors are not kept: they belong to the inference mode, the fake tensors or the
    default device in which they were first asked for.
    """
    degree, order = np.tril_indices(legendre_polys)
    kind = 2 * (degree % 2) + order % 2
    place = np.zeros_like(kind)  # of a series within its class
    for value in range(4):
        place[kind == value] = np.arange((kind == value).sum())
    rows = place.max() + 1
    half = (legendre_polys + 1) // 2
    padded = np.zeros((legendre_polys, legendre_polys, 2 * half))
    padded[..., :legendre_polys] = _fourier_series(legendre_polys) * scales(legendre_polys, calculation)[..., None]
    series = np.zeros((4, rows, half))
    for value in range(4):
        members = kind == value
        series[value, place[members]] = padded[degree[members], order[members], value // 2 :: 2]
    row_of = np.zeros((legendre_polys, legendre_polys), dtype=np.int64)
    row_of[degree, order] = kind * rows + place
    feature_degree = np.repeat(np.arange(legendre_polys), 2 * np.arange(legendre_polys) + 1)
    feature_order = np.arange(legendre_polys**2) - feature_degree * (feature_degree + 1)
    around = np.where(feature_order < 0, -feature_order - 1, legendre_polys - 1 + feature_order)
    frequencies = np.arange(2 * half, dtype=np.float64).reshape(half, 2, 1).swapaxes(0, 1).copy()
    orders = np.arange(legendre_polys, dtype=np.float64)[:, None]
    return series, frequencies, orders, row_of[feature_degree, np.abs(feature_order)], around


def scales(count: int, calculation: str) -> _Floats:
    """Return what multiplies the orthonormal harmonic of each degree and order, |m|: [L, L]."""
    degree, order = np.indices((count, count))
    scale = np.where(degree % 2 == 1, -1.0, 1.0)
    if calculation == "analytic":
        scale[order == 0] *= np.pi
    if calculation == "closed-form":
        scale[order % 2 == 1] *= -1
    return scale


def _fourier_series(count: int) -> _Floats:
    """Coefficients [degree, order, frequency]: the discrete Fourier transform of the functions at `count` latitudes."""
    quarter_turns = 2 * np.arange(count) + 1 - count  # a latitude in units of pi / (2 count), exact
    unit = _PI / np.longdouble(2 * count)
    values = _legendre(count, quarter_turns.astype(np.longdouble) * unit).astype(np.float64)
    # The phase is reduced as an integer, so that frequency 99 is as exact as frequency 1.
    phase = np.outer(quarter_turns, np.arange(count)) % (4 * count)
    angle = phase.astype(np.longdouble) * unit
    weight = np.where(np.arange(count) == 0, 1, 2) / count
    cosines, sines = np.cos(angle).astype(np.float64) * weight, np.sin(angle).astype(np.float64) * weight
    degree, order, frequency = np.ogrid[:count, :count, :count]
    series = np.where((degree + order) % 2 == 0, values @ cosines, values @ sines)
    return np.where((order <= degree) & (frequency <= degree) & ((degree - frequency) % 2 == 0), series, 0.0)


def recurrence_factors(count: int) -> tuple[_Wide, _Wide, _Wide]:
    """Factors of the normalised recurrence of Holmes and Featherstone (2002), in extended precision where there is any.

    Returns `sectoral` [L], `growth` [L, L] and `decay` [L, L], zero where they mean nothing, with
    P(0, 0) = sectoral[0], P(m, m) = sectoral[m] cos(latitude) P(m - 1, m - 1), and
    P(l, m) = growth[l, m] sin(latitude) P(l - 1, m) - decay[l, m] P(l - 2, m).
    """
    degree, order = np.indices((count, count)).astype(np.longdouble)
    growth, decay = np.zeros((2, count, count), dtype=np.longdouble)
    inside = order < degree
    above, m = degree[inside], order[inside]
    growth[inside] = np.sqrt((4 * above**2 - 1) / (above**2 - m**2))
    inner = order < degree - 1
    above, m = degree[inner], order[inner]
    decay[inner] = growth[inner] * np.sqrt(((above - 1) ** 2 - m**2) / (4 * (above - 1) ** 2 - 1))
    step = np.arange(1, count, dtype=np.longdouble)
    pair = np.where(step == 1, 2, 1)
    sectoral = np.concatenate(([np.sqrt(1 / (4 * _PI))], np.sqrt(pair + pair / (2 * step))))
    return sectoral, growth, decay


def _legendre(count: int, latitude: _Wide) -> _Wide:
    """Orthonormal Legendre functions [degree, order, latitude], times sqrt(2) for m > 0.

    The recurrence is normalised throughout: the textbook factorials overflow float64 at degree 86. In extended
    precision, once; what is left is rounding, 1e-14 at degree 99 (2e-13 where long double is float64).
    """
    sine, cosine = np.sin(latitude), np.cos(latitude)
    sectoral, growth, decay = recurrence_factors(count)
    values = np.zeros((count, count, len(latitude)), dtype=np.longdouble)
    values[0, 0] = sectoral[0]
    for degree in range(1, count):
        values[degree, degree] = sectoral[degree] * cosine * values[degree - 1, degree - 1]
        values[degree, :degree] = growth[degree, :degree, None] * sine * values[degree - 1, :degree]
        if degree > 1:
            values[degree, :degree] -= decay[degree, :degree, None] * values[degree - 2, :degree]
    return values
