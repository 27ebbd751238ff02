"""From patches to a store of their features: each goes once through a frozen backbone."""

import hashlib
import logging
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from satclip import __version__, launch_environment, ranks
from satclip.data.batches.bad_patches import BadPatches
from satclip.data.batches.indexed import UsablePatches
from satclip.data.datamodule import S2DataModule
from satclip.data.feature_reader import FeatureReader
from satclip.data.features.parts import Parts
from satclip.data.features.store import DTYPES, MANIFEST
from satclip.files import locked
from satclip.runs.config import checks
from satclip.runs.launch import several_devices
from satclip.runs.run import explain, quieten, set_precision
from satclip.training.checkpoint_io import plain
from satclip.vision.freezing import features_identity

log = logging.getLogger(__name__)
OWN = ("store", "views", "dtype", "shard", "chunk")
NOT_KEPT = ("num_workers", "batch_size")  # of the data set's options: no feature follows from them
SAY_EVERY = 10.0  # seconds


def main(config: DictConfig) -> None:
    """`cache` for the command line: bad input ends in its message, a defect in its traceback."""
    try:
        cache(config)
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        sys.exit(f"error: {message}")


def cache(config: DictConfig) -> Path:
    """Write the store that `config` describes, or what of it is not there yet; returns its folder.

    Under torchrun or srun each process computes its share of the shards, and the first puts them together.

    Raises:
        ValueError: an option, the image tower or the patches are not fit for it.
        FileExistsError: there is something else, or features of another kind.
    """
    quieten()
    train = checked(config)
    gpu = device_of(train.trainer).type == "cuda"
    ranks.enter(gpu=gpu)
    device = device_of(train.trainer)
    data: S2DataModule = instantiate(train.dataset)
    if not isinstance(data, S2DataModule):
        raise ValueError("features are computed of patches; give their data set (dataset=s2_100k, not features)")
    if ranks.rank() == 0:
        data.prepare_data()
    ranks.total(0)  # the others wait until the patches are there
    set_precision(train.matmul_precision)
    tower: nn.Module = instantiate(train.vision)
    tower = tower.eval().to(device)
    target = Path(config.store)
    target.parent.mkdir(parents=True, exist_ok=True)
    if ranks.rank() == 0:
        with locked(target):
            _fill(config, train, data, tower, device)
    else:
        _fill(config, train, data, tower, device)
    ranks.leave()
    return target


def checked(config: DictConfig) -> DictConfig:
    """The config of a training, checked, after our own options.

    Raises:
        ValueError: names the option and what it takes.
    """
    counts = {name: config[name] for name in ("views", "shard", "chunk")}
    for name, value in counts.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} takes a whole number, 1 or more, got {value!r}")
    if config.dtype not in DTYPES:
        raise ValueError(f"dtype takes one of {', '.join(DTYPES)}, got {config.dtype!r}")
    if not isinstance(config.store, str):
        raise ValueError(f"store takes the folder to write, got {config.store!r}")
    names = [str(key) for key in config if str(key) not in (*OWN, "hydra")]
    train = OmegaConf.masked_copy(config, names)
    train = OmegaConf.create({**OmegaConf.to_container(train), "output_dir": "outputs"})  # type: ignore[dict-item]
    checks.check(train)
    if several_devices(train.trainer) and not launch_environment.external():
        raise ValueError(
            "several devices are started from outside here: torchrun --nproc-per-node N scripts/cache_features.py ..., "
            "or give trainer.devices=1"
        )
    return train


def device_of(trainer: Mapping[str, Any]) -> torch.device:
    """Where this process computes, by `trainer.accelerator`."""
    wanted = str(trainer.get("accelerator", "auto"))
    if wanted in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        number = int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", 0)))
        torch.cuda.set_device(number)
        return torch.device("cuda", number)
    if wanted == "mps" or (wanted in ("auto", "gpu") and torch.backends.mps.is_available()):
        return torch.device("mps")
    return torch.device("cpu")


