"""`satclip info`: what a model is."""

import json
from typing import TYPE_CHECKING, Any

import click

from satclip.cli.failures import expected

if TYPE_CHECKING:
    from satclip.region import Region


@click.command(
    short_help="Tell what a model is.",
    epilog="""\b
Examples:
  satclip info microsoft/SatCLIP-ViT16-L40
  satclip info last.ckpt --json | jq .embedding_dim
  satclip info last.ckpt --bounds 5 43 16 49""",
)
@click.argument("source")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--bounds",
    type=float,
    nargs=4,
    metavar="WEST SOUTH EAST NORTH",
    help="Measure what it resolves in this part of the world, in degrees.",
)
def info(source: str, as_json: bool, bounds: tuple[float, float, float, float] | None) -> None:
    """Tell what SOURCE holds: its location encoder, its size, and what is known of its training.

    SOURCE is a checkpoint file, a safetensors folder or a name on the Hugging Face hub.

    What it resolves is measured: the distance at which the similarity of two places has fallen half way to that of
    places that have nothing to do with each other, from places on land or within --bounds.
    """
    from satclip.checkpoint import describe

    region = None
    if bounds is not None:
        from satclip.region import Region

        try:
            region = Region.of(bounds)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--bounds") from error
    with expected(OSError, ValueError, ModuleNotFoundError):
        facts = describe(source)
        facts["resolves"] = _resolves(source, facts, region)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    facts["resolves"] = _sentence(facts["resolves"])
    if isinstance(facts.get("epoch"), int):  # Lightning counts from 0, and reports and logs from 1
        facts["epoch"] = f"{facts['epoch'] + 1} (in the file {facts['epoch']}, counted from 0)"
    lines = [(name, _phrase(value)) for name, value in facts.items() if value not in (None, {})]
    width = max(len(name) for name, _ in lines)
    for name, phrase in lines:
        click.echo(f"{name.replace('_', ' '):{width}}  {phrase}")


def _resolves(source: str, facts: "dict[str, Any]", region: "Region | None") -> dict[str, float | str | None]:
    """The distance at which similarity halves, and what the highest degree of the harmonics can tell apart."""
    import torch

    from satclip.cli.models import open_encoder
    from satclip.likeness import DISTANCES, PLACES, finest_km, resolution

    places = None if region is None else region.draw(PLACES, torch.Generator().manual_seed(0))
    try:
        found = resolution(open_encoder(source, dtype=None), places)
    except ValueError as error:  # a model that has diverged is still described
        return {"similarity_halves_at_km": None, "why": str(error)}
    degrees = facts["encoding"].get("legendre_polys")
    finest = {} if degrees is None else {"finest_wave_km": round(2 * finest_km(degrees), 1)}
    why = {} if found.half_km else {"why": f"not between {DISTANCES[0]:g} and {DISTANCES[-1]:g} km"}
    half = None if found.half_km is None else round(found.half_km, 1)
    return {"similarity_halves_at_km": half, "similarity_far_apart": round(found.apart, 3), **finest, **why}


def _sentence(found: "dict[str, Any]") -> str:
    half, finest = found["similarity_halves_at_km"], found.get("finest_wave_km")
    words = (
        f"similarity halves at {half:,.0f} km" if half else f"no distance at which similarity halves: {found['why']}"
    )
    return words + (f"; the shortest wave of its harmonics is {finest:,.0f} km" if finest else "")


def _phrase(value: object) -> str:
    """One line for a value: the name first where there is one, numbers as people write them."""
    if isinstance(value, dict):
        rest = ", ".join(f"{key}={_phrase(item)}" for key, item in value.items() if key != "name")
        return f"{value['name']} ({rest})" if "name" in value and rest else str(value.get("name", rest))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
