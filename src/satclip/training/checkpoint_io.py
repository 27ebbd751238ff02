"""Checkpoints that are either whole or not there."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from satclip.files import atomic_file


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, flushes to disk, then renames: a killed or failed save leaves the old file as it was.

    Lightning writes through a file in the temporary folder, and moving that to another file system is a copy that can
    be cut short.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Write `checkpoint` to `path`, whole or not at all.

        Raises:
            OSError: the disk is full or the folder cannot be written; the previous file at `path` is untouched.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(target) as part, part.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:
                # torch then fails to close its archive and reports positions instead of the full disk.
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise

    def load_checkpoint(
        self,
        path: str | os.PathLike[str],
        map_location: Callable[..., Any] | None = lambda storage, _: storage,
        weights_only: bool | None = True,
    ) -> dict[str, Any]:
        """Read a checkpoint as tensors and plain values, whatever `weights_only` says: a pickle could run anything."""
        return super().load_checkpoint(Path(path), map_location=map_location, weights_only=True)


def plain(value: Any) -> Any:
    """Lists and dicts of plain Python values, as `torch.load(weights_only=True)` accepts them."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
