"""The group of all commands.

What this file imports is light: torch, pyarrow and the rest are imported by the command that runs, so that
`satclip --help` answers at once.
"""

import click

import satclip
from satclip.cli.commands.embed import embed
from satclip.cli.commands.evaluate import evaluate
from satclip.cli.commands.export import export
from satclip.cli.commands.grid import grid
from satclip.cli.commands.index import index
from satclip.cli.commands.info import info
from satclip.cli.commands.map import map_
from satclip.cli.commands.probe import probe
from satclip.cli.commands.report import compare, report
from satclip.cli.commands.resume import rerun, resume
from satclip.cli.commands.similar import similar


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="""\b
Examples:
  satclip info microsoft/SatCLIP-ViT16-L40
  satclip embed places.csv --model microsoft/SatCLIP-ViT16-L40 -o places.parquet
  satclip evaluate last.ckpt geoclip -o report
  satclip grid --model last.ckpt --resolution 0.25 -o world.tif

\b
A model SOURCE is a checkpoint file, a run's folder, a safetensors folder, or a name on the Hugging Face hub;
untrained:SOURCE is the same architecture with fresh weights.
Coordinates are longitude, latitude in degrees, in that order, everywhere.""",
)
@click.version_option(satclip.__version__, prog_name="satclip")
def app() -> None:
    """Use location encoders: embed places and grids, draw maps, inspect, score and export models."""


for _command in (embed, grid, map_, similar, info, evaluate, probe, index, export, resume, rerun, report, compare):
    app.add_command(_command)
