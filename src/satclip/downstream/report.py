"""What a trained model is worth: two tables and a picture, saved beside its checkpoint."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from satclip.downstream.places import FEWEST, TooFewPlacesError, labelled_places
from satclip.downstream.probe import figures, probe_figures, probe_table
from satclip.downstream.seen import Seen
from satclip.downstream.table import Cell, Table
from satclip.embedding import embed
from satclip.location.encoder import LocationEncoder
from satclip.model import TwoTowers
from satclip.plots import globe_picture
from satclip.region import Region
from satclip.retrieval import TOP, chance, retrieval_metrics

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """What `evaluate` found.

    Attributes:
        tables: retrieval, and the probe where its labels are installed.
        picture: the globe, where the outlines of the land are installed.
        metrics: the tables as one number per name, for a logger.
    """

    tables: Mapping[str, Table]
    picture: Path | None
    metrics: Mapping[str, float]


def evaluate(
    model: TwoTowers,
    batch: Mapping[str, Tensor],
    folder: Path,
    *,
    retrieval_places: int = 2000,
    probe_places: int = 10_000,
    val_fraction: float = 0.1,
    split_degrees: float = 5.0,
    degrees: float = 0.5,
    region: Region | None = None,
    held_out: str = "",
    seen: Seen | None = None,
    described: str = "",
) -> Report:
    """Retrieval, probes and the picture of a model; all of it is saved in `folder`.

    Where the packages of the demo extra are missing, or a region has too few places to probe, a warning says so and the
    rest is done.

    Args:
        model: both towers; evaluated as they are, left in the mode they came in.
        batch: validation places as the towers take them, {"image": [N, C, H, W], "lonlat": [N, 2]}.
        folder: takes retrieval.*, probe.* (md, csv, json) and globe.png.
        retrieval_places: search among the first so many of the batch.
        probe_places: places the probe is trained and tested on.
        val_fraction: what the training held out; the probe's block split holds out the same.
        split_degrees: size of its blocks.
        degrees: spacing of the picture's places.
        region: where to probe and draw; None for the whole globe.
        held_out: how the places of the batch were kept from training, in words.
        seen: what the location encoder was trained on; None where that is not known.
        described: which weights these are, in words.
    """
    places = retrieval_report(model, batch, folder, places=retrieval_places, held_out=held_out, described=described)
    tables, found = {"retrieval": places}, _retrieval_figures(places)
    picture = None
    try:
        try:
            tables["probe"] = probe_report(
                model.location_encoder,
                folder,
                places=probe_places,
                val_fraction=val_fraction,
                split_degrees=split_degrees,
                region=region,
                seen=seen,
                described=described,
            )
            found |= figures(tables["probe"])
        except TooFewPlacesError as error:
            log.warning("the report has no probe: %s", error)
        picture = globe_picture(model.location_encoder, folder / "globe.png", degrees=degrees, region=region)
    except ModuleNotFoundError as error:
        log.warning("the report lacks its probe or picture: %s", error)
    return Report(tables, picture, found)


def figures_alone(
    model: TwoTowers,
    batch: Mapping[str, Tensor],
    *,
    retrieval_places: int = 2000,
    probe_places: int = 10_000,
    val_fraction: float = 0.1,
    split_degrees: float = 5.0,
    region: Region | None = None,
) -> dict[str, float]:
    """The figures that `evaluate` would find of a model, without tables, files or words."""
    found = _retrieval_figures(_retrieval_table(model, batch, places=retrieval_places))
    with suppress(ModuleNotFoundError, TooFewPlacesError):
        places = labelled_places(probe_places, region=region)
        encoder = model.location_encoder
        found |= probe_figures(encoder, places, val_fraction=val_fraction, split_degrees=split_degrees)
    return found


def retrieval_report(
    model: TwoTowers,
    batch: Mapping[str, Tensor],
    folder: Path,
    *,
    places: int = 2000,
    held_out: str = "",
    described: str = "",
) -> Table:
    """Search among the first `places` of the batch, both ways. Saved as retrieval.* in `folder`."""
    table = _retrieval_table(model, batch, places=places, held_out=held_out, described=described)
    table.save(folder, "retrieval")
    return table


def _retrieval_table(
    model: TwoTowers, batch: Mapping[str, Tensor], *, places: int, held_out: str = "", described: str = ""
) -> Table:
    lonlat = batch["lonlat"][:places]
    images = _embed_images(model, batch["image"][:places])
    found = retrieval_metrics(images, embed(model.location_encoder, lonlat).to(images), lonlat.cpu())
    found |= chance(lonlat)
    columns = (*(f"top{k}" for k in TOP), "median_km")
    rows: list[tuple[Cell, ...]] = [
        (way.replace("_", " "), *(found[f"{way}/{column}"] for column in columns))
        for way in ("image_to_location", "location_to_image", "chance")
    ]
    title = f"Retrieval{described and f' of the {described}'} among {len(lonlat):,} validation places"
    title += f" ({held_out})" if held_out else ""
    if len(lonlat) < FEWEST:
        title += f". Fewer than {FEWEST}: compare with chance, most of it is luck"
    return Table(title, ("search", *columns), tuple(rows))


def probe_report(
    encoder: LocationEncoder,
    folder: Path,
    *,
    places: int = 10_000,
    val_fraction: float = 0.1,
    split_degrees: float = 5.0,
    region: Region | None = None,
    seen: Seen | None = None,
    described: str = "",
) -> Table:
    """Probe the encoder and the plain encodings. Saved as probe.* in `folder`.

    Raises:
        ModuleNotFoundError: when the packages of the demo extra are missing.
        ValueError: when there are too few places.
    """
    table = probe_table(
        encoder,
        labelled_places(places, region=region),
        val_fraction=val_fraction,
        split_degrees=split_degrees,
        seen=seen,
        described=described,
    )
    table.save(folder, "probe")
    return table


@torch.no_grad()
def _embed_images(model: TwoTowers, images: Tensor) -> Tensor:
    """Image embeddings on the CPU, a part of the batch at a time: [N, C, H, W] -> [N, D]."""
    was_training = model.training
    model.eval()
    try:
        device = model.logit_scale.device
        return torch.cat([model.encode_image(part.to(device)).float().cpu() for part in torch.split(images, 256)])
    finally:
        model.train(was_training)


def _retrieval_figures(table: Table) -> dict[str, float]:
    """`retrieval/image_to_location/top10` and so on, by name."""
    return {
        f"retrieval/{str(row[0]).replace(' ', '_')}/{column}": float(value)
        for row in table.rows
        for column, value in zip(table.columns[1:], row[1:], strict=True)
    }
