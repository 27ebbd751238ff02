"""The embedding of a grid in the blocks that a raster wants."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray

from satclip.cli.rasters.cells import Cells, slices
from satclip.cli.rasters.geotiff import INT8
from satclip.index import RangeEncoder
from satclip.location.encoder import LocationEncoder
from satclip.location.grid import encode_rows

_ROWS = 128
Block = tuple[slice, slice, NDArray[Any]]


class Embedded:
    """An encoder at the centres of cells; with `land` NaN over the ocean."""

    def __init__(self, encoder: LocationEncoder | RangeEncoder, cells: Cells, *, land: bool) -> None:
        self.cells, self.land = cells, land
        self._rows = encoder.rows if isinstance(encoder, RangeEncoder) else partial(encode_rows, encoder)

    def blocks(self, size: tuple[int, int]) -> Iterator[Block]:
        """Rows, columns and values [rows, columns, D] of blocks of at most `size`, one strip of columns at a time."""
        longitudes, latitudes = torch.from_numpy(self.cells.places), torch.from_numpy(self.cells.latitudes)
        height, width = size
        for columns in slices(self.cells.width, width):
            embedded = chain.from_iterable(self._rows(longitudes[columns], latitudes))
            for rows in slices(self.cells.height, height):
                values = torch.stack(tuple(islice(embedded, rows.stop - rows.start))).cpu().numpy()
                if self.land:
                    values[~self.cells.on_land(rows, columns)] = np.nan
                yield rows, columns, values

    def scales(self, advance: Callable[[int], None]) -> NDArray[np.float64]:
        """What a step of int8 stands for in each band, [D]: its largest number is 127 of them; 1 for a band of zeros.

        Raises:
            click.ClickException: a number is infinite, or there is none.
        """
        largest: NDArray[np.float64] | None = None
        for _, columns, values in self.blocks((_ROWS, max(1, 4096 * 64 // _ROWS))):
            here = np.fmax.reduce(np.abs(values).reshape(-1, values.shape[-1]), 0).astype(np.float64)
            largest = here if largest is None else np.fmax(largest, here)
            advance(values.shape[0] * len(range(*columns.indices(self.cells.width))))
        if largest is None or not np.isfinite(largest).all():
            raise click.ClickException("no cell has a finite embedding here: take other --bounds or --no-land")
        return np.where(largest > 0, largest, INT8) / INT8
