"""`satclip map`: the world, or a region, in the colours of an embedding."""

from pathlib import Path

import click

from satclip.cli import options
from satclip.cli.failures import expected
from satclip.cli.figures import figure_options


@click.command(
    "map",
    short_help="Draw the world or a region in the colours of the embedding.",
    epilog="""\b
Examples:
  satclip map --model microsoft/SatCLIP-ViT16-L40 -o world.png
  satclip map --model last.ckpt --resolution 0.25 -o world.pdf
  satclip map --model last.ckpt --bounds 5 43 16 49 --points stations.csv -o alps.png
  satclip map --model last.ckpt --model untrained:last.ckpt --bounds 165 50 -160 72 -o bering.png

\b
A region is drawn in an equal-area projection that fits its size and latitude (Albers, Lambert azimuthal, Equal
Earth), with coasts and borders of Natural Earth 1:50m and a scale bar.""",
)
@figure_options
@options.output_option("Where to: .png, .pdf or .svg.")
@options.spacing_option
@options.dims_option
@options.device_option
def map_(
    sources: tuple[str, ...],
    output: Path,
    *,
    resolution: float,
    dims: int | None,
    device: str,
    bounds: tuple[float, float, float, float] | None,
    land: bool,
    points_file: Path | None,
    title: str | None,
    size: float,
    dpi: int,
) -> None:
    """Draw the land coloured by the first three principal components of the embedding: like colours, like places.

    Below the picture stands what share of the embedding's variance they explain.
    """
    options.check_output(output, options.PICTURES)

    from satclip.cli.figures import alone, counting, look_of, opened, read_points, tell_points
    from satclip.plots import map_figure
    from satclip.plots.world import save

    points = read_points(points_file)
    look = look_of(resolution, bounds, land=land, points=points, title=title, size=size, dpi=dpi)
    encoders = opened(sources, device=device, dims=dims)
    tell_points(look)
    with expected(OSError, ValueError, ModuleNotFoundError), counting(encoders, len(look.grid.lonlat)):
        save(map_figure(alone(encoders), look), output)
    click.echo(str(output), err=True)
