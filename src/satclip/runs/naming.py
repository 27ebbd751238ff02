"""What a run is called where many are compared: a short name from its options, its sweep, its tags."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from satclip.runs import run_folder
from satclip.runs.again import key_of

SHORT = {"legendre_polys": "L", "optimizer.lr": "lr", "optimizer.weight_decay": "wd", "dataset.batch_size": "batch"}
NOT_NAMED = (
    "hydra",
    "experiment",
    "logger",
    "callbacks",
    "report",
    "ckpt_path",
    "name",
    "output_dir",
    "optimized_metric",
)
LONGEST = 120  # letters; W&B takes 128


@dataclass(frozen=True)
class Naming:
    """A run among others.

    Attributes:
        name: `L20-seed1` in a sweep, after what its jobs differ in; `blue_marble-L20` alone.
        group: the sweep's folder; None for a single run.
        tags: the experiment, and whether it is of a sweep.
    """

    name: str
    group: str | None
    tags: tuple[str, ...]


def naming(config: DictConfig, given: Sequence[str], folder: Path) -> Naming:
    """How to call the run in `folder` that was begun with the options `given`."""
    experiment = next((each.split("=", 1)[1] for each in given if key_of(each) == "experiment"), None)
    of_sweep = (folder / run_folder.JOB).exists()
    tags = (*([experiment] if experiment else []), "sweep" if of_sweep else "single")
    if not of_sweep:
        return Naming("-".join([str(config.name), *_words(given)])[:LONGEST], None, tags)
    options = json.loads((folder / run_folder.JOB).read_text())["options"]
    shared = _shared(folder.parent)
    varied = _words([each for each in options if each not in shared])
    name = "-".join(varied or [str(config.name), folder.name])
    return Naming(name[:LONGEST], f"{config.name}/{folder.parent.name}", tags)


def of_hydra(config: DictConfig, folder: Path) -> Naming:
    """How to call the run that Hydra has begun in this process; by its config alone where it has begun none."""
    given = list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []
    return naming(config, given, folder)


def named(node: DictConfig, run: Naming) -> dict[str, object]:
    """What a logger's node is to be instantiated with beside its own: for W&B, what was left to be named."""
    if not str(node.get("_target_")).endswith(".wandb_logger"):
        return {}
    of_server = "WANDB_SWEEP_ID" in os.environ or "WANDB_RUN_GROUP" in os.environ  # a sweep of W&B's is a group already
    group = None if of_server else run.group
    return {
        "name": node.get("name") or run.name,
        "group": node.get("group") or group,
        "tags": list(dict.fromkeys([*(node.get("tags") or ()), *run.tags])),
    }


def _shared(sweep: Path) -> set[str]:
    """The options that all jobs of a sweep were given."""
    try:
        given = OmegaConf.load(sweep / "multirun.yaml").hydra.overrides.task
    except FileNotFoundError:
        return set()
    return {str(each) for each in given}


def _words(given: Sequence[str]) -> list[str]:
    words = []
    for each in given:
        key, _, value = each.partition("=")
        key = key_of(key)
        if not value or key.split(".")[0].split("/")[0] in NOT_NAMED or "/" in value or value.startswith("-"):
            continue
        named = SHORT.get(key, "" if not _is_number(value) and "." not in key else key.split(".")[-1])
        words.append(f"{named}{_rounded(value)}")
    return words


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _rounded(value: str) -> str:
    return value if not _is_number(value) or len(value) < 8 else f"{float(value):.3g}"
