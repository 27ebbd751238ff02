"""What Hydra must be taught before it can compose `conf/`.

`legendre_polys` is a config group without files, what cannot be composed is said in one line, and dimensions that
follow from other choices are computed by resolvers instead of being written twice.
"""

import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from satclip import launch_environment
from satclip.runs.config import composing, degrees, launchers
from satclip.runs.sweeping import optuna_sweeper, space

ONLY_PRINTS = ("--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i")


def register() -> None:
    """Teach it in this process; nothing happens the second time."""
    degrees.register()
    composing.register()
    launchers.register()
    space.register()
    optuna_sweeper.register()
    OmegaConf.register_new_resolver("channels", len, replace=True)
    OmegaConf.register_new_resolver("statistics_dim", _statistics_dim, replace=True)
    OmegaConf.register_new_resolver("at_most", min, replace=True)
    OmegaConf.register_new_resolver("beside_skip", _beside_skip, replace=True)
    OmegaConf.register_new_resolver("of_store", _of_store, replace=True)
    OmegaConf.register_new_resolver("one_gpu_if_here", _one_gpu_if_here, replace=True)
    OmegaConf.register_new_resolver("started", launch_environment.started, replace=True, use_cache=True)


def _one_gpu_if_here() -> int:
    """What a job of a sweep takes by default: a GPU where this machine has any."""
    import torch

    return min(1, torch.cuda.device_count())


def arguments(given: Sequence[str]) -> list[str]:
    """The command line as Hydra is to read it in this process: with one log file per rank.

    Raises:
        SystemExit: torchrun was asked for a multirun.
    """
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # the first import on a machine tells that it lists fonts
    if any(each.split("=")[0] in ONLY_PRINTS for each in given):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `--help | head` closes the output early, and that is no error
    if not launch_environment.external():
        return list(given)
    if launch_environment.under_torchrun() and {"-m", "--multirun"} & set(given):
        sys.exit(
            "error: torchrun starts one run; `python train.py -m ... trainer=ddp` starts the processes of each job"
        )
    rank = launch_environment.rank()
    return list(given) if rank == 0 else [*given, f"hydra.job.name=train_rank_{rank}", "hydra.output_subdir=null"]


def compose(config_folder: Path, overrides: Sequence[str]) -> DictConfig:
    """The config that `python train.py OVERRIDES` would get, for notebooks, scripts and tests.

    The output folder is outputs/ in the current folder unless the overrides set `output_dir`.
    """
    register()
    with hydra.initialize_config_dir(str(config_folder.resolve()), version_base="1.3"):
        return hydra.compose("train", overrides=["output_dir=outputs", *overrides])


def _statistics_dim(bands: Sequence[str], grids: Sequence[int]) -> int:
    """Numbers of `dataset.image_statistics`, for the loss that learns them."""
    from satclip.data.batches.statistics import statistics_dim  # brings torch: not for --help

    return statistics_dim(len(bands), grids)


def _of_store(root: str, fact: str) -> Any:
    """What a store of features, or a table of vectors, says of itself: bands, image_size, dim, name.

    Raises:
        ValueError: there is none, or it does not say.
    """
    from satclip.data.features.opening import facts_of  # brings torch: not for --help

    try:
        facts = facts_of(Path(root))
    except OSError as error:
        raise ValueError(str(error)) from error
    if fact not in facts:
        raise ValueError(f"{root} does not say its {fact}")
    value = facts[fact]
    return OmegaConf.create(value) if isinstance(value, list) else value


def _beside_skip(embedding_dim: int, skip_degrees: int) -> int:
    """Numbers of the embedding that the network gives (see `satclip.location.skip`)."""
    return embedding_dim - max(0, skip_degrees**2 - 1)
