"""Options of commands that draw, and what they stand for."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from satclip.cli import options

if TYPE_CHECKING:
    from torch import Tensor

    from satclip.location.encoder import LocationEncoder
    from satclip.plots.figures import Encoders, Look

Function = TypeVar("Function", bound=Callable[..., Any])
MOST_CELLS = 20_000_000  # of one picture or list: more are no picture, and take hours
FINEST_WORLD = 0.2  # degrees; a pixel of the world's picture is 0.23 degrees wide
_OPTIONS = (
    click.option(
        "--model",
        "sources",
        required=True,
        multiple=True,
        metavar="SOURCE",
        help="Checkpoint file, run's folder, safetensors folder, packaged or hub name; untrained:SOURCE for fresh "
        "weights. Given several times, a picture has a panel for each.",
    ),
    click.option(
        "--bounds",
        type=float,
        nargs=4,
        metavar="WEST SOUTH EAST NORTH",
        help="Draw this part of the world alone, in degrees; east below west lies across the date line.",
    ),
    options.land_option(land=True),
    click.option(
        "--points",
        "points_file",
        type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
        metavar="FILE",
        help="Places of your own on top: any table that `satclip embed` reads.",
    ),
    click.option("--title", metavar="TEXT", help="Above the picture."),
    click.option(
        "--size",
        type=click.FloatRange(1, 100),
        default=8.0,
        show_default=True,
        metavar="INCHES",
        help="Width of a panel.",
    ),
    click.option(
        "--dpi", type=click.IntRange(30, 1200), default=200, show_default=True, help="Pixels an inch of a .png."
    ),
)


def figure_options(function: Function) -> Function:
    """`--model` (several), `--bounds`, `--land`, `--points`, `--title`, `--size`, `--dpi`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def look_of(
    resolution: float,
    bounds: tuple[float, float, float, float] | None,
    *,
    land: bool,
    points: "Tensor | None",
    title: str | None,
    size: float,
    dpi: int,
) -> "Look":
    """The options as `satclip.plots` takes them.

    Raises:
        click.BadParameter: the bounds are no part of the world, or the spacing is too fine for it.
    """
    from satclip.plots import Look
    from satclip.region import Region

    try:
        region = None if bounds is None else Region.of(bounds)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--bounds") from error
    if region is None and resolution < FINEST_WORLD:
        raise click.BadParameter(
            f"the spacing must lie in {FINEST_WORLD}..30 for the world, got {resolution:g}; --bounds allow finer",
            param_hint="--resolution",
        )
    if region is not None:
        check_cells(region.width / resolution * (region.north - region.south) / resolution)
    return Look(resolution, region=region, land=land, points=points, title=title, size=size, dpi=dpi)


def check_cells(count: float) -> None:
    """Refuse more cells than a picture or a list is of.

    Raises:
        click.BadParameter: says how many.
    """
    if count > MOST_CELLS:
        raise click.BadParameter(
            f"{count:.3g} cells are too many for one picture, {MOST_CELLS:,} is the most: take a coarser spacing or "
            "smaller --bounds; `satclip grid` has no such limit",
            param_hint="--resolution",
        )


def read_points(path: Path | None) -> "Tensor | None":
    """The places of a table, degrees [N, 2].

    Raises:
        click.ClickException: as for `satclip embed`; or rows are no places.
    """
    if path is None:
        return None
    import torch

    from satclip.cli.tables import open_places
    from satclip.cli.tables.survey import survey

    table = open_places(path, columns="none")
    seen = survey(table)
    if seen.bad:
        raise click.ClickException(seen.complaint)
    return torch.cat([torch.zeros(0, 2, dtype=torch.float64), *(torch.tensor(lonlat) for lonlat, _ in table.lonlat())])


def tell_points(look: "Look") -> None:
    """Say how many of one's own places lie outside the picture, if any do."""
    if look.points is None or look.region is None:
        return
    outside = int((~look.region.contains(look.points)).sum())
    if outside:
        click.echo(f"{outside:,} of {len(look.points):,} points lie outside --bounds and are not drawn", err=True)


def opened(sources: Sequence[str], *, device: str, dims: int | None = None) -> "dict[str, LocationEncoder]":
    """The encoders by what they are called in a picture: their sources, the parts that they share left out."""
    from satclip.cli.models import open_encoder

    names = [_short(source) for source in sources]
    if len(set(names)) < len(names):
        names = [f"{number}: {source}" for number, source in enumerate(sources, 1)]
    return {name: open_encoder(each, device=device, dims=dims) for name, each in zip(names, sources, strict=True)}


@contextmanager
def counting(encoders: "dict[str, LocationEncoder]", cells: int) -> Iterator[None]:
    """A bar for each encoder that counts the places it embeds within the block."""
    from satclip.cli.progress import counted

    with ExitStack() as bars:
        for name, encoder in encoders.items():
            bars.enter_context(counted(f"Embedding for {name}" if len(encoders) > 1 else "Embedding", encoder, cells))
        yield


def alone(encoders: "dict[str, LocationEncoder]") -> "Encoders":
    """One encoder without its name, or all by name."""
    return encoders if len(encoders) > 1 else next(iter(encoders.values()))


def _short(source: str) -> str:
    """A name for a source: of a path the run's folder, or the file."""
    path = Path(source)
    if path.name in ("best.ckpt", "last.ckpt") and len(path.parts) > 2:
        return path.parts[-3] if path.parent.name == "checkpoints" else path.parent.name
    return path.name or source
