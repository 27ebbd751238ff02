"""What a process knows of the others of its run before they can speak, from the variables that its launcher set."""

import logging
import os
import threading
import time
from datetime import datetime

log = logging.getLogger(__name__)


def rank() -> int:
    """Which process of a run this is, whoever started it: torchrun, Lightning or srun; 0 for one alone."""
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

    Those that srun started cannot speak yet, and may have begun in different seconds: their job and step name the run.
    """
    if under_srun():
        return f"slurm-{os.environ['SLURM_JOB_ID']}-{os.environ.get('SLURM_STEP_ID', '0')}"
    now = datetime.now().astimezone().strftime(pattern)
    if not under_torchrun():
        return now
    from satclip import ranks

    return ranks.agree(f"satclip {pattern}", now)


def agreed(key: str, text: str) -> str:
    """What rank 0 says on every process that torchrun started; elsewhere the text itself."""
    if not under_torchrun():
        return text
    from satclip import ranks

    return ranks.told(f"satclip {key}", text if rank() == 0 else None)


def leave_with_parent() -> None:
    """End this process, if Lightning started it as one of several ranks, when the one that did is gone.

    It may be waiting for that one in a collective, which on a GPU can take minutes to notice.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        log.error("rank 0 (process %d) is gone; rank %d ends", parent, rank())
        os._exit(1)

    if rank() > 0 and not external():
        threading.Thread(target=watch, daemon=True, name="parent").start()
