"""A store of features or a table of vectors, told apart by its path."""

from pathlib import Path
from typing import Any

from satclip.data.features.protocol import PlacedVectors
from satclip.data.features.store import FeatureStore, read_manifest
from satclip.data.features.table import VectorTable, is_table, table_facts


def open_vectors(root: Path, max_bad_fraction: float) -> PlacedVectors:
    """What lies there.

    Raises:
        FileNotFoundError, ValueError: nothing, or something that cannot be used; says what to do.
    """
    return VectorTable(root, max_bad_fraction) if is_table(root) else FeatureStore(root)


def facts_of(root: Path) -> dict[str, Any]:
    """What it says of itself: for a config, that follows it, and for a checkpoint.

    Raises:
        FileNotFoundError, ValueError: as `open_vectors`.
    """
    if is_table(root):
        return table_facts(root)
    return {"name": root.name, **read_manifest(root)}
