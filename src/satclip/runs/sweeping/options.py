"""The options of `hydra/sweeper=optuna` and their kinds; their values stand in conf/hydra/sweeper/optuna.yaml."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

NAME = "hydra_plugins.satclip.OptunaSweeper"  # Hydra takes plugins of that package alone


@dataclass
class OptunaOptions:
    """As `satclip.runs.sweeping.optuna_sweeper.OptunaSweeper` takes them. `params` takes names that are in no file."""

    _target_: str = NAME
    _recursive_: bool = False
    _convert_: str = "all"
    params: dict[str, Any] = field(default_factory=dict)
    n_trials: int = MISSING
    n_jobs: int = MISSING
    direction: Any = MISSING
    study_name: str | None = None
    storage: str | None = None
    prune_by: str | None = None
    sampler: dict[str, Any] = MISSING
    pruner: dict[str, Any] | None = None


def register() -> None:
    """Give the file its schema."""
    ConfigStore.instance().store(group="hydra/sweeper", name="_optuna", node=OptunaOptions, provider="satclip")
