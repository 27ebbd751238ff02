"""`satclip models`: the encoders that can be had by name."""

import json
from typing import Any

import click


@click.command(
    short_help="List the encoders that are known by name.",
    epilog="""\b
Examples:
  satclip models
  satclip models satclip-vit16-l40
  satclip models --json | jq '.[] | select(.here)'""",
)
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def models(name: str | None, as_json: bool) -> None:
    """List the encoders that --model takes by name: what they are, where they come from, whether they are here.

    NAME tells of one alone. Any other name of the form owner/name is asked for on the Hugging Face hub.
    """
    from satclip.checkpoint.sources import nearest

    known = _known()
    if name is not None:
        known = [model for model in known if model["name"] == name]
        if not known:
            hint = nearest(name) or "; `satclip models` lists those known by name, any other is a file or on the hub"
            raise click.ClickException(f"no model of the name {name}{hint}")
    if as_json:
        click.echo(json.dumps(known, indent=2))
        return
    width = max(len(model["name"]) for model in known)
    for model in known:
        where = "in the package" if model["kind"] == "packaged" else f"cached at {model['here']}"
        state = where if model["here"] else f"not cached: the first use fetches {model['url']}"
        click.echo(f"{model['name']:{width}}  {model['what']}; {state}")


def _known() -> list[dict[str, Any]]:
    from satclip.checkpoint.sources import PACKAGED, RELEASED, cached, released_file

    found: list[dict[str, Any]] = [
        {"name": name, "kind": "packaged", "what": _packaged(name), "url": None, "here": str(folder)}
        for name, folder in PACKAGED.items()
    ]
    for name in RELEASED:
        tower, degrees = name.split("/")[1].removeprefix("SatCLIP-").rsplit("-L", 1)
        path = cached(name)
        found.append(
            {
                "name": name,
                "kind": "released",
                "what": f"SatCLIP of S2-100K, {tower}, L = {degrees}, 256 numbers",
                "url": f"https://huggingface.co/{name}/resolve/main/{released_file(name)}",
                "here": None if path is None else str(path),
            }
        )
    return found


def _packaged(name: str) -> str:
    from satclip.checkpoint.sources import PACKAGED
    from satclip.location.hub import CONFIG

    config = json.loads((PACKAGED[name] / CONFIG).read_text())
    return f"NASA Blue Marble, L = {config['encoding']['legendre_polys']}, {config['embedding_dim']} numbers"
