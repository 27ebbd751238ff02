"""Run a W&B sweep file without W&B's server: `python scripts/run_sweep.py sweeps/FILE.yaml [OPTIONS of train.py]`.

Grid, random, bayes (as TPE) and hyperband (as successive halving), one process a trial. The study, failed trials and
resuming are those of hydra/sweeper=optuna: call it again with the same hydra.sweep.dir=FOLDER to run what is missing.
"""

import argparse
import os
import shlex
import sys
from pathlib import Path

from satclip.optional_import import remedy

try:
    from satclip.runs.sweeping import wandb_file
except ModuleNotFoundError as error:
    sys.exit(f"error: {remedy(error) or error}")

TRAIN = Path(__file__).resolve().parents[1] / "train.py"


def main() -> None:
    """Say the command and become it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="a W&B sweep file")
    parser.add_argument("--dry-run", action="store_true", help="only show the command")
    parser.add_argument("options", nargs="*", help="of train.py; they replace those of the file")
    given = parser.parse_intermixed_args()
    try:
        command = [sys.executable, str(TRAIN), *wandb_file.arguments(wandb_file.read(given.file)), *given.options]
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(shlex.join(command), flush=True)
    if not given.dry_run:
        os.execv(command[0], command)


if __name__ == "__main__":
    main()
