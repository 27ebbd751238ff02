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


def open_encoder(source: str, *, device: str = "cpu", dtype: str | None = "float32") -> LocationEncoder:
    """The location encoder of `source`, computing in float64 for `dtype` float64, as saved for None, else in float32.

    Raises:
        click.ClickException: it cannot be loaded.
        click.BadParameter: the device is not there, or is MPS with float64.
    """
    chosen = choose_device(device)
    if chosen == "mps" and dtype == "float64":
        raise click.BadParameter("MPS has no float64: add --device cpu", param_hint="--dtype")
    computed = {None: None, "float64": torch.float64}.get(dtype, torch.float32)
    with expected(OSError, ValueError, ModuleNotFoundError):
        encoder = load_location_encoder(source, device=chosen, dtype=computed)
    if Path(source.removeprefix(UNTRAINED)).is_dir() and Path(encoder.source or source) != Path(source):
        click.echo(f"{source}: taking {encoder.source}", err=True)
    return encoder


def open_model(
    source: str,
    store: Path | None,
    *,
    retrieval: str = "range",
    exclude_within_km: float = 0.0,
    device: str = "cpu",
    dtype: str | None = "float32",
) -> LocationEncoder | RangeEncoder:
    """The encoder, and with a store its training patches beside it.

    Raises:
        click.ClickException, click.BadParameter: as `open_encoder`; or the store is none of this encoder.
        click.BadParameter: options of retrieval are given without a store.
    """
    if store is None and (exclude_within_km or retrieval != "range"):
        raise click.BadParameter("--retrieval and --exclude-within-km need --index STORE", param_hint="--index")
    encoder = open_encoder(source, device=device, dtype=dtype)
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
