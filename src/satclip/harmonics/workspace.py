"""The evaluation of `evaluate_harmonics` in memory that is used again: fresh pages cost a CPU more than the sums."""

import torch
from torch import Tensor

from satclip.harmonics.tables import HarmonicTables


class Workspace:
    """Scratch memory for the harmonics of `rows` places at a time, on the CPU and without a gradient."""

    def __init__(self, tables: HarmonicTables, rows: int, dtype: torch.dtype) -> None:
        self.tables, self.rows = tables, rows
        kinds, series, terms = tables.series.shape
        degrees, features = len(tables.orders), len(tables.legendre_row)
        wide = tables.series.dtype
        self.meridian = _empty(2, terms, rows, dtype=wide)
        self.waves = _empty(kinds, terms, rows, dtype=wide)
        self.parallel = _empty(degrees, rows, dtype=wide)
        self.around = _empty(2 * degrees - 1, rows, dtype=wide)
        self.legendre = _empty(kinds, series, rows, dtype=wide)
        same = dtype == wide
        self.rounded_around = self.around if same else _empty(2 * degrees - 1, rows, dtype=dtype)
        self.rounded_legendre = self.legendre if same else _empty(kinds, series, rows, dtype=dtype)
        self.left, self.right = _empty(2, features, rows, dtype=dtype)

    def evaluate(self, longitude: Tensor, latitude: Tensor, out: Tensor) -> None:
        """Radians [rows], [rows] -> harmonics into `out` [L * L, rows]."""
        tables, orders = self.tables, len(self.tables.orders)
        torch.mul(tables.frequencies, latitude, out=self.meridian)
        torch.cos(self.meridian, out=self.waves[0::3])  # (even, even) and (odd, odd)
        torch.sin(self.meridian, out=self.waves[1:3])
        torch.bmm(tables.series, self.waves, out=self.legendre)
        torch.mul(tables.orders, longitude, out=self.parallel)
        torch.sin(self.parallel[1:], out=self.around[: orders - 1])
        torch.cos(self.parallel, out=self.around[orders - 1 :])
        if self.rounded_legendre is not self.legendre:
            self.rounded_legendre.copy_(self.legendre)
            self.rounded_around.copy_(self.around)
        torch.index_select(self.rounded_legendre.flatten(0, 1), 0, tables.legendre_row, out=self.left)
        torch.index_select(self.rounded_around, 0, tables.longitude_row, out=self.right)
        torch.mul(self.left, self.right, out=out)


def _empty(*shape: int, dtype: torch.dtype) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="cpu")  # whatever torch's default device is
