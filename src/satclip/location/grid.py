"""Embeddings of a whole grid of longitudes and latitudes, cheaper than place by place.

On a grid the harmonics separate: feature (l, m) is a function of latitude times sin or cos of m longitudes. So the
first layer is summed over l once for a row of latitude, and then costs each place of the row 2 L - 1 products for a
hidden unit, where place by place it costs L * L.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from satclip.harmonics import legendre_rows, longitude_rows, without_autocast
from satclip.location.capture import exporting, refuse_recording
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import BandedLinear
from satclip.location.places import check_axes
from satclip.sphere import angle_dtype, radians

_BLOCK_PLACES = 4096


def encode_grid(model: LocationEncoder, lons: Tensor, lats: Tensor) -> Tensor:
    """Embed every crossing of `lats` [R] and `lons` [C] in degrees: [R, C, embedding_dim] on the model's device.

    Without gradients. The result of 0.1 degrees is 6.5 million places: `encode_rows` gives it piece by piece.

    Raises:
        TypeError, ValueError, RuntimeError: as `encode_rows`.
    """
    rows = encode_rows(model, lons, lats)
    grid = torch.empty(len(lats), len(lons), model.embedding_dim, dtype=model.dtype, device=model.device)
    start = 0
    for block in rows:
        grid[start : start + len(block)] = block
        start += len(block)
    return grid


def encode_rows(model: LocationEncoder, lons: Tensor, lats: Tensor) -> Iterator[Tensor]:
    """Embed the crossings of `lats` [R] and `lons` [C], some rows at a time: blocks [r, C, embedding_dim].

    Memory is that of a block, some thousand places or one row, not that of the grid. Equal to `model` place by place
    up to the rounding of the weights' dtype.

    Raises:
        TypeError: when `lons` or `lats` is no tensor of degrees.
        ValueError: when `lons` or `lats` is not one-dimensional, there are none, or they lie nowhere on the Earth.
        RuntimeError: the call is traced, exported or transformed.
    """
    if not isinstance(lons, Tensor) or not isinstance(lats, Tensor):
        kinds = f"{type(lons).__name__} and {type(lats).__name__}"
        raise TypeError(f"lons and lats must be tensors [C] and [R] of degrees, got {kinds}; torch.linspace gives one")
    if exporting() or not torch.compiler.is_compiling():  # a compiler guards the sizes that the loops below depend on
        refuse_recording("encode_grid", lons, lats)
    if lons.ndim != 1 or lats.ndim != 1 or not len(lons) or not len(lats):
        raise ValueError(f"lons and lats must be [C] and [R] degrees, got {list(lons.shape)} and {list(lats.shape)}")
    check_axes(lons, lats)
    device = model.device
    lons, lats = (axis.to(device, angle_dtype(device)) for axis in (lons, lats))
    blocks = torch.split(lats, max(1, _BLOCK_PLACES // len(lons)))
    if isinstance(model.encoding, SphericalHarmonics) and isinstance(model.network.first.weight, Tensor):
        return _separated(model, model.encoding, lons, blocks)
    return _place_by_place(model, lons, blocks)


@torch.no_grad()
def _place_by_place(model: LocationEncoder, lons: Tensor, blocks: tuple[Tensor, ...]) -> Iterator[Tensor]:
    for lats in blocks:
        places = torch.cartesian_prod(lats, lons).flip(-1)
        yield model(places).reshape(len(lats), len(lons), -1)


@torch.no_grad()
def _separated(
    model: LocationEncoder, encoding: SphericalHarmonics, lons: Tensor, blocks: tuple[Tensor, ...]
) -> Iterator[Tensor]:
    first, tables = model.network.first, encoding.tables
    around = longitude_rows(radians(lons), tables, first.weight.dtype).T  # [C, 2 L - 1]
    weight, source = _by_order(_first_weight(first, encoding), encoding)
    past, gain = model.skip.features, encoding.gain(first.weight.dtype)
    for lats in blocks:
        legendre = legendre_rows(radians(lats), tables, first.weight.dtype)  # [series, r]
        with without_autocast(lons.device):
            along = torch.bmm(legendre[source].transpose(1, 2), weight)  # [2 L - 1, r, hidden]
            hidden = torch.matmul(around, along.transpose(0, 1))  # [r, C, hidden]
            low = legendre[tables.legendre_row[past]].T[:, None] * around[:, tables.longitude_row[past]]
            low = low if gain is None else low * gain[past]
        yield model.skip.beside(model.network.rest(hidden if first.bias is None else hidden.add_(first.bias)), low)


def _first_weight(first: nn.Linear, encoding: SphericalHarmonics) -> Tensor:
    """The first layer's weights as harmonics that nobody has damped meet them: [hidden, L * L]."""
    weight = first.seen_weight() if isinstance(first, BandedLinear) else first.weight
    gain = encoding.gain(weight.dtype)
    return weight if gain is None else weight * gain


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
