"""What a trained model is worth: two tables and a picture, saved beside its checkpoint."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from satclip.downstream.places import labelled_places
from satclip.downstream.probe import OURS, probe_table
from satclip.downstream.table import Cell, Table
from satclip.embedding import embed
from satclip.location.encoder import LocationEncoder
from satclip.model import TwoTowers
from satclip.plots import globe_picture
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
) -> Report:
    """Retrieval, probes and the picture of a model; all of it is saved in `folder`.

    Where the packages of the demo extra are missing, a warning says so and the rest is done.

    Args:
        model: both towers; evaluated as they are, left in the mode they came in.
        batch: validation places as the towers take them, {"image": [N, C, H, W], "lonlat": [N, 2]}.
        folder: takes retrieval.*, probe.* (md, csv, json) and globe.png.
        retrieval_places: search among the first so many of the batch.
        probe_places: places the probe is trained and tested on.
        val_fraction: what the training held out; the probe's block split holds out the same.
        split_degrees: size of its blocks.
        degrees: spacing of the picture's places.
    """
    tables = {"retrieval": retrieval_report(model, batch, folder, places=retrieval_places)}
    picture = None
    try:
        tables["probe"] = probe_report(
            model.location_encoder, folder, places=probe_places, val_fraction=val_fraction, split_degrees=split_degrees
        )
        picture = globe_picture(model.location_encoder, folder / "globe.png", degrees=degrees)
    except ModuleNotFoundError as error:
        log.warning("the report lacks its probe or picture: %s", error)
    return Report(tables, picture, dict(_numbers(tables)))


def retrieval_report(model: TwoTowers, batch: Mapping[str, Tensor], folder: Path, *, places: int = 2000) -> Table:
    """Search among the first `places` of the batch, both ways. Saved as retrieval.* in `folder`."""
    lonlat = batch["lonlat"][:places]
    images = _embed_images(model, batch["image"][:places])
    found = retrieval_metrics(images, embed(model.location_encoder, lonlat).to(images), lonlat.cpu())
    found |= chance(lonlat)
    columns = (*(f"top{k}" for k in TOP), "median_km")
    rows: list[tuple[Cell, ...]] = [
        (way.replace("_", " "), *(found[f"{way}/{column}"] for column in columns))
        for way in ("image_to_location", "location_to_image", "chance")
    ]
    table = Table(f"Retrieval among {len(lonlat):,} validation places", ("search", *columns), tuple(rows))
    table.save(folder, "retrieval")
    return table


def probe_report(
    encoder: LocationEncoder,
    folder: Path,
    *,
    places: int = 10_000,
    val_fraction: float = 0.1,
    split_degrees: float = 5.0,
) -> Table:
    """Probe the encoder and the plain encodings. Saved as probe.* in `folder`.

    Raises:
        ModuleNotFoundError: when the packages of the demo extra are missing.
    """
    table = probe_table(encoder, labelled_places(places), val_fraction=val_fraction, split_degrees=split_degrees)
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


def _numbers(tables: Mapping[str, Table]) -> Iterator[tuple[str, float]]:
    """`retrieval/image_to_location/top10`, `probe/block/elevation_R2`: the figures of our own model by name."""
    for row in tables["retrieval"].rows:
        for column, value in zip(tables["retrieval"].columns[1:], row[1:], strict=True):
            yield f"retrieval/{str(row[0]).replace(' ', '_')}/{column}", float(value)
    if "probe" in tables:
        for row in tables["probe"].rows:
            for column, value in zip(tables["probe"].columns[3:], row[3:], strict=True):
                if row[1] == OURS:
                    yield f"probe/{row[0]}/{column.replace(' ', '_')}", float(value)
