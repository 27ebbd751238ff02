"""Embeddings of a whole grid of longitudes and latitudes, cheaper than place by place.

On a grid the harmonics separate: feature (l, m) is a function of latitude times sin or cos of m longitudes. So the
first layer is summed over l once for a row of latitude, and then costs each place of the row 2 L - 1 products for a
hidden unit, where place by place it costs L * L.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from satclip.harmonics import legendre_rows, longitude_rows
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.sphere import angle_dtype

_BLOCK_PLACES = 4096


def encode_grid(model: LocationEncoder, lons: Tensor, lats: Tensor) -> Tensor:
    """Embed every crossing of `lats` [R] and `lons` [C] in degrees: [R, C, embedding_dim] on the model's device.

    The result of 0.1 degrees is 6.5 million places: `encode_rows` gives it piece by piece.
    """
    device, dtype = model.network.first.weight.device, model.network.first.weight.dtype
    grid = torch.empty(len(lats), len(lons), model.embedding_dim, device=device, dtype=dtype)
    start = 0
    for block in encode_rows(model, lons, lats):
        grid[start : start + len(block)] = block
        start += len(block)
    return grid


@torch.no_grad()
def encode_rows(model: LocationEncoder, lons: Tensor, lats: Tensor) -> Iterator[Tensor]:
    """Embed the crossings of `lats` [R] and `lons` [C], some rows at a time: blocks [r, C, embedding_dim].

    Memory is that of a block, some thousand places or one row, not that of the grid. Equal to `model` place by place
    up to the rounding of the weights' dtype.

    Raises:
        ValueError: when `lons` or `lats` is not one-dimensional, or there are none.
    """
    if lons.ndim != 1 or lats.ndim != 1 or not len(lons) or not len(lats):
        raise ValueError(f"lons and lats must be [C] and [R] degrees, got {list(lons.shape)} and {list(lats.shape)}")
    device = model.network.first.weight.device
    lons, lats = (axis.to(device, angle_dtype(device)) for axis in (lons, lats))
    rows = max(1, _BLOCK_PLACES // len(lons))
    if isinstance(model.encoding, SphericalHarmonics):
        yield from _separated(model, model.encoding, lons, lats, rows)
        return
    for latitudes in torch.split(lats, rows):
        places = torch.cartesian_prod(latitudes, lons).flip(-1)
        yield model(places).unflatten(0, (len(latitudes), len(lons)))


def _separated(
    model: LocationEncoder, encoding: SphericalHarmonics, lons: Tensor, lats: Tensor, rows: int
) -> Iterator[Tensor]:
    first, tables = model.network.first, encoding.tables
    around = longitude_rows(torch.deg2rad(lons), tables, first.weight.dtype).T  # [C, 2 L - 1]
    weight, source = _by_order(first.weight, encoding)
    for latitudes in torch.split(lats, rows):
        legendre = legendre_rows(torch.deg2rad(latitudes), tables, first.weight.dtype)  # [series, r]
        with torch.autocast(lons.device.type, enabled=False):
            along = torch.bmm(legendre[source].transpose(1, 2), weight)  # [2 L - 1, r, hidden]
            hidden = torch.matmul(around, along.transpose(0, 1))  # [r, C, hidden]
        yield model.network.rest(hidden if first.bias is None else hidden.add_(first.bias))


def _by_order(weight: Tensor, encoding: SphericalHarmonics) -> tuple[Tensor, Tensor]:
    """Sort the columns of the first layer by longitude row, then degree: [2 L - 1, L, hidden], and their Legendre rows.

    The harmonics of order m have L - |m| degrees; what is left over has weight zero.
    """
    count, tables = encoding.legendre_polys, encoding.tables
    degrees = torch.arange(count, device=weight.device)
    degree = degrees.repeat_interleave(2 * degrees + 1)  # of each feature
    sorted_weight = weight.new_zeros(2 * count - 1, count, len(weight))
    sorted_weight[tables.longitude_row, degree] = weight.T
    source = tables.legendre_row.new_zeros(2 * count - 1, count)
    source[tables.longitude_row, degree] = tables.legendre_row
    return sorted_weight, source
