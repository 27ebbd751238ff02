"""Room for conf/hydra/launcher beside what the launchers' plugins bring under the same names."""

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

OURS = ("submitit_slurm", "ray")


def register() -> None:
    """Call a plugin's own options `_NAME`: Hydra warns of a file that has the name of a stored one."""
    Plugins.instance()  # they are stored when it is made
    stored = ConfigStore.instance().repo.get("hydra", {}).get("launcher", {})
    for name in OURS:
        if f"{name}.yaml" in stored:
            stored[f"_{name}.yaml"] = stored.pop(f"{name}.yaml")
