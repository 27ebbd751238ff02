"""Says at the start what an encoder can tell apart where its training patches lie."""

import logging

import lightning as L
import torch

from satclip.likeness import PLACES, Resolution, finest_km, resolution
from satclip.location.encoder import LocationEncoder
from satclip.region import Region

log = logging.getLogger(__name__)


class TellResolution(L.Callback):
    """A line at the start of a training: the finest wave of the harmonics, and where similarity halves, in the region.

    A warning where the region is no wider than a half wave: then all of it is one place to the encoder.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measure and say it, on the first process alone."""
        if not trainer.is_global_zero:
            return
        data: object = getattr(trainer, "datamodule", None)
        lonlat = getattr(data, "train_lonlat", None)
        if not isinstance(lonlat, torch.Tensor) or len(lonlat) < 2:
            return
        encoder = getattr(getattr(pl_module, "model", None), "location_encoder", None)
        if isinstance(encoder, LocationEncoder):
            tell(encoder, lonlat)


def tell(encoder: LocationEncoder, lonlat: torch.Tensor) -> None:
    """Log what the encoder resolves among places in degrees, [N, 2]."""
    region = Region.around(lonlat)
    size = float("inf") if region is None else region.square_kilometres**0.5
    where = "the whole globe" if region is None else f"{region}, {size:,.0f} km across"
    step = max(1, len(lonlat) // PLACES)
    with torch.random.fork_rng(devices=[]):
        found = resolution(encoder, lonlat[::step][:PLACES])
    degrees = encoder.encoding.options().get("legendre_polys")
    half = finest_km(degrees) if isinstance(degrees, int) else None
    words = [_halves(found)]
    if half is not None:
        words.insert(0, f"L = {degrees} has half waves of {half:,.0f} km and more")
    log.info("in the region of the training patches (%s) %s", where, "; ".join(words))
    if half is not None and half > size:
        log.warning(
            "that is wider than the region: all of it is nearly one place to the encoder; legendre_polys=100 has 202 km"
        )


def _halves(found: Resolution) -> str:
    if found.half_km is None:
        return "similarity halves at none of 5 to 5,000 km before training"
    return f"similarity halves at {found.half_km:,.0f} km before training"
