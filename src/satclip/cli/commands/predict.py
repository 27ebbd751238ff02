"""`satclip predict`: places for a picture."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from satclip.cli import options
from satclip.cli.failures import expected, need

if TYPE_CHECKING:
    from torch import Tensor


@click.command(
    short_help="Find places for a picture.",
    epilog="""\b
Examples:
  satclip predict patch.tif --model outputs/blue_marble/2026-11-22_10-00-00
  satclip predict images/*.tif --model best.ckpt --top 3 -o places.csv
  satclip predict patch.tif --model best.ckpt --bounds 5 43 16 49 --candidates 5000
  satclip predict patch.tif --model best.ckpt --gallery mine.csv

\b
Columns: patch, rank, lon, lat, similarity (cosine), share (softmax over the candidates, which is how the model
weighs them and no probability of being right), km from where the file says that it lies.""",
)
@click.argument(
    "patches", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
)
@click.option(
    "--model", "source", required=True, metavar="SOURCE",
    help="A run's folder or checkpoint, or one of the published system: both towers are needed.",
)  # fmt: skip
@click.option(
    "--top", type=click.IntRange(1, 1000), default=5, show_default=True, metavar="N", help="Places a picture."
)
@click.option(
    "--candidates", type=click.IntRange(2, 1_000_000), default=20_000, show_default=True, metavar="N",
    help="Places to choose from, evenly over land without Antarctica (20,000: 80 km apart).",
)  # fmt: skip
@click.option(
    "--bounds", type=float, nargs=4, metavar="WEST SOUTH EAST NORTH",
    help="Candidates in this part of the world alone, in degrees, land or not.",
)  # fmt: skip
@click.option(
    "--gallery", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path), metavar="FILE",
    help="Candidates of your own instead: any table that `satclip embed` reads.",
)  # fmt: skip
@click.option(
    "--apart-km", type=click.FloatRange(0, 20_000), default=200.0, show_default=True, metavar="KM",
    help="How far the places for a picture lie from each other.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Where to: .csv; else on the terminal."
)
@options.device_option
def predict(
    patches: tuple[Path, ...],
    source: str,
    *,
    top: int,
    candidates: int,
    bounds: tuple[float, float, float, float] | None,
    gallery: Path | None,
    apart_km: float,
    output: Path | None,
    device: str,
) -> None:
    """Find the places whose location embedding is most like that of a picture.

    PATCHES are GeoTIFFs of the bands and the ground that the model was trained on. What the model has seen is said
    first: a place that it was trained on is remembered, not recognised.
    """
    if output is not None:
        options.check_output(output, (".csv",))
    if gallery is not None and bounds is not None:
        raise click.BadParameter("give candidates by --gallery or by --bounds", param_hint="--gallery")
    need("train", "lightning", "rasterio", "torchgeo")

    from satclip.cli.models import choose_device
    from satclip.runs.predicting import Predictor

    with expected(OSError, ValueError, ModuleNotFoundError):
        predictor = Predictor(source, _candidates(candidates, bounds, gallery), device=choose_device(device))
        for note in predictor.notes:
            click.echo(f"note: {note}", err=True)
        rows: list[dict[str, Any]] = []
        for patch in patches:
            for rank, guess in enumerate(predictor(patch, top=top, apart_km=apart_km), 1):
                rows.append(
                    {
                        "patch": click.format_filename(patch),
                        "rank": rank,
                        "lon": f"{guess.lon:.4f}",
                        "lat": f"{guess.lat:.4f}",
                        "similarity": f"{guess.similarity:.4f}",
                        "share": f"{guess.share:.2g}",
                        "km": "" if guess.km is None else f"{guess.km:.0f}",
                    }
                )
    count = len(predictor.candidates)
    _tell(rows, output)
    click.echo(f"{len(patches):,} pictures, {count:,} candidates{f': {output}' if output else ''}", err=True)


def _candidates(count: int, bounds: tuple[float, float, float, float] | None, gallery: Path | None) -> "Tensor":
    import torch

    from satclip.cli.figures import read_points
    from satclip.geography.lattice import land_lattice
    from satclip.region import Region

    if gallery is not None:
        points = read_points(gallery)
        assert points is not None  # a file was given
        return points
    if bounds is not None:
        try:
            region = Region.of(bounds)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--bounds") from error
        return region.draw(count, torch.Generator().manual_seed(0))
    return torch.tensor(land_lattice(count))


def _tell(rows: list[dict[str, Any]], output: Path | None) -> None:
    from satclip.files import atomic_file

    if output is None:
        widths = {name: max(len(name), *(len(str(row[name])) for row in rows)) for name in rows[0]}
        for line in ({name: name for name in widths}, *rows):
            click.echo("  ".join(f"{line[name]!s:>{width}}" for name, width in widths.items()))
        return
    with (
        expected(OSError, prefix=f"{output}: "),
        atomic_file(output) as part,
        part.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
