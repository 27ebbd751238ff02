"""Which patches train and which validate, and the buffer between them."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from satclip import ranks
from satclip.data.split.buffer import meets
from satclip.data.split.footprint import KILOMETRES_PER_PIXEL
from satclip.data.split.rule import AUTO, Split

log = logging.getLogger(__name__)
KILOMETRES_PER_DEGREE = 111.195  # of latitude, on the sphere of satclip.sphere


@dataclass(frozen=True)
class Division:
    """Patches by what they are used for.

    Attributes:
        train, validation: positions, ascending, int64.
        rule: what they follow from, by the names of the options; `buffer_km` is what the buffer came to.
        buffered: how many patches are used for neither, because they would.
        overlapping: how many validation patches show ground that a training patch shows; all of them where the split
            is "all".
    """

    train: Tensor
    validation: Tensor
    rule: Mapping[str, float | str]
    buffered: int
    overlapping: int

    def in_words(self) -> str:
        """How the validation places were kept from the training: for the title of what is measured on them."""
        how = {
            "block": "held out in whole blocks of {split_degrees:g} degrees",
            "random": "held out one by one, at random",
            "stored": "held out as the shards are stored",
            "all": "trained on themselves: memory, not knowledge",
        }[str(self.rule["split"])].format(**self.rule)
        if self.rule["split"] == "all":
            return how
        if self.overlapping:
            return f"{how}, but {self.overlapping:,} of {len(self.validation):,} on ground that was trained on"
        return f"{how}, no ground shared with training"


def divide(
    split: Split,
    lonlat: Tensor,
    names: Sequence[str],
    stored: Tensor,
    *,
    width_km: float | None,
    pixels: int,
) -> Division:
    """Hold out what `split` says, and drop the training patches whose ground meets that of a validation patch.

    "all" holds out nothing: validation is a sample of what is trained on. It follows from the data alone, so it is the
    same for every seed and on every process.

    Args:
        split: how validation is chosen.
        lonlat: places in degrees, float64 [N, 2].
        names: of the patches.
        stored: the split that the shards hold, bool [N].
        width_km: ground that a patch covers, None where it does not say: ten metres a pixel then.
        pixels: along its longer side.

    Raises:
        ValueError: nothing is left to train on.
    """
    held_out = split.validation(lonlat, names, stored)
    if split.kind == "all":
        sample = held_out.nonzero().flatten()
        return Division(torch.arange(len(lonlat)), sample, _rule(split, 0.0), 0, len(sample))
    if width_km is None:
        width_km = pixels * KILOMETRES_PER_PIXEL
        _say(logging.INFO, "patches without georeference: %g km wide at Sentinel-2's ten metres a pixel", width_km)
    side = width_km if split.buffer_km == AUTO else float(split.buffer_km)
    training = (~held_out).nonzero().flatten()
    meeting = meets(lonlat[training], lonlat[held_out], side)
    dropped, kept = int(meeting.sum()), training[~meeting]
    _tell(split, dropped, len(training), side, width_km)
    validation = held_out.nonzero().flatten()
    overlapping = int(meets(lonlat[validation], lonlat[kept], width_km).sum()) if side < width_km else 0
    if overlapping:
        _say(
            logging.WARNING,
            "%d of %d validation patches show ground that training patches show, so retrieval will look better than it "
            "is; dataset.split_buffer_km=auto drops those training patches",
            overlapping,
            len(validation),
        )
    return Division(kept, validation, _rule(split, side), dropped, overlapping)


def _tell(split: Split, dropped: int, total: int, side: float, width_km: float) -> None:
    """Log what the buffer costs, and what to do where that is much.

    Raises:
        ValueError: it costs everything.
    """
    small = split.kind == "block" and split.degrees * KILOMETRES_PER_DEGREE < 2 * width_km
    larger = math.ceil(2 * width_km / KILOMETRES_PER_DEGREE)
    if small:
        _say(
            logging.WARNING,
            "blocks of %g degrees (%.0f km) are narrower than two patches of %.3g km, so every held-out patch may "
            "share ground with patches outside its block, and the buffer drops many of those; larger blocks "
            "(dataset.split_degrees=%d or more) drop fewer",
            split.degrees,
            split.degrees * KILOMETRES_PER_DEGREE,
            width_km,
            larger,
        )
    if not dropped:
        return
    what = f"{dropped:,} of {total:,} training patches meet the ground of a validation patch (within {side:.4g} km)"
    blocks = "hold out whole blocks (dataset.split=block)" if split.kind == "random" else "larger dataset.split_degrees"
    remedy = f"{blocks}, smaller dataset.val_fraction, or dataset.split_buffer_km=0, with which retrieval is flattered"
    if dropped == total:
        raise ValueError(f"all {what}, so none is left to train on: {remedy}")
    if dropped > total / 2:
        _say(logging.WARNING, "buffer: %s and are left out, more than half. To keep more: %s", what, remedy)
    else:
        _say(logging.INFO, "buffer: %s and are left out", what)


def _say(level: int, message: str, *facts: object) -> None:
    """Log what every process finds alike, once."""
    if ranks.rank() == 0:
        log.log(level, message, *facts)


def _rule(split: Split, side: float) -> dict[str, float | str]:
    """What is held out follows from this and the data: for a checkpoint, by the names of the options."""
    rule: dict[str, float | str] = {"split": split.kind}
    if split.kind != "stored":
        rule["val_fraction"] = split.fraction
    if split.kind == "block":
        rule["split_degrees"] = split.degrees
    return {**rule, "split_buffer_km": split.buffer_km, "buffer_km": side}


def check_same_split(before: Mapping[str, float | str] | None, now: Mapping[str, float | str]) -> None:
    """Refuse to resume a training under another split: places that are held out now were trained on before.

    Args:
        before: what the checkpoint says; None for one that was written before there was a buffer.
        now: what this run would do.

    Raises:
        ValueError: they differ; names the options that make them alike.
    """
    then = {"split_buffer_km": 0.0, "buffer_km": 0.0} if before is None else before
    alike = math.isclose(float(then["buffer_km"]), float(now["buffer_km"]), rel_tol=0.01)
    changed = [
        name
        for name, value in then.items()
        if name != "buffer_km" and value != now.get(name) and not (name == "split_buffer_km" and alike)
    ]
    if changed:
        differ = "; ".join(f"dataset.{name} was {then[name]}, is {now.get(name)}" for name in changed)
        remedy = " ".join(f"dataset.{name}={then[name]}" for name in changed)
        raise ValueError(
            f"the checkpoint was trained under another split ({differ}): what is held out now was not held out then. "
            f"Resume with {remedy}, or begin a new run with ckpt_path=null"
        )
