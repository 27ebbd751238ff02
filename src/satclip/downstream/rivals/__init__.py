"""Encoders to compare with, all through one contract: longitude and latitude in degrees to vectors."""

from satclip.downstream.rivals.frozen import Frozen
from satclip.downstream.rivals.parse import Row, source
from satclip.downstream.rivals.tuned import Joined, Tuned, tuned
from satclip.downstream.rivals.untrained import tuned_bandwidth, untrained

__all__ = ["Frozen", "Joined", "Row", "Tuned", "source", "tuned", "tuned_bandwidth", "untrained"]
