"""Image towers of our own checkpoints, built from the node of the configuration that lies in them."""

from collections.abc import Mapping
from typing import Any

from torch import nn

import satclip.vision

HOME = "satclip.vision."
UNTRAINED: dict[str, dict[str, Any]] = {
    "MocoBackbone": {"weights": "none", "frozen": False},
    "TimmBackbone": {"pretrained": False, "frozen": False},
    "TinyCNN": {"weights": "none", "frozen": False},
}  # the file brings the weights, and what was frozen is frozen again here


def described_tower(node: Mapping[str, Any]) -> nn.Module:
    """The tower of `satclip.vision` that `node["_target_"]` names, with its other keys as options; nothing is fetched.

    Raises:
        ValueError: it is another class, or takes other options.
    """
    options = dict(node)
    target = str(options.pop("_target_", None))
    name = target.removeprefix(HOME)
    if target != HOME + name or name not in satclip.vision.__all__:
        raise ValueError(
            f"the image tower is {target}, none of {', '.join(satclip.vision.__all__)}; build it yourself and load the "
            "weights under model.vision, or take the location encoder alone with load_location_encoder"
        )
    try:
        tower = getattr(satclip.vision, name)(**(options | UNTRAINED.get(name, {})))
    except TypeError as error:
        raise ValueError(
            f"{target} does not take the options in the checkpoint ({error}); it may be of another version"
        ) from error
    if name in UNTRAINED and _was_frozen(options):
        tower.freeze()
    finished: nn.Module = tower
    return finished


def _was_frozen(options: Mapping[str, Any]) -> bool:
    """Whether a backbone with these options let only its head learn."""
    frozen = options.get("frozen", "auto" if "weights" in options else False)
    return bool(options.get("weights") != "none" if frozen == "auto" else frozen)
