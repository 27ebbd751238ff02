"""Encoders of this project and of the published system: checkpoints, run folders, saved folders, names on the hub."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from satclip.blocks import in_held_out_block
from satclip.checkpoint.sources import PACKAGED, RELEASED, locate
from satclip.checkpoint.stored import OurCheckpoint, read_checkpoint
from satclip.downstream.contract import Array
from satclip.downstream.rivals.frozen import BLOCKS_OUT, GLOBE, NOTHING, UNKNOWN, Frozen
from satclip.location.encoder import LocationEncoder
from satclip.location.hub import CONFIG

IN_A_RUN = ("checkpoints/best.ckpt", "checkpoints/last.ckpt", "best.ckpt", "last.ckpt")
BLUE_MARBLE = "BlueMarbleDataModule"
S2_100K = "torchgeo/s2-100k"
SPLIT = ("split", "val_fraction", "split_degrees", "split_buffer_km", "batch_size")


@dataclass(frozen=True)
class HeldOut:
    """The blocks whose imagery a training left out: about `fraction` of all cells of `degrees`."""

    fraction: float
    degrees: float

    def holds(self, lonlat: Array) -> NDArray[np.bool_]:
        """Which places lie in them: degrees [N, 2] -> bool [N]."""
        return in_held_out_block(torch.from_numpy(lonlat), self.fraction, self.degrees).numpy()


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
    if isinstance(stored, OurCheckpoint):
        row = placed(encoder, name or str(source), stored.recipe)
        row.vision = lambda: stored.towers().vision
        return row
    row = placed(encoder, name or str(source))
    row.seen = GLOBE if str(source) in (*RELEASED, *PACKAGED) else UNKNOWN
    return row


def placed(encoder: LocationEncoder, name: str, recipe: Mapping[str, Any] | None = None) -> Frozen:
    """A location encoder of ours in the benchmark's contract, its network in float32.

    Args:
        encoder: trained, or not.
        name: the row's.
        recipe: of its training, as its checkpoint has it; None for an encoder that has seen nothing.
    """
    network = encoder.to(torch.float32)
    row = Frozen(
        name,
        NOTHING if recipe is None else seen_by(recipe),
        network,
        fresh=network.untrained,
        blocks=network.nested or None,
        described=json.dumps(network.config(), sort_keys=True),
    )
    if recipe is not None:
        row.recipe, row.held_out = recipe, held_out_by(recipe)
    return row


def seen_by(recipe: Mapping[str, Any]) -> str:
    """What a training saw, by the recipe in its checkpoint.

    Whole blocks held out make it inductive. Without them it has seen the whole globe, where the patches are known to
    cover it: Blue Marble and S2-100K. Patches of somebody's own may lie anywhere: unknown.
    """
    dataset = dataset_of(recipe)
    if not dataset:
        return UNKNOWN
    if dataset.get("split") == "block":
        return BLOCKS_OUT
    module = str(dataset.get("_target_")).rpartition(".")[2]  # which has moved from file to file
    everywhere = module == BLUE_MARBLE or dataset.get("hub") == S2_100K
    seen = dataset.get("split") in ("random", "all") and everywhere and not dataset.get("bounds")
    return GLOBE if seen else UNKNOWN


def held_out_by(recipe: Mapping[str, Any]) -> HeldOut | None:
    """The blocks that a training left out, by the recipe in its checkpoint; None where it says of none."""
    dataset = dataset_of(recipe)
    fraction, degrees = dataset.get("val_fraction"), dataset.get("split_degrees")
    if dataset.get("split") != "block" or not isinstance(fraction, int | float) or not isinstance(degrees, int | float):
        return None
    return HeldOut(float(fraction), float(degrees)) if 0 < fraction < 1 and 0 < degrees <= 180 else None


def dataset_of(recipe: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options of the data set that a training was given; empty where the recipe does not say.

    Of one on cached features they are those of the patches that the features were computed of, with its own split.
    """
    config = recipe.get("config")
    dataset = config.get("dataset") if isinstance(config, Mapping) else None
    if not isinstance(dataset, Mapping):
        return {}
    cached = recipe.get("features")
    patches = cached.get("dataset") if isinstance(cached, Mapping) else None
    if not isinstance(patches, Mapping):
        return dataset
    return {**patches, **{name: dataset[name] for name in SPLIT if name in dataset}}


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
