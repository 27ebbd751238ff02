"""Encoders of this project and of the published system: checkpoints, run folders, saved folders, names on the hub."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from satclip.checkpoint.sources import RELEASED, locate
from satclip.checkpoint.stored import OurCheckpoint, read_checkpoint
from satclip.downstream.rivals.frozen import BLOCKS_OUT, GLOBE, UNKNOWN, Frozen
from satclip.downstream.rivals.weights_file import seeded
from satclip.location.encoder import LocationEncoder
from satclip.location.hub import CONFIG

IN_A_RUN = ("checkpoints/best.ckpt", "checkpoints/last.ckpt", "best.ckpt", "last.ckpt")
BLUE_MARBLE, S2_100K = "BlueMarbleDataModule", "torchgeo/s2-100k"


def trained(source: str | Path, *, name: str | None = None) -> Frozen:
    """The location encoder of a checkpoint, a run folder, a folder of safetensors or a name on the hub.

    What it has seen is read from the recipe in a checkpoint of ours, and known of the six released models by their name
    on the hub; of any other file it is unknown.

    Raises:
        FileNotFoundError, ConnectionError, ValueError: as `satclip.load_location_encoder`.
    """
    path = locate(_in_run_folder(source))
    stored = None if path.is_dir() else read_checkpoint(path)
    encoder = LocationEncoder.from_folder(path) if stored is None else stored.location_encoder()
    known = GLOBE if str(source) in RELEASED else UNKNOWN
    return placed(encoder, name or str(source), seen_by(stored.recipe) if isinstance(stored, OurCheckpoint) else known)


def placed(encoder: LocationEncoder, name: str, seen: str) -> Frozen:
    """A location encoder of ours in the benchmark's contract, its network in float32."""
    config = encoder.config()
    return Frozen(
        name,
        seen,
        encoder.to(torch.float32),
        fresh=partial(_fresh, config),
        described=json.dumps(config, sort_keys=True),
    )


def seen_by(recipe: Mapping[str, Any]) -> str:
    """What a training saw, by the recipe in its checkpoint.

    Whole blocks held out make it inductive. Without them it has seen the whole globe, where the patches are known to
    cover it: Blue Marble and S2-100K. Patches of somebody's own may lie anywhere: unknown.
    """
    config = recipe.get("config")
    dataset = config.get("dataset") if isinstance(config, Mapping) else None
    if not isinstance(dataset, Mapping):
        return UNKNOWN
    if dataset.get("split") == "block":
        return BLOCKS_OUT
    module = str(dataset.get("_target_")).rpartition(".")[2]  # which has moved from file to file
    everywhere = module == BLUE_MARBLE or dataset.get("hub") == S2_100K
    seen = dataset.get("split") in ("random", "all") and everywhere and not dataset.get("bounds")
    return GLOBE if seen else UNKNOWN


def _in_run_folder(source: str | Path) -> str | Path:
    """The best checkpoint where `source` is the folder of a run; anything else as it is."""
    folder = Path(source).expanduser()
    if not folder.is_dir() or (folder / CONFIG).is_file():
        return source
    for inside in IN_A_RUN:
        if (folder / inside).is_file():
            return folder / inside
    raise FileNotFoundError(
        f"{source} holds neither {IN_A_RUN[0]} (a run) nor {CONFIG} (save_pretrained); give a checkpoint inside it"
    )


def _fresh(config: dict[str, Any], seed: int) -> LocationEncoder:
    return seeded(partial(LocationEncoder.from_config, config), seed)
