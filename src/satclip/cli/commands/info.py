"""`satclip info`: what a model is."""

import json

import click

from satclip.cli.failures import expected


@click.command(
    short_help="Tell what a model is.",
    epilog="""\b
Examples:
  satclip info microsoft/SatCLIP-ViT16-L40
  satclip info last.ckpt --json | jq .embedding_dim""",
)
@click.argument("source")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(source: str, as_json: bool) -> None:
    """Tell what SOURCE holds: its location encoder, its size, and what is known of its training.

    SOURCE is a checkpoint file, a safetensors folder or a name on the Hugging Face hub.
    """
    from satclip.checkpoint import describe

    with expected(OSError, ValueError, ModuleNotFoundError):
        facts = describe(source)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    lines = [(name, _phrase(value)) for name, value in facts.items() if value not in (None, {})]
    width = max(len(name) for name, _ in lines)
    for name, phrase in lines:
        click.echo(f"{name.replace('_', ' '):{width}}  {phrase}")


def _phrase(value: object) -> str:
    """One line for a value: the name first where there is one, numbers as people write them."""
    if isinstance(value, dict):
        rest = ", ".join(f"{key}={_phrase(item)}" for key, item in value.items() if key != "name")
        return f"{value['name']} ({rest})" if "name" in value and rest else str(value.get("name", rest))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
