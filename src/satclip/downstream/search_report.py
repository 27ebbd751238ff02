"""How well a model finds places by their pictures: a table and its figures."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from satclip.downstream.places import FEWEST
from satclip.downstream.table import Cell, Table
from satclip.embedding import embed
from satclip.model import TwoTowers
from satclip.retrieval import TOP, chance, retrieval_metrics


def retrieval_report(
    model: TwoTowers,
    batch: Mapping[str, Tensor],
    folder: Path,
    *,
    places: int = 2000,
    held_out: str = "",
    described: str = "",
) -> Table:
    """Search among the first `places` of the batch, both ways. Saved as retrieval.* (md, csv, json) in `folder`.

    Args:
        model: both towers; evaluated as they are, left in the mode they came in.
        batch: validation places as the towers take them, {"image": [N, C, H, W], "lonlat": [N, 2]}, or
            {"features": [N, K], ...} in place of images.
        folder: made if missing.
        places: search among the first so many.
        held_out: how the places of the batch were kept from training, in words.
        described: which weights these are, in words.
    """
    table = retrieval_table(model, batch, places=places, held_out=held_out, described=described)
    table.save(folder, "retrieval")
    return table


def retrieval_table(
    model: TwoTowers, batch: Mapping[str, Tensor], *, places: int = 2000, held_out: str = "", described: str = ""
) -> Table:
    """The same, with nothing saved."""
    lonlat = batch["lonlat"][:places]
    images = embedded_images(model, batch, places)
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


def retrieval_figures(table: Table) -> dict[str, float]:
    """`retrieval/image_to_location/top10` and so on, by name."""
    return {
        f"retrieval/{str(row[0]).replace(' ', '_')}/{column}": float(value)
        for row in table.rows
        for column, value in zip(table.columns[1:], row[1:], strict=True)
    }


@torch.no_grad()
def embedded_images(model: TwoTowers, batch: Mapping[str, Tensor], places: int) -> Tensor:
    """Image embeddings of the first `places` on the CPU, a part of the batch at a time: [N, D]."""
    encode, seen = (
        (model.encode_image, batch["image"]) if "image" in batch else (model.encode_features, batch["features"])
    )
    was_training = model.training
    model.eval()
    try:
        device = model.logit_scale.device
        return torch.cat([encode(part.to(device)).float().cpu() for part in torch.split(seen[:places], 256)])
    finally:
        model.train(was_training)
