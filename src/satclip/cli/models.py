"""The model that a command works with, on the device that was asked for."""

from pathlib import Path

import click
import torch

from satclip.checkpoint import load_location_encoder
from satclip.checkpoint.sources import UNTRAINED
from satclip.cli.failures import expected
from satclip.index import RangeEncoder, open_store
from satclip.index.range import Form
from satclip.location.encoder import LocationEncoder
from satclip.location.prefix import shorten


def open_encoder(
    source: str, *, device: str = "cpu", dtype: str | None = "float32", dims: int | None = None
) -> LocationEncoder:
    """The location encoder of `source`, computing in float64 for `dtype` float64, as saved for None, else in float32.

    With `dims` it gives so many numbers, brought to length 1; says so where it was not trained for that.

    Raises:
        click.ClickException: it cannot be loaded.
        click.BadParameter: the device is not there, or is MPS with float64; or there are not so many numbers.
    """
    chosen = choose_device(device)
    if chosen == "mps" and dtype == "float64":
        raise click.BadParameter("MPS has no float64: add --device cpu", param_hint="--dtype")
    computed = {None: None, "float64": torch.float64}.get(dtype, torch.float32)
    with expected(OSError, ValueError, ModuleNotFoundError):
        encoder = load_location_encoder(source, device=chosen, dtype=computed)
    if Path(source.removeprefix(UNTRAINED)).is_dir() and Path(encoder.source or source) != Path(source):
        click.echo(f"{source}: taking {encoder.source}", err=True)
    if dims is not None:
        check_dims(dims, encoder.embedding_dim, encoder.nested, source)
        encoder = shorten(encoder, dims)
    return encoder


def check_dims(dims: int, whole: int, nested: tuple[int, ...], source: str) -> None:
    """Refuse more numbers than an embedding has; say so where its first ones were not trained to stand alone.

    Raises:
        click.BadParameter: there are not so many.
    """
    if dims > whole:
        raise click.BadParameter(
            f"the embedding of {source} has {whole} numbers: give {whole} at most", param_hint="--dims"
        )
    if dims not in (*nested, whole):
        trained = f"for its first {', '.join(map(str, nested))}" if nested else "for all of its numbers together"
        click.echo(f"note: {source} was trained {trained}; its first {dims} alone may say little", err=True)


def open_model(
    source: str,
    store: Path | None,
    *,
    retrieval: str = "range",
    exclude_within_km: float = 0.0,
    device: str = "cpu",
    dtype: str | None = "float32",
    dims: int | None = None,
) -> LocationEncoder | RangeEncoder:
    """The encoder, and with a store its training patches beside it.

    Raises:
        click.ClickException, click.BadParameter: as `open_encoder`; or the store is none of this encoder.
        click.BadParameter: options of retrieval are given without a store, or with one a prefix is asked for.
    """
    if store is None and (exclude_within_km or retrieval != "range"):
        raise click.BadParameter("--retrieval and --exclude-within-km need --index STORE", param_hint="--index")
    if store is not None and dims is not None:
        raise click.BadParameter("a store is of whole embeddings; leave one of --dims and --index", param_hint="--dims")
    encoder = open_encoder(source, device=device, dtype=dtype, dims=dims)
    if store is None:
        return encoder
    with expected(OSError, ValueError):
        form: Form = "range+" if retrieval == "range+" else "range"
        return RangeEncoder(encoder, open_store(store), form=form, exclude_within_km=exclude_within_km)


def choose_device(name: str) -> str:
    """`auto` as cuda, mps or cpu, the first that is there; any other as it is.

    Raises:
        click.BadParameter: the named device is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(device for device, present in there.items() if present)
    if not there[name]:
        raise click.BadParameter(f"there is no {name} on this machine: try --device auto", param_hint="--device")
    return name
