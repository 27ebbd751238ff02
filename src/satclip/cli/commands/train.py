"""`satclip train`: a training, from an installed package."""

import os
import sys

import click

from satclip.cli.failures import need

PROGRAM = ("-m", "satclip.runs.train")


@click.command(
    short_help="Train an encoder: python train.py without a checkout.",
    context_settings={"ignore_unknown_options": True},
    epilog="""\b
Examples:
  satclip train experiment=blue_marble
  satclip train dataset=s2_folder dataset.root=my_patches experiment=region
  satclip train -m experiment=blue_marble legendre_polys=10,20,40
  satclip train experiment=blue_marble --cfg job
  satclip train -- --help""",
)
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED)
def train(overrides: tuple[str, ...]) -> None:
    """Train with the OVERRIDES that `python train.py` takes; `satclip train -- --help` lists all groups and options.

    Runs go to outputs/ in this folder; `satclip resume` resumes one.
    """
    need("train", "hydra", "omegaconf", "lightning")
    os.execv(sys.executable, [sys.executable, *PROGRAM, *overrides])
