"""`satclip similar`: what a model finds like one place."""

from pathlib import Path

import click

from satclip.cli import options
from satclip.cli.failures import expected


@click.command(
    short_help="Draw what is like one place.",
    epilog="""\b
Examples:
  satclip similar --model microsoft/SatCLIP-ViT16-L40 --lon 13.40 --lat 52.52 -o like-berlin.png
  satclip similar --model last.ckpt --lon -58.38 --lat -34.60 --resolution 0.25 -o like-buenos-aires.png""",
)
@options.model_option
@click.option(
    "--lon",
    type=options.Degrees("longitude", -180, 360),
    metavar="DEGREES",
    required=True,
    help="Longitude of the place, in degrees.",
)
@click.option(
    "--lat",
    type=options.Degrees("latitude", -90, 90),
    metavar="DEGREES",
    required=True,
    help="Latitude of the place, in degrees.",
)
@options.output_option("Where to: .png, .pdf or .svg.")
@options.spacing_option
@options.device_option
def similar(source: str, lon: float, lat: float, output: Path, resolution: float, device: str) -> None:
    """Draw the cosine similarity of one place's embedding to all land."""
    options.check_output(output, options.PICTURES)

    from satclip.cli.models import open_encoder
    from satclip.cli.progress import counted
    from satclip.geography.land_grid import land_grid
    from satclip.plots import similarity_map

    encoder = open_encoder(source, device=device)
    with (
        expected(OSError, ValueError, ModuleNotFoundError),
        counted("Embedding the land", encoder, len(land_grid(resolution).lonlat) + 1),
    ):
        similarity_map(encoder, lon, lat, output, degrees=resolution)
    click.echo(str(output), err=True)
