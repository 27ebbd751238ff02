"""Refuses options each of which is fine by itself, and one of which could have no effect beside the others."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from satclip.loss import MAX_LOGIT_SCALE
from satclip.retrieval import TOP

RETRIEVAL = [f"{way}/{of}" for way in ("image_to_location", "location_to_image") for of in map("top{}".format, TOP)]
LEARNING = ("TinyCNN", "ClipResNet", "ClipViT", "MocoBackbone", "TimmBackbone")
MEDIANS = ["image_to_location/median_km", "location_to_image/median_km"]
VALIDATED = [f"val/{name}" for name in ("loss", *RETRIEVAL, *MEDIANS)]
TRAINED = ["train/loss", "train/temperature", "train/learning_rate"]


def conflict(plain: Mapping[str, Any]) -> str | None:
    """The message for the first one, with what to do; None where all of them work."""
    coldest, given = math.exp(-MAX_LOGIT_SCALE), plain["temperature"]
    if given < coldest * (1 - 1e-9):
        return f"temperature={given} is colder than the losses go; give {coldest:.2g} at least"
    channels, bands = plain["vision"].get("in_channels"), plain["dataset"].get("bands")
    if isinstance(channels, int) and isinstance(bands, list) and channels != len(bands):
        return f"vision.in_channels={channels} does not fit the {len(bands)} dataset.bands; leave it out: it follows"
    if "image_statistics" in _texts(plain["loss"]) and not plain["dataset"].get("image_statistics"):
        return "the loss asks for image_statistics; give dataset.image_statistics=[1,4], or another input of the loss"
    matched, tower = (str(plain[node].get("_target_")).rpartition(".")[2] for node in ("loss", "vision"))
    learns = tower in LEARNING or (tower == "VectorTower" and plain["vision"].get("head") != "standardised")
    if matched == "MatchLoss" and learns:
        return (
            f"loss=match needs an image tower that does not learn, and {tower} does: it would give all images the same "
            "numbers; give vision=statistics (of vision=teacher: vision.head=standardised), or a contrastive loss "
            "(loss=clip)"
        )
    asked = plain["optimized_metric"]
    for metric in [asked] if isinstance(asked, str) else asked or ():
        if not metric.startswith(("best/", "last/")):
            return (
                f"optimized_metric={metric} is no figure of metrics.json: those begin with best/ or last/, "
                "as best/val/loss"
            )
    parts = [f"{stage}/loss/{name}" for stage in ("val", "train") for name in plain["loss"].get("losses") or ()]
    return _monitors(plain["callbacks"], plain["trainer"].get("limit_val_batches"), parts)


def _texts(node: Any) -> list[str]:
    """All texts among the values of a config."""
    if isinstance(node, Mapping):
        return [text for value in node.values() for text in _texts(value)]
    return [node] if isinstance(node, str) else []


def _monitors(callbacks: Mapping[str, Any], limit: float | None, parts: Sequence[str]) -> str | None:
    """A callback that waits for a figure which never comes would stop the run at its first validation, or never act."""
    ours = all(str(each.get("_target_")).startswith(("satclip.", "lightning.")) for each in callbacks.values())
    for name, callback in callbacks.items():
        monitor = callback.get("monitor")
        if monitor is None:
            continue
        known = (*VALIDATED, *TRAINED, *parts)
        if ours and monitor not in known:
            return f"callbacks.{name}.monitor takes one of {', '.join(known)}, got {monitor}"
        if limit == 0 and str(callback.get("_target_")).endswith("EarlyStop"):
            return (
                f"callbacks.{name} needs validations, and trainer.limit_val_batches=0 makes none: drop one of the two"
            )
    return None