def _fill(config: DictConfig, train: DictConfig, data: S2DataModule, tower: nn.Module, device: torch.device) -> None:
    usable = data.usable()
    shards = list(torch.split(usable.rows, config.shard))
    identity = _identity(config, train, data, usable, tower, device)
    parts = Parts(Path(config.store), identity, len(shards))
    if ranks.rank() == 0:
        if parts.finished:
            log.info("%s is there already, of the same backbone and views", config.store)
        else:
            parts.begin()
    ranks.total(0)
    if parts.finished:
        return
    mine = range(ranks.rank(), len(shards), ranks.world_size())
    missing = [number for number in mine if not parts.is_there(number)]
    if len(missing) < len(mine):
        log.info("%d of %d shards are there from a run that did not end", len(mine) - len(missing), len(mine))
    bad = BadPatches(data.max_bad_fraction, len(usable.rows))
    reader = FeatureReader(data, usable, tower, device, views=identity["views"], dtype=DTYPES[config.dtype][0])
    watch = _Watch(sum(len(shards[number]) for number in missing), len(missing))
    computed = reader.parts([shards[number] for number in missing], config.chunk, train.dataset.num_workers)
    for number, part in zip(missing, computed, strict=True):
        bad.add(part.bad)
        parts.write(number, part)
        watch(len(shards[number]))
    ranks.total(0)  # every shard is there
    if ranks.rank() == 0:
        _finish(parts, data, usable, train)


def _finish(parts: Parts, data: S2DataModule, usable: UsablePatches, train: DictConfig) -> None:
    found, source, rows = parts.bad(), usable.source, parts.rows()
    bad = BadPatches(data.max_bad_fraction, len(usable.rows))
    bad.add(found)
    lines = [
        (repr(latitude), repr(longitude), source.names[row], row, int(source.held_out[row]))
        for row, (longitude, latitude) in zip(rows.tolist(), usable.lonlat[rows].tolist(), strict=True)
    ]
    counts = {"rows": len(source.names), "usable": len(usable.rows), "written": len(rows), "bad": bad.counts()}
    assert counts["usable"] == len(rows) + len(found)
    dataset = plain(OmegaConf.to_container(train.dataset, resolve=True))
    parts.finish(
        {
            "patches": {**counts, "left_out": {name: count for name, count in usable.left_out.items() if count}},
            "shard_sizes": list(source.shard_sizes),
            "width_km": usable.width_km,
            "pixels": max(usable.form.size),
            "dataset": {name: value for name, value in dataset.items() if name not in NOT_KEPT},
            "vision": plain(OmegaConf.to_container(train.vision, resolve=True)),
            "version": __version__,
        },
        lines,
    )
    size = sum(path.stat().st_size for path in parts.target.iterdir())
    log.info(
        "%s: %d patches, %d views, %d numbers each, %.1f MB; %d bad ones left out (%s). Train on them: "
        "dataset=features dataset.root=%s with the same vision",
        *(parts.target, len(rows), 1 + parts.identity["views"], parts.identity["dim"], size / 1e6, len(found)),
        *(parts.target / MANIFEST, parts.target),
    )


def _identity(
    config: DictConfig,
    train: DictConfig,
    data: S2DataModule,
    usable: UsablePatches,
    tower: nn.Module,
    device: torch.device,
) -> dict[str, Any]:
    """What every feature follows from."""
    how = data.augmentation
    views = 0 if config.views == 1 else config.views
    drawn = {"flips": how.flips, "rotate": how.rotate, "blur_sigma": how.blur_sigma and list(how.blur_sigma)}
    with torch.no_grad():
        known: Any = tower
        size, bands = how.image_size, len(train.dataset.bands)
        dim = known.features(torch.zeros(1, bands, size, size, device=device)).shape[1]
    digest = hashlib.sha256(usable.lonlat[usable.rows].numpy().tobytes())
    digest.update("\n".join(usable.source.names[row] for row in usable.rows.tolist()).encode(errors="surrogateescape"))
    return {
        **features_identity(tower),
        "dim": dim,
        "bands": list(train.dataset.bands),
        "image_size": size,
        "scale": how.scale,
        "views": views,
        "augmentation": {**drawn, "seed": data.seed} if views else None,
        "dtype": config.dtype,
        "shard": config.shard,
        "chunk": config.chunk,
        "places": digest.hexdigest(),
        "source": usable.source.state(),
    }


class _Watch:
    """Says how far it is, and how long it will take."""

    def __init__(self, patches: int, shards: int) -> None:
        self.patches, self.shards, self.done, self.finished = patches, shards, 0, 0
        self.begun = self.said = time.monotonic()

    def __call__(self, patches: int) -> None:
        """A shard is done."""
        self.done, self.finished = self.done + patches, self.finished + 1
        now = time.monotonic()
        if ranks.rank() or (now - self.said < SAY_EVERY and self.done < self.patches):
            return
        self.said, speed = now, self.done / max(now - self.begun, 1e-9)
        left = time.strftime("%H:%M:%S", time.gmtime((self.patches - self.done) / speed))
        whose = f" of this process (of {ranks.world_size()})" if ranks.world_size() > 1 else ""
        log.info("%d of %d shards%s, %.0f patches a second, %s left", self.finished, self.shards, whose, speed, left)
