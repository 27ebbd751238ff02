"""What a run that resumes does otherwise than before, said in its log."""

import logging
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)
# Of the folder and of what is written, or said twice (`model.*`, `trainer.max_epochs`): no part of the recipe.
APART = (
    "output_dir",
    "ckpt_path",
    "name",
    "model",
    "logger",
    "report",
    "callbacks",
    "trainer.default_root_dir",
    "trainer.max_epochs",
)
AT_THE_START = ("temperature", "loss.bias", "vision.weights")  # what a checkpoint has instead
ABSENT = "not given"


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The options of a recipe that differ, by their dotted names: before and now."""
    flat_then, flat_now = _flat(then), _flat(now)
    both = {name: (flat_then.get(name, ABSENT), flat_now.get(name, ABSENT)) for name in {**flat_then, **flat_now}}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1] and not _below(name, APART)}


def report_changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Say which options the rest of a run has that its beginning had not, and which can no longer have an effect."""
    found = changes(then, now)
    without = {name: pair for name, pair in found.items() if _below(name, AT_THE_START)}
    if taken := {name: pair for name, pair in found.items() if name not in without}:
        log.warning("from here on with other options than the checkpoint's: %s", _in_words(taken))
    if without:
        log.warning("without effect, since what they begin with is in the checkpoint: %s", _in_words(without))


def _flat(node: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in node.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return flat


def _below(name: str, nodes: tuple[str, ...]) -> bool:
    return any(name == node or name.startswith(f"{node}.") for node in nodes)


def _in_words(pairs: Mapping[str, tuple[Any, Any]]) -> str:
    return ", ".join(f"{name} {before} -> {after}" for name, (before, after) in sorted(pairs.items()))
