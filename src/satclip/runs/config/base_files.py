"""Config files whose name begins with `_` are bases that other files of their group build on, and no options."""

import functools
from typing import Any

from hydra._internal.config_repository import ConfigRepository
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override

from satclip.runs.config.hooks import wrap

MARK = "_"


def register() -> None:
    """Have Hydra leave them out where it lists the options of a group; a no-op the second time."""
    wrap(ConfigRepository, "get_group_options", _without_bases)


def chooses_base(override: Override) -> bool:
    """Whether an override of a group names a base file."""
    value = override.value()
    names = value if isinstance(value, list) else [value]
    return any(isinstance(name, str) and name.startswith(MARK) for name in names)


def _without_bases(options: Any) -> Any:
    @functools.wraps(options)
    def get_group_options(
        self: ConfigRepository, group_name: str, results_filter: ObjectType | None = ObjectType.CONFIG
    ) -> list[str]:
        return [name for name in options(self, group_name, results_filter) if not name.startswith(MARK)]

    return get_group_options
