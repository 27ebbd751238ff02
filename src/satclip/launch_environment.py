"""Rank and launcher of this process (torchrun, srun, Lightning), from environment variables, before any collective."""

import logging
import os
import threading
import time
from datetime import datetime

log = logging.getLogger(__name__)


def rank() -> int:
    """The rank of this process under torchrun, Lightning or srun; 0 for a single one."""
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        if name in os.environ:
            return int(os.environ[name])
    return 0


def under_torchrun() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def under_srun() -> bool:
    """Whether srun started this process as one of several."""
    return not under_torchrun() and int(os.environ.get("SLURM_NTASKS", 1)) > 1 and "SLURM_JOB_ID" in os.environ


def external() -> bool:
    """Whether the processes of a run are all started from outside, by torchrun or by srun."""
    return under_torchrun() or int(os.environ.get("SLURM_NTASKS", 1)) > 1


def started(pattern: str) -> str:
    """When this run began, by `strftime`: the same on every process that torchrun started.

    Under srun processes cannot communicate yet and may have begun in different seconds: job and step name the run.
    """
    if under_srun():
        return f"slurm-{os.environ['SLURM_JOB_ID']}-{os.environ.get('SLURM_STEP_ID', '0')}"
    now = datetime.now().astimezone().strftime(pattern)
    if not under_torchrun():
        return now
    from satclip import ranks

    return ranks.agree(f"satclip {pattern}", now)


def agreed(key: str, text: str) -> str:
    """The text of rank 0, on every process that torchrun started; elsewhere the text itself."""
    if not under_torchrun():
        return text
    from satclip import ranks

    return ranks.told(f"satclip {key}", text if rank() == 0 else None)


def leave_with_parent() -> None:
    """End this process, one of several ranks that Lightning started, when the parent has ended.

    It may be waiting for rank 0 in a collective, which on a GPU can take minutes to fail.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        log.error("rank 0 (process %d) has ended; ending rank %d", parent, rank())
        os._exit(1)

    if rank() > 0 and not external():
        threading.Thread(target=watch, daemon=True, name="parent").start()
