"""A table of places with a column to predict, from every kind of file that `satclip embed` reads."""

from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import torch

from satclip.cli.tables import open_places
from satclip.cli.tables.columns import listed
from satclip.cli.tables.places import Places
from satclip.cli.tables.survey import survey
from satclip.columns import meant
from satclip.downstream.contract import Labels
from satclip.downstream.evaluate.holdouts import cells_for
from satclip.downstream.tasks.loading import labelled
from satclip.downstream.tasks.table import MISSING
from satclip.downstream.tasks.target import Kind, Say, refuse_coordinate, target_of
from satclip.sphere import bad_lonlat

OPTIONS = Say("--regression", "--classes")


def read_labels(
    path: Path,
    target: str,
    *,
    lon: str | None = None,
    lat: str | None = None,
    crs: str | None = None,
    layer: str | None = None,
    kind: Kind = None,
) -> tuple[Labels, int]:
    """The places that have a value in the column `target`, and how many rows have no place or no value.

    Args:
        path: of the table.
        target: the column to predict.
        lon, lat, crs, layer: as `open_places` takes them.
        kind: what the column holds; by default numbers are a regression, all else classes.

    Raises:
        click.ClickException: the table cannot be read, or a row holds coordinates that are none.
        ValueError: the column cannot be predicted from, or no row has a place and a value.
    """
    table = open_places(path, lon=lon, lat=lat, crs=crs, layer=layer)
    names = [name for name in table.schema.names if name != table.geometry]
    if target not in names:
        near = meant(target, names) or "; give one of them as --target"
        raise click.ClickException(f"{path} has the columns {listed(names)}, and none called {target}{near}")
    if table.geometry is None:
        refuse_coordinate(target, names, lon, lat, what=path.name)
    column = table.schema.field(target).type
    if pa.types.is_nested(column) or pa.types.is_binary(column) or pa.types.is_large_binary(column):
        raise click.ClickException(f"{path.name}: column {target} holds {column}, neither numbers nor classes")
    if pa.types.is_temporal(column):
        raise click.ClickException(
            f"{path.name}: column {target} holds {column}; write dates as numbers of days into another column"
        )
    seen = survey(table)
    lonlat, values = _columns(table, target)
    wrong = bad_lonlat(torch.from_numpy(lonlat)).numpy() & np.isfinite(lonlat).all(1)
    if wrong.any():
        row = int(wrong.argmax())
        where = ", ".join(f"{number:g}" for number in lonlat[row])
        remedy = seen.remedy if seen.swapped or seen.projected else "mend these rows, or take them out"
        raise click.ClickException(
            f"{path.name}: {int(wrong.sum())} of {len(lonlat)} rows are not (longitude, latitude) in degrees, "
            f"the first row {row + 1}: ({where}); {remedy}"
        )
    _refuse_unreadable(table, path)
    numbers, classes = target_of(values, what=f"{path}, {target}", kind=kind, say=OPTIONS)
    name = f"{path.name.split('.')[0]}_{target}"
    labels = labelled(name, lonlat, numbers, source=str(path), classes=classes, cells=cells_for(lonlat))
    return labels, len(values) - len(labels.target)


def _columns(table: Places, target: str) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float64]], list[str]]:
    """Coordinates [N, 2], and the column as text, as CSV would have it; nothing where a value is missing."""
    places, values = [np.empty((0, 2))], list[str]()
    for rows, lonlat in table.pieces():
        places.append(lonlat)
        column = rows.column(target)
        known = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        values += ["" if value is None else str(value).strip() for value in known.to_pylist()]
    return np.concatenate(places), values


def _refuse_unreadable(table: Places, path: Path) -> None:
    """Refuse coordinates that hold something that is no number; those that are empty are left out, and counted.

    Raises:
        click.ClickException: names the first row, and what stands there.
    """
    before = 0
    for lonlat, written in table.lonlat():
        for row in np.flatnonzero(np.isnan(lonlat).any(1)).tolist():
            for name, degrees in zip(written.schema.names, lonlat[row], strict=False):
                value = str(written.column(name)[row].as_py() or "").strip()
                if written.num_columns == 2 and np.isnan(degrees) and value.lower() not in MISSING:
                    raise click.ClickException(
                        f"{path.name}: row {before + row + 1}: {name} {value!r} is no decimal number of degrees; "
                        "mend such rows, or empty them"
                    )
        before += len(lonlat)
