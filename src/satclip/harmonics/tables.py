"""The constants of the harmonics: every normalised Legendre function as a short Fourier series in latitude.

N P_l^m(sin latitude) is a trigonometric polynomial of degree l in the latitude, whose frequencies k share the parity of
l: a cosine series where l + m is even, a sine series where it is odd (Hofsommer and Potters 1960). The absolute values
of a series' coefficients add up to less than sqrt((2l + 1) / 2 pi), 5.6 at degree 99. So nothing overflows and nothing
cancels, a harmonic near a pole is as exact as one at the equator, and the derivative needs no division by cos(latitude).
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

MAX_LEGENDRE_POLYS = 100
CALCULATIONS = ("analytic", "closed-form", "orthonormal")

_Wide = npt.NDArray[np.longdouble]
_PI = np.longdouble("3.14159265358979323846264338327950288")


class HarmonicTables(NamedTuple):
    """Constants for `evaluate_harmonics`.

    Rows of the series come in four classes, parity of l by parity of m: (even, even), (even, odd), (odd, even),
    (odd, odd). Feature l * l + l + m is the Legendre row `legendre_row` times the longitude row `longitude_row`.
    """

    even_even: Tensor  # [rows, frequencies]
    even_odd: Tensor
    odd_even: Tensor
    odd_odd: Tensor
    legendre_row: Tensor  # int64 [L * L]
    longitude_row: Tensor  # int64 [L * L], into sin(|m| longitude) for m = -(L-1)..-1, then cos(m longitude), m = 0..L-1


@lru_cache(maxsize=16)
def harmonic_tables(legendre_polys: int, calculation: str = "orthonormal") -> HarmonicTables:
    """Build the float64 tables of the harmonics of degrees below `legendre_polys`, on the CPU.

    The reference measures the polar angle from the south pole and longitude from the date line. That is the antipode of
    the place, which multiplies degree l by (-1)^l and changes nothing else. `calculation` scales the harmonics:

    - "orthonormal": none; squares integrate to one over the sphere, no Condon-Shortley phase.
    - "analytic": m = 0 times pi, as the published SatCLIP weights were trained.
    - "closed-form": odd m times -1 (the Condon-Shortley phase), the reference's other choice.

    Raises:
        ValueError: when `legendre_polys` is not 1 to 100, or `calculation` is none of the three.
    """
    if not 1 <= legendre_polys <= MAX_LEGENDRE_POLYS:
        raise ValueError(f"legendre_polys must be 1 to {MAX_LEGENDRE_POLYS}, got {legendre_polys}")
    if calculation not in CALCULATIONS:
        raise ValueError(f"harmonics_calculation must be one of {', '.join(CALCULATIONS)}, got {calculation!r}")
    series = _fourier_series(legendre_polys) * _scale(legendre_polys, calculation)
    classes, pairs = [], []
    for l_parity in (0, 1):
        for m_parity in (0, 1):
            members = [
                (degree, order)
                for degree in range(l_parity, legendre_polys, 2)
                for order in range(m_parity, degree + 1, 2)
            ]
            degrees, orders = np.array(members, dtype=np.int64).reshape(-1, 2).T
            classes.append(torch.from_numpy(np.ascontiguousarray(series[degrees, orders, l_parity::2])))
            pairs += members
    row_of = {pair: row for row, pair in enumerate(pairs)}
    features = [(degree, order) for degree in range(legendre_polys) for order in range(-degree, degree + 1)]
    legendre_row = torch.tensor([row_of[degree, abs(order)] for degree, order in features])
    longitude_row = torch.tensor([order + legendre_polys - 1 for _, order in features])
    return HarmonicTables(*classes, legendre_row, longitude_row)


def _scale(count: int, calculation: str) -> npt.NDArray[np.float64]:
    degree, order = np.ogrid[:count, :count]
    scale = np.where(degree % 2 == 1, -1.0, 1.0) * np.ones((1, count))
    if calculation == "analytic":
        scale[:, 0] *= np.pi
    if calculation == "closed-form":
        scale = scale * np.where(order % 2 == 1, -1.0, 1.0)
    return scale[..., None]


def _fourier_series(count: int) -> npt.NDArray[np.float64]:
    """Coefficients [degree, order, frequency]: the discrete Fourier transform of the functions at `count` latitudes."""
    quarter_turns = 2 * np.arange(count) + 1 - count  # latitude in units of pi / (2 count), exact
    values = _legendre(count, _PI * quarter_turns.astype(np.longdouble) / (2 * count)).astype(np.float64)
    # The phase is reduced as an integer, so that frequency 99 is as exact as frequency 1.
    phase = np.outer(quarter_turns, np.arange(count)) % (4 * count)
    angle = _PI * phase.astype(np.longdouble) / (2 * count)
    weight = np.where(np.arange(count) == 0, 1, 2) / count
    cosines, sines = (wave(angle).astype(np.float64) * weight for wave in (np.cos, np.sin))
    degree, order, frequency = np.ogrid[:count, :count, :count]
    series = np.where((degree + order) % 2 == 0, values @ cosines, values @ sines)
    return np.where((order <= degree) & (frequency <= degree) & ((degree - frequency) % 2 == 0), series, 0.0)


def _legendre(count: int, latitude: _Wide) -> _Wide:
    """Orthonormal Legendre functions [degree, order, latitude], times sqrt(2) for m > 0.

    The recurrence of Holmes and Featherstone (2002), normalised throughout: the textbook factorials overflow float64 at
    degree 86. It runs in extended precision where the machine has it, once; what is left is rounding, 1e-14 at
    degree 99 (2e-13 where long double is float64).
    """
    sine, cosine = np.sin(latitude), np.cos(latitude)
    values = np.zeros((count, count, len(latitude)), dtype=np.longdouble)
    values[0, 0] = np.sqrt(1 / (4 * _PI))
    for degree in range(1, count):
        double = 2 if degree == 1 else 1
        sectoral = np.sqrt(np.longdouble(double * (2 * degree + 1)) / (2 * degree))
        values[degree, degree] = sectoral * cosine * values[degree - 1, degree - 1]
        order = np.arange(degree, dtype=np.longdouble)[:, None]
        growth = np.sqrt((4 * degree**2 - 1) / (degree**2 - order**2))
        values[degree, :degree] = growth * sine * values[degree - 1, :degree]
        if degree > 1:
            decay = np.sqrt(np.maximum((degree - 1) ** 2 - order**2, 0) / (4 * (degree - 1) ** 2 - 1))
            values[degree, :degree] -= growth * decay * values[degree - 2, :degree]
    return values
