"""Options that have moved and are still taken at their old place, with the same meaning."""

import logging
import re
from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf, open_dict

log = logging.getLogger(__name__)
MOVED = {"loss.cached_batches": "cached_batches"}  # it says how the towers run, whatever the loss


def renamed(overrides: Sequence[str]) -> list[str]:
    """The overrides of a command line, those of moved options by their names of today."""
    return [_renamed(each) for each in overrides]


def settle(config: DictConfig) -> DictConfig:
    """Move what a config file (an experiment of one's own, say) sets at the old place; the config itself."""
    for old, new in MOVED.items():
        group, _, name = old.rpartition(".")
        node = OmegaConf.select(config, group)
        if isinstance(node, DictConfig) and name in node and OmegaConf.select(config, new) is not None:
            value = node[name]
            with open_dict(node):
                del node[name]
            OmegaConf.update(config, new, value)
            log.warning("%s is called %s now, and was taken as that", old, new)
    return config


def _renamed(override: str) -> str:
    for old, new in MOVED.items():
        if (found := re.match(rf"\+{{0,2}}{re.escape(old)}=", override)) is not None:
            log.warning("%s is called %s now, and is taken as that", old, new)
            return f"{new}={override[found.end() :]}"
    return override
