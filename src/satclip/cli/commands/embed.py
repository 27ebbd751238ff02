"""`satclip embed`: a table of places in, their embeddings out."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from satclip.cli import options
from satclip.cli.failures import expected, need

if TYPE_CHECKING:
    from collections.abc import Iterator

    from satclip.cli.engines import Bad, Piece
    from satclip.cli.tables.places import Places

_SUFFIXES = (".parquet", ".csv", ".csv.gz", ".npy")


@click.command(
    short_help="Embed a table of places.",
    epilog="""\b
Examples:
  satclip embed places.csv --model microsoft/SatCLIP-ViT16-L40 -o places.parquet
  satclip embed stations.csv.gz --model last.ckpt --lon easting --lat northing --crs EPSG:3035 -o stations.npy
  satclip embed cities.gpkg --layer capitals --model folder/ --bad drop --dtype float16 -o capitals.parquet
  satclip embed places.csv --model nested.ckpt --dims 64 -o small.parquet
  RAY_ADDRESS=auto satclip embed planet.parquet --model last.ckpt --engine ray -o planet-embedded.parquet

\b
Parquet keeps all columns and adds `embedding`, a list of fixed size; CSV adds e0, e1, ...; npy holds the
embeddings alone, [rows, D]. Rows keep their order. Points of GeoPackage and GeoJSON become GeoParquet, or
columns lon and lat in CSV. Memory stays the same however many rows there are.

\b
CSV may be separated by commas, semicolons, tabs, bars or spaces, in UTF-8 or marked UTF-16; values come out as they
went in, between commas. Decimal commas are read where the separator is another one. A row that does not fit the header
is refused with its line.""",
)
@click.argument("places", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@options.model_option
@options.output_option("Where to: .parquet, .csv, .csv.gz or .npy.")
@click.option(
    "--lon", metavar="COLUMN", help="Column of longitudes; else by name (lon, longitude, decimalLongitude, x ...)."
)
@click.option(
    "--lat", metavar="COLUMN", help="Column of latitudes; else by name (lat, latitude, decimalLatitude, y ...)."
)
@click.option("--crs", metavar="CRS", help="Reference system of the coordinates, where the file does not say.")
@click.option("--layer", metavar="NAME", help="Layer of a GeoPackage that has several with points.")
@click.option(
    "--bad",
    type=click.Choice(["stop", "nan", "drop"]),
    default="stop",
    show_default=True,
    help="Rows with invalid coordinates: stop and list them, embed them as NaN, or skip them.",
)
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="Where the work runs."
)
@click.option("--workers", type=click.IntRange(min=1), help="With --engine ray: how many; else one per CPU or GPU.")
@options.dims_option
@options.index_options
@options.device_option
@options.batch_size_option
@options.dtype_option
def embed(
    places: Path,
    source: str,
    output: Path,
    *,
    lon: str | None,
    lat: str | None,
    crs: str | None,
    layer: str | None,
    bad: "Bad",
    engine: str,
    workers: int | None,
    store: Path | None,
    retrieval: str,
    exclude_within_km: float,
    device: str,
    batch_size: int,
    dtype: str,
    dims: int | None,
) -> None:
    """Embed the PLACES of a table: CSV (plain or compressed), Parquet, GeoParquet, GeoPackage or GeoJSON.

    Coordinates are longitude, latitude in degrees unless the file says otherwise, or --crs where it does not say.
    """
    options.check_output(output, _SUFFIXES, input_file=places)
    if workers and engine != "ray":
        raise click.BadParameter("only --engine ray has workers", param_hint="--workers")
    if device == "mps" and engine == "ray":
        raise click.BadParameter("workers of Ray have cpu or cuda: take --engine local", param_hint="--device")
    if store is not None and engine == "ray":
        raise click.BadParameter("a store is read on this machine: take --engine local", param_hint="--index")
    need("cli", "pyarrow")
    if engine == "ray":
        need("ray", "ray", "ray.data")

    from satclip.cli.engines import embed_here
    from satclip.cli.models import open_model
    from satclip.cli.tables import open_places
    from satclip.cli.tables.plain import PlainPlaces
    from satclip.cli.tables.survey import survey
    from satclip.location.encoder import LocationEncoder

    columns: Literal["typed", "lines", "none"] = "lines"
    if output.suffix in (".parquet", ".npy"):
        columns = "typed" if output.suffix == ".parquet" else "none"
    table = open_places(places, lon=lon, lat=lat, crs=crs, layer=layer, columns=columns)
    if columns == "lines" and table.geometry is not None:
        table = PlainPlaces(table, table.geometry)
    opened = open_model(
        source,
        store,
        retrieval=retrieval,
        exclude_within_km=exclude_within_km,
        device="cpu" if engine == "ray" else device,
        dtype=dtype,
        dims=dims,
    )
    seen = survey(table)
    if seen.bad and bad == "stop":
        raise click.ClickException(seen.complaint)
    if isinstance(opened, LocationEncoder) and engine == "ray":
        from satclip.cli.ray_engine import embed_on_ray

        pieces = embed_on_ray(
            table, opened, bad=bad, batch_size=batch_size, dtype=dtype, device=device, workers=workers
        )
    else:
        pieces = embed_here(table, opened, bad=bad, batch_size=batch_size, dtype=dtype)
    rows = seen.rows - seen.bad if bad == "drop" else seen.rows
    _write(pieces, table, output, rows=rows, width=opened.embedding_dim, dtype=dtype)
    click.echo(f"{rows:,} places, {opened.embedding_dim} numbers each: {click.format_filename(output)}", err=True)
    if seen.bad:
        fate = "skipped" if bad == "drop" else "embedded as NaN"
        hint = f" ({seen.remedy})" if seen.swapped or seen.projected else ""
        click.echo(f"{seen.bad:,} rows with invalid coordinates were {fate}{hint}", err=True)


def _write(pieces: "Iterator[Piece]", table: "Places", output: Path, **shape: Any) -> None:
    """Write all pieces to `output`, whole or not at all."""
    from satclip.cli.progress import bar
    from satclip.cli.tables.writers import open_writer
    from satclip.files import atomic_file
    from satclip.index.range import NothingLeftError

    written = 0
    with (
        expected(OSError, prefix=f"{click.format_filename(output)}: "),
        expected(NothingLeftError),
        atomic_file(output) as part,
        bar("Embedding", shape["rows"]) as progress,
    ):
        with open_writer(output, part, table, **shape) as writer:
            for rows, embeddings in pieces:
                writer.write(rows, embeddings)
                written += len(embeddings)
                progress.advance(len(embeddings))
        if written != shape["rows"]:
            raise click.ClickException("the input changed while it was read: run it again")
