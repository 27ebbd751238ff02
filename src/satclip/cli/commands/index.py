"""`satclip index`: the training patches of a run, kept for retrieval."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from satclip.cli import options
from satclip.cli.failures import expected, need

if TYPE_CHECKING:
    from satclip.runs.indexing import Values


@click.command(
    short_help="Keep a run's training patches for retrieval (RANGE).",
    epilog="""\b
Examples:
  satclip index outputs/blue_marble/2026-11-22_10-00-00 -o store
  satclip embed places.csv --model best.ckpt --index store -o places.parquet
  satclip evaluate best.ckpt range:best.ckpt+store range+:best.ckpt+store:exclude_within_km=100

\b
The store holds places, image embeddings and image features in float16, memory-mapped. What the training held
out is not in it. The same call resumes one that was stopped.""",
)
@click.argument("source")
@click.option(
    "-o", "--output", "output", required=True, type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
    help="Folder of the store.",
)  # fmt: skip
@click.option(
    "--data",
    "root",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the run's data set lies now, if moved.",
)
@click.option(
    "--values",
    type=click.Choice(["features", "embedding"]),
    default="features",
    show_default=True,
    help="What is retrieved: what the image tower's head sees, or its embedding.",
)
@click.option("--batch-size", type=click.IntRange(1, 65_536), default=256, show_default=True, help="Patches at a time.")
@options.device_option
def index(source: str, output: Path, *, root: Path | None, values: "Values", batch_size: int, device: str) -> None:
    """Embed the training patches of SOURCE, a run's folder or a checkpoint of one, and keep them in a store.

    The inverse temperatures of retrieval are chosen on its validation patches and kept with it.
    """
    need("train", "lightning", "rasterio", "torchgeo")

    from satclip.cli.models import choose_device
    from satclip.cli.progress import bar
    from satclip.runs.indexing import build_store

    with expected(OSError, ValueError, ModuleNotFoundError), bar("Embedding patches") as progress:
        done = 0

        def watch(now: int, total: int) -> None:
            nonlocal done
            progress.advance(now - done)
            done = now

        store = build_store(
            source, output, root=root, values=values, batch_size=batch_size, device=choose_device(device), watch=watch
        )
    facts = store.manifest
    sharp = ", ".join(f"{name} {value:g}" for name, value in facts["sharpness"].items())
    how = f"chosen on {facts['chosen_by']:,} validation patches" if facts["chosen_by"] else "the paper's"
    click.echo(
        f"{output}: {len(store):,} patches, keys of {facts['key_dim']} and values of {facts['value_dim']} numbers; "
        f"left out: {', '.join(f'{count:,} {cause}' for cause, count in facts['left_out'].items())}",
        err=True,
    )
    click.echo(f"inverse temperatures, {how}: {sharp}", err=True)
    for form, share in facts["explained"].items():
        click.echo(f"{form} explains {100 * share:.0f} % of the variance of their features", err=True)
