"""Where a training resumes within the data, and whether it can: the order must be the same."""

import logging
from collections.abc import Mapping
from typing import Any
from zlib import crc32

from torch import Tensor

log = logging.getLogger(__name__)


def resumed(state: Mapping[str, Any], order: Mapping[str, int]) -> tuple[int, int]:
    """The epoch and batch that a checkpoint's state says to resume with.

    A checkpoint that was made between two optimiser steps (by a validation there) holds none of the gradients that were
    gathered: its batches since the step before are trained on again.

    Raises:
        ValueError: it stands in the middle of an epoch, and what the order follows from has changed since.
    """
    epoch, batch, before = state["epoch"], state["batch"], {"regional_percent": 0, **state["order"]}
    known = [name for name in order if name in before]  # older checkpoints know fewer
    changed = [f"{name} {before[name]} then, {order[name]} now" for name in known if before[name] != order[name]]
    if batch and changed:
        raise ValueError(
            f"the checkpoint stands in the middle of epoch {epoch} of another order ({'; '.join(changed)}); "
            "give the data and settings it was made with, or resume from one that was made at the end of an epoch"
        )
    if again := batch % order.get("accumulate_grad_batches", 1):
        log.warning(
            "the checkpoint was made between two optimiser steps: the %d batches since the last are trained on again",
            again,
        )
    return epoch, batch - again


def contents(rows: Tensor) -> dict[str, int]:
    """How many rows there are, and a checksum that tells them from as many others."""
    return {"samples": len(rows), "samples_checksum": crc32(rows.numpy().tobytes())}
