"""Real spherical harmonics of places on the Earth, exact at every degree up to 100."""

from satclip.harmonics.evaluate import evaluate_harmonics
from satclip.harmonics.tables import CALCULATIONS, MAX_LEGENDRE_POLYS, HarmonicTables, harmonic_tables

__all__ = ["CALCULATIONS", "MAX_LEGENDRE_POLYS", "HarmonicTables", "evaluate_harmonics", "harmonic_tables"]
