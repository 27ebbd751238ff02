"""`satclip map`: the world in the colours of an embedding."""

from pathlib import Path

import click

from satclip.cli import options
from satclip.cli.failures import expected


@click.command(
    "map",
    short_help="Draw the world in the colours of the embedding.",
    epilog="""\b
Examples:
  satclip map --model microsoft/SatCLIP-ViT16-L40 -o world.png
  satclip map --model last.ckpt --resolution 0.25 -o world.pdf""",
)
@options.model_option
@options.output_option("Where to: .png, .pdf or .svg.")
@options.spacing_option
@options.dims_option
@options.device_option
def map_(source: str, output: Path, resolution: float, dims: int | None, device: str) -> None:
    """Draw the land coloured by the first three principal components of the embedding: like colours, like places."""
    options.check_output(output, options.PICTURES)

    from satclip.cli.models import open_encoder
    from satclip.cli.progress import counted
    from satclip.geography.land_grid import land_grid
    from satclip.plots import globe_picture

    encoder = open_encoder(source, device=device, dims=dims)
    with (
        expected(OSError, ValueError, ModuleNotFoundError),
        counted("Embedding the land", encoder, len(land_grid(resolution).lonlat)),
    ):
        globe_picture(encoder, output, degrees=resolution)
    click.echo(str(output), err=True)
