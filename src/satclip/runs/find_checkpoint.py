"""Which checkpoint to resume from, and by which command."""

import logging
import pickle
import shlex
import sys
import zipfile
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from satclip.runs.again import OF_ONE_START, flags_first, key_of, quoted, resuming

log = logging.getLogger(__name__)
NEEDED = ("state_dict", "optimizer_states", "loops", "global_step")


def newest_readable(folder: Path) -> tuple[Path, int] | None:
    """The checkpoint under `folder` that was written last and is whole, and its step; None where there is none.

    A damaged one is skipped with a warning.
    """
    written = [(path.stat().st_mtime_ns, path) for path in folder.rglob("*.ckpt")]
    for _, path in sorted(written, reverse=True):
        try:
            return path, step_of(path)
        except ValueError as error:
            log.warning("%s; the one before it is tried", error)
    return None


def step_of(path: Path) -> int:
    """The number of optimiser steps behind a checkpoint that a training can resume from.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is cut short or damaged, or holds weights alone.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"no checkpoint {path}; ckpt_path=auto takes the newest in the run's own folder, ckpt_path=null begins anew"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()  # reads all of it against its checksums, which torch.load does not
        if broken is not None:
            raise ValueError(f"{path} is damaged (checksum of {broken})")
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path} is damaged ({error})") from error
    missing = [name for name in NEEDED if name not in checkpoint]
    if missing:
        raise ValueError(f"{path} holds no {', '.join(missing)}, so no training can resume from it")
    return int(checkpoint["global_step"])


def other_run(checkpoint: Path, folder: Path) -> Path | None:
    """The folder of the run that a checkpoint is of, where that is not `folder`."""
    run = checkpoint.resolve().parent.parent
    return None if folder.resolve() in checkpoint.resolve().parents else run


def command(folder: Path) -> str:
    """The command line of this process, with what has it resume in `folder`."""
    if HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN:  # its jobs resume by themselves
        program, *given = _sweep_begun_by(folder.parent)
        arguments = [each for each in given if key_of(each) != "hydra.sweep.dir"]
        arguments.append(f"hydra.sweep.dir={quoted(folder.parent)}")
    else:
        program, arguments = sys.argv[0], resuming(sys.argv[1:], folder)
    return shlex.join(["python", program, *arguments])


def _sweep_begun_by(sweep: Path) -> list[str]:
    """The command line of a sweep, train.py first, in a process that a launcher may have begun by a line of its own."""
    noted = sweep / "multirun.yaml"
    if {"-m", "--multirun"} & set(sys.argv) or not noted.is_file():
        return sys.argv
    given = OmegaConf.load(noted).hydra.overrides
    return ["train.py", "-m", *(each for each in given.hydra if key_of(each) != "hydra.mode"), *given.task]


def begun_by() -> list[str]:
    """The arguments of train.py that this run was begun with, and begins another one with: of a multirun, its job's.

    Nothing where no command line composed it, but a notebook or a test.
    """
    if not HydraConfig.initialized():
        return []
    if HydraConfig.get().mode is RunMode.MULTIRUN:
        flags = [each for each in flags_first(sys.argv[1:]) if each.startswith("--config")]
        given = [*flags, *HydraConfig.get().overrides.task]
    else:
        given = sys.argv[1:]
    return flags_first([each for each in given if key_of(each) not in OF_ONE_START])
