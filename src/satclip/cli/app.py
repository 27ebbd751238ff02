"""The group of all commands.

What this file imports is light: torch, pyarrow and the rest are imported by the command that runs, so that
`satclip --help` answers at once.
"""

import click

import satclip
from satclip.cli.commands.embed import embed
from satclip.cli.commands.evaluate import evaluate
from satclip.cli.commands.explore import explore
from satclip.cli.commands.export import export
from satclip.cli.commands.grid import grid
from satclip.cli.commands.index import index
from satclip.cli.commands.info import info
from satclip.cli.commands.map import map_
from satclip.cli.commands.models import models
from satclip.cli.commands.predict import predict
from satclip.cli.commands.probe import probe
from satclip.cli.commands.report import compare, report
from satclip.cli.commands.resume import rerun, resume
from satclip.cli.commands.similar import similar
from satclip.cli.commands.train import train


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="""\b
Examples:
  satclip embed places.csv --model blue-marble -o places.parquet
  satclip info microsoft/SatCLIP-ViT16-L40
  satclip evaluate last.ckpt geoclip -o report
  satclip grid --model last.ckpt --resolution 0.25 -o world.tif
  satclip explore last.ckpt

\b
A model SOURCE is blue-marble (in the package), a checkpoint file, a run's folder, a safetensors folder, or a
name on the Hugging Face hub; satclip models lists those known by name.
untrained:SOURCE is the same architecture with fresh weights.
Coordinates are longitude, latitude in degrees, in that order, everywhere.""",
)
@click.version_option(satclip.__version__, prog_name="satclip")
def app() -> None:
    """Use location encoders: embed places and grids, draw maps, inspect, score and export models."""


_COMMANDS = (
    embed,
    grid,
    map_,
    similar,
    explore,
    models,
    info,
    evaluate,
    probe,
    predict,
    index,
    export,
    train,
    resume,
    rerun,
    report,
    compare,
)
for _command in _COMMANDS:
    app.add_command(_command)
