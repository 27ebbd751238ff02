"""Real spherical harmonics of places on the Earth, exact at every degree below 100."""

from satclip.harmonics.batches import many_harmonics, one_thread_after_a_fork
from satclip.harmonics.evaluate import evaluate_harmonics, legendre_rows, longitude_rows, without_autocast
from satclip.harmonics.tables import CALCULATIONS, MAX_LEGENDRE_POLYS, HarmonicTables, harmonic_tables

__all__ = [
    "CALCULATIONS",
    "MAX_LEGENDRE_POLYS",
    "HarmonicTables",
    "evaluate_harmonics",
    "harmonic_tables",
    "legendre_rows",
    "longitude_rows",
    "many_harmonics",
    "one_thread_after_a_fork",
    "without_autocast",
]
