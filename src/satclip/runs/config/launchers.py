"""Room for conf/hydra/launcher beside what the launchers' plugins bring under the same names, and what they need."""

import functools
import os
import shutil
import sys
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from satclip.runs.config.hooks import wrap

OURS = ("submitit_slurm", "ray")
OF_SLURM = ".SlurmLauncher"
# Ahead of the time limit; a run saves at that, and submitit's own would end it unsaved.
SIGNAL = ("SUBMITIT_PREEMPT_SIGNAL", "USR1")


def register() -> None:
    """Call a plugin's own options `_NAME`: Hydra warns of a file that has the name of a stored one. Refuse a launcher
    in one line where it cannot be.
    """
    wrap(Plugins, "instantiate_launcher", _where_it_can_be)
    Plugins.instance()  # they are stored when it is made
    stored = ConfigStore.instance().repo.get("hydra", {}).get("launcher", {})
    for name in OURS:
        if f"{name}.yaml" in stored:
            stored[f"_{name}.yaml"] = stored.pop(f"{name}.yaml")


def _where_it_can_be(instantiate: Any) -> Any:
    @functools.wraps(instantiate)
    def instantiate_launcher(self: Plugins, **given: Any) -> Any:
        os.environ.setdefault(*SIGNAL)
        target = str(given["config"].hydra.launcher.get("_target_"))
        if target.endswith(OF_SLURM) and shutil.which("srun") is None:
            sys.exit(
                "error: hydra/launcher=submitit_slurm: there is no srun on this machine; start it on a login node of "
                "the cluster, or give hydra/launcher=submitit_local"
            )
        return instantiate(self, **given)

    return instantiate_launcher
