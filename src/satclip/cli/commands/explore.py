"""`satclip explore`: a globe to click."""

from pathlib import Path

import click
from click.core import ParameterSource

from satclip.cli import options
from satclip.cli.failures import expected

_SHOWN = 2  # parts of a path: the name of a run is its recipe and its time


@click.command(
    short_help="Click places on a globe: what is like them, regions, predictions.",
    epilog="""\b
Examples:
  satclip explore outputs/blue_marble/2026-11-22_10-00-00
  satclip explore best.ckpt --compare untrained:best.ckpt -o explorer.html
  satclip explore best.ckpt --bounds -10 35 30 60 --index store -o europe.html

\b
Served on 127.0.0.1 until Ctrl+C, or written with -o: one file of a few MB, which needs no network and no server.
Embeddings are kept as int8; the command says what that costs the cosine. docs/explorer.md shows the page.""",
)
@click.argument("source")
@click.option("--compare", metavar="SOURCE", help="A second model beside the first, on the same places.")
@click.option(
    "-o", "--output", "output", type=click.Path(path_type=Path), metavar="FILE", help="Write the page (.html) instead."
)
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="Where to serve; a free port if left out.")
@click.option(
    "--resolution",
    type=options.Degrees("the spacing", 0.25, 30),
    default=1.0,
    show_default=True,
    metavar="DEGREES",
    help="Side of a cell of the globe.",
)
@click.option(
    "--bounds", type=float, nargs=4, metavar="WEST SOUTH EAST NORTH", help="A region alone, in finer cells if small."
)
@click.option("--sea", is_flag=True, help="The whole sphere instead of the land.")
@click.option(
    "--index",
    "store",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="STORE",
    help="Store of SOURCE's training patches (satclip index): the page names the nearest to a place.",
)
@options.device_option
def explore(
    source: str,
    *,
    compare: str | None,
    output: Path | None,
    port: int,
    resolution: float,
    bounds: tuple[float, float, float, float] | None,
    sea: bool,
    store: Path | None,
    device: str,
) -> None:
    """Show what SOURCE has learned on a globe to click.

    A click lights up what is like a place; the globe can also show the components, k-means regions, and what a ridge
    probe reads out (elevation, climate zone, land cover) with its error and its held-out score.
    """
    if output is not None:
        options.check_output(output, (".html",))
        if click.get_current_context().get_parameter_source("port") is ParameterSource.COMMANDLINE:
            raise click.BadParameter(
                "a page that is written is not served; leave one of -o and --port", param_hint="-o"
            )
    if sea and bounds is not None:
        raise click.BadParameter("a page of a region is of its land; leave one of the two", param_hint="--sea")

    from satclip.cli.models import open_encoder
    from satclip.cli.progress import bar
    from satclip.cli.serving import PageServer, serve
    from satclip.explorer.page import build_page
    from satclip.index import open_store
    from satclip.region import Region

    with expected(OSError, ValueError, ModuleNotFoundError):
        region = None if bounds is None else Region.of(bounds)
        patches = None if store is None else open_store(store)
    if compare == source:
        raise click.BadParameter("that is the same model; name another one", param_hint="--compare")
    sources = [each for each in (source, compare) if each is not None]
    encoders = {name: open_encoder(each, device=device) for name, each in zip(_names(sources), sources, strict=True)}
    server = PageServer(port) if output is None else None  # a port in use is told before any work is done
    with expected(OSError, ValueError, ModuleNotFoundError), bar("Embedding, probing"):
        page = build_page(encoders, degrees=resolution, sea=sea, region=region, store=patches)
    for note in page.notes:
        click.echo(note, err=True)
    if output is not None:
        with expected(OSError):
            page.write(output)
        click.echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB", err=True)
    elif server is not None:
        serve(server, page.text)


def _names(sources: list[str]) -> list[str]:
    """Sources as a page shows them to others: a path by its last parts, where those tell them apart."""
    short = [_short(each) for each in sources]
    return short if len(set(short)) == len(sources) else sources


def _short(source: str) -> str:
    kind, colon, path = source.rpartition(":") if source.startswith("untrained:") else ("", "", source)
    if not Path(path).exists():  # a name on the hub
        return source
    parts = [part for part in Path(path).resolve().parts if part not in ("checkpoints", "outputs")]
    return kind + colon + "/".join(parts[-_SHOWN - bool(Path(path).is_file()) :])
