"""The page: one HTML file with its script, its styles and its data, that asks no network for anything."""

import html
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from numpy.typing import NDArray
from torch import Tensor, nn

from satclip.downstream.contract import Array
from satclip.embedding import embed
from satclip.errors import is_raised_on_purpose
from satclip.explorer.arrays import Arrays, embedded_json
from satclip.explorer.cells import Cells, cells
from satclip.explorer.layers import component_colours, regions, two_components
from satclip.explorer.outlines import outlines
from satclip.explorer.patches import nearest_patches
from satclip.explorer.probed import Probed, probed
from satclip.explorer.quantise import POWER, quantise
from satclip.files import atomic_file
from satclip.index.store import Store
from satclip.location.encoder import LocationEncoder
from satclip.plots.figures import learned_part
from satclip.region import Region

log = logging.getLogger(__name__)
DEGREES = 1.0
SCALES = ("magma", "viridis", "PuOr")  # of likeness, of a number, of an error; all for any eyes
_WEB = "satclip.explorer"
_TITLE = "The world as a location encoder sees it"


@dataclass(frozen=True)
class Page:
    """A page and what is to be said of it.

    Attributes:
        text: the HTML.
        notes: one line for each encoder: what its int8 rows cost.
    """

    text: str
    notes: tuple[str, ...]

    def write(self, path: Path) -> Path:
        """Write it, whole or not at all. Returns `path`."""
        with atomic_file(path) as part:
            part.write_text(self.text, encoding="utf-8")
        return path


def explorer_page(
    encoder: nn.Module, path: Path | str, *, degrees: float = DEGREES, region: Region | None = None
) -> Path:
    """Write the page of one encoder, named after the run in whose folder it goes. Returns `path`.

    Raises:
        ValueError: an embedding is NaN or infinite.
        ModuleNotFoundError: without the packages that carry the outlines of the land.
    """
    name = "/".join(Path(path).resolve().parent.parts[-2:])
    page = build_page({name: encoder}, degrees=degrees, region=region)
    for note in page.notes:
        log.info("explorer: %s", note)
    return page.write(Path(path))


def build_page(
    encoders: Mapping[str, nn.Module],
    *,
    degrees: float = DEGREES,
    sea: bool = False,
    region: Region | None = None,
    store: Store | None = None,
) -> Page:
    """The page of one encoder or two, over the same cells.

    Args:
        encoders: by the name that the page shows.
        degrees: side of a cell.
        sea: the whole sphere instead of the land.
        region: that alone, in finer cells where it is small.
        store: training patches of the first encoder.

    Raises:
        ValueError: an embedding is NaN or infinite; the store is of another encoder; there are not one or two encoders.
        ModuleNotFoundError: without the packages that carry the outlines of the land.
    """
    if not 1 <= len(encoders) <= 2:
        raise ValueError(f"a page shows one encoder or two, got {len(encoders)}")
    grid, arrays = cells(degrees, sea=sea, region=region), Arrays()
    arrays.add("cells", grid.numbers)
    numbers, countries = grid.countries()
    arrays.add("countries", numbers)
    for name, points in outlines().items():
        arrays.add(name, points)
    for name in SCALES:
        arrays.add(f"scale/{name}", (255 * colormaps[name](np.arange(256))[:, :3]).round().astype(np.uint8))
    notes, described = [], []
    for number, (name, encoder) in enumerate(encoders.items()):
        about, note = _encoder(str(number), name, encoder, grid, arrays, store if number == 0 else None)
        described.append(about)
        notes.append(f"{name}: {note}")
    header = {
        "grid": grid.layout(),
        "regional": None if region is None else str(region),
        "elsewhere_km": grid.elsewhere_km,
        "power": POWER,
        "countries": countries,
        "encoders": described,
        "arrays": arrays.index(),
    }
    return Page(_filled(header, arrays), tuple(notes))


def _encoder(
    key: str, name: str, encoder: nn.Module, grid: Cells, arrays: Arrays, store: Store | None
) -> tuple[dict[str, Any], str]:
    """Add the arrays of one encoder; what the page needs to know of it, and what its rows cost."""
    embeddings = embed(encoder, grid.lonlat).float()
    small = quantise(embeddings)
    add = partial(_add, arrays, key)
    add("rows", small.rows)
    add("steps", small.steps)
    learned = learned_part(encoder, embeddings)
    if (colours := component_colours(learned, grid)) is not None:
        add("colours", colours)
    add("two", two_components(learned, grid))
    about: dict[str, Any] = {"name": name, "note": small.in_words(), "tasks": [], "regions": None, "patches": None}
    if (found := regions(small, grid)) is not None:
        add("regions", found.of)
        about["regions"] = [round(share, 4) for share in found.shares]
    for task in _probed(encoder, embeddings, grid):
        add(f"{task.labels.name}/predicted", task.predicted)
        add(f"{task.labels.name}/truth", task.truth)
        about["tasks"].append(_task(task))
    if store is not None:
        if not isinstance(encoder, LocationEncoder):
            raise ValueError(f"a store is of a location encoder, got {type(encoder).__name__}; leave the store out")
        store.check_encoder(encoder)
        near = nearest_patches(embeddings, store)
        add("patches/lonlat", near.lonlat)
        add("patches/rows", near.rows)
        add("patches/cosines", near.cosines)
        about["patches"] = {"each": near.rows.shape[1], "searched": near.searched}
    return about, small.in_words()


def _add(arrays: Arrays, key: str, name: str, array: NDArray[Any]) -> None:
    arrays.add(f"{key}/{name}", array)


def _probed(encoder: nn.Module, embeddings: Tensor, grid: Cells) -> tuple[Probed, ...]:
    """The tasks that can be probed here; a line in the log where none can."""

    def encode(lonlat: Array) -> NDArray[np.floating]:
        return embed(encoder, torch.from_numpy(lonlat)).float().numpy()

    try:
        return probed(encode, embeddings, grid.lonlat, grid.region)
    except (ModuleNotFoundError, ValueError) as error:
        if isinstance(error, ValueError) and not is_raised_on_purpose(error):
            raise
        log.warning("the explorer predicts no task: %s", error)
        return ()


def _task(task: Probed) -> dict[str, Any]:
    return {
        "name": task.labels.name,
        "unit": task.labels.unit,
        "classes": task.labels.classes,
        "metric": task.metric,
        "score": [task.score.value, task.score.low, task.score.high],
        "labels": len(task.labels.target),
        "degrees": task.degrees,
    }


def _filled(header: Mapping[str, Any], arrays: Arrays) -> str:
    web = files(_WEB) / "web"
    notes = [f"{each['name']}: {each['note']}" for each in header["encoders"]]
    notes.append("Outlines: Natural Earth. Globe: three.js, MIT licence, Copyright 2010-2026 three.js authors.")
    parts = {
        "title": html.escape(" and ".join(each["name"] for each in header["encoders"])),
        "heading": html.escape(_TITLE),
        "notes": "".join(f"<p>{html.escape(note)}</p>" for note in notes),
        "style": (web / "page.css").read_text(encoding="utf-8"),
        "header": embedded_json(dict(header)),
        "data": arrays.text(),
        "script": (web / "dist" / "explorer.js").read_text(encoding="utf-8"),
    }
    pieces = (web / "page.html").read_text(encoding="utf-8").split("{{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, rest = piece.split("}}", 1)
        filled += [parts[name], rest]
    return "".join(filled)
