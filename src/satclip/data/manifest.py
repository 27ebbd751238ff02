"""What a run was trained on, as counts and one hash."""

import hashlib
from typing import Any

from satclip.data.batches.protocol import PlacedPatches


def manifest(patches: PlacedPatches) -> dict[str, Any]:
    """Counts, and a hash over name, place and use of every patch: equal where the same patches train and validate."""
    total = hashlib.sha256()
    for name in patches.names:
        total.update(str(name).encode(errors="surrogateescape") + b"\0")
    for column in (patches.lonlat, patches.train_rows, patches.val_rows):
        total.update(column.contiguous().cpu().numpy().tobytes())
    counts = {"patches": len(patches.names), "train": len(patches.train_rows), "validation": len(patches.val_rows)}
    return {**counts, "manifest_sha256": total.hexdigest()}
