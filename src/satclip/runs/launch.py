"""From Hydra to a run: at once, or, for a job of a multirun, once and not again.

Lightning starts the other ranks of a run by repeating this process's command line. In a multirun that would be the
whole sweep, and the second job would find the first one's process group in its way. So each job of several devices
gets a process of its own, which is told to run that job and nothing else.
"""

import logging
import math
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig

from satclip import launch_environment
from satclip.runs import hydra_setup, run_folder
from satclip.runs.sweeping import trial as trials

log = logging.getLogger(__name__)
SWEEP_ONLY = ("hydra.mode", "hydra.sweep", "hydra/sweeper", "hydra.launcher", "hydra/launcher", "hydra.run.dir")
PASSED_ON = (signal.SIGTERM, signal.SIGUSR1)


def main(config: DictConfig, *, script: str) -> dict[str, float]:
    """Run what Hydra composed.

    A job of a multirun that finished before in the same folder returns its figures; one that was interrupted resumes.

    Args:
        config: what to run.
        script: the program that called, to be called again for a process of its own.
    """
    hydra_setup.register()  # a launcher may have carried this into a process that never saw the command line
    if HydraConfig.get().mode is not RunMode.MULTIRUN:
        return _run(config)
    folder, job = Path(config.output_dir), list(HydraConfig.get().overrides.task)
    try:
        begun = run_folder.holds_job(folder, job)
    except ValueError as error:
        sys.exit(f"error: {error}")
    if begun and (found := run_folder.metrics_of(folder)) is not None:
        log.info("%s has finished before and is skipped", folder)
        return found
    if trials.pruned(folder):
        return {}
    if config.ckpt_path is None or (begun and run_folder.traces(folder)):
        config.ckpt_path = "auto"  # a checkpoint of elsewhere is what a job begins with, not what it resumes from
    if launch_environment.rank() == 0:
        run_folder.begin_job(folder, job)
    # A trial as well: one that is killed, or runs out of memory, does not take the driver of its sweep with it.
    if (several_devices(config.trainer) or trials.trial_of(folder)) and not launch_environment.external():
        return _in_own_process(config, script, job)
    return _run(config)


def figure(metrics: Mapping[str, float], name: str | Sequence[str] | None) -> float | tuple[float, ...]:
    """The figure of that name, or several, for a sweeper that optimises; NaN where there is none, which its log says.

    A run whose figure is missing has been trained all the same: its work is not lost for that.
    """
    if name is not None and not isinstance(name, str):
        return tuple(_figure(metrics, each) for each in name)
    return math.nan if name is None else _figure(metrics, name)


def _figure(metrics: Mapping[str, float], name: str) -> float:
    told = HydraConfig.get().mode is RunMode.MULTIRUN and launch_environment.rank() == 0
    if metrics and name not in metrics and told:
        log.error("the run has no figure %s (optimized_metric); it has %s", name, ", ".join(sorted(metrics)))
    return metrics.get(name, math.nan)


def several_devices(trainer: Mapping[str, Any]) -> bool:
    """Whether a trainer's config may start processes beside this one."""
    devices = trainer.get("devices", 1)
    if isinstance(devices, (ListConfig, list)):
        return len(devices) > 1
    return str(devices).strip() != "1" or int(trainer.get("num_nodes", 1)) > 1


def _run(config: DictConfig) -> dict[str, float]:
    from satclip.runs import run  # takes seconds: only where it is this process that trains

    return run.main(config)


def _in_own_process(config: DictConfig, script: str, job: Sequence[str]) -> dict[str, float]:
    """Run a job by `python train.py OPTIONS` without -m; signals are passed on to it."""
    kept = [option for option in HydraConfig.get().overrides.hydra if not option.lstrip("+~").startswith(SWEEP_ONLY)]
    command = [sys.executable, str(Path(script).resolve()), *job, *kept]
    command += [f"ckpt_path={config.ckpt_path}", f'hydra.run.dir="{config.output_dir}"', "hydra.output_subdir=null"]
    # Without this, Lightning would take a job inside a SLURM allocation for one rank of a run that srun started.
    surroundings = {name: value for name, value in os.environ.items() if name != "SLURM_NTASKS"}
    child = subprocess.Popen(command, env=surroundings)
    before = {number: signal.signal(number, lambda given, _: child.send_signal(given)) for number in PASSED_ON}
    # Ctrl-C in a terminal reaches the child as well, which saves and ends; here it is enough to wait for that.
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if code > 128:
        sys.exit(code)  # told to stop
    metrics = run_folder.metrics_of(Path(config.output_dir))
    if code:
        raise RuntimeError(f"the job in {config.output_dir} ended with code {code}; its messages are above")
    return metrics or {}  # none where trainer.max_time ended it
