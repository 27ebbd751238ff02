"""`legendre_polys`, a config group whose options are the whole numbers from 1 to 100 instead of files.

Hydra names options by text and refuses the number that `legendre_polys=10` parses to. It is told otherwise in the two
places where an option enters, whoever brings it: an override (of a shell, of a sweeper of any kind, of a notebook) and
an entry of a defaults list (of any file on the search path).
"""

import functools
from typing import Any

from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, ListConfig, OmegaConf

from satclip.runs.config.hooks import wrap

GROUP = "legendre_polys"
PACKAGE = "le_type"
DEGREES = range(1, 101)
LISTED = f"{DEGREES[0]} ... {DEGREES[-1]}"


class DegreeSource(ConfigSource):
    """Holds `legendre_polys/1` to `legendre_polys/100`."""

    @staticmethod
    def scheme() -> str:
        """The start of its addresses."""
        return "degrees"

    def available(self) -> bool:
        """It needs no disk."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Whether this is the one group, or what it lies in."""
        return config_path in (GROUP, "")

    def is_config(self, config_path: str) -> bool:
        """Whether this is one of its options.

        Raises:
            ConfigCompositionException: it is asked for a degree that is none.
        """
        group, _, name = config_path.removesuffix(".yaml").rpartition("/")
        if group != GROUP or name == "None":  # Hydra looks for what null would be called
            return False
        if name not in map(str, DEGREES):
            raise ConfigCompositionException(
                f"error: {GROUP} takes a whole number from 1 to {DEGREES[-1]}, got {name}; for example {GROUP}=40"
            )
        return True

    def load_config(self, config_path: str) -> ConfigResult:
        """The option as a file would have it."""
        degree = int(config_path.removesuffix(".yaml").rpartition("/")[2])
        content = OmegaConf.create({GROUP: degree})
        return ConfigResult(self.provider, self.path, content, header={"package": PACKAGE})

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """What `--help` shows."""
        if config_path == GROUP and results_filter in (None, ObjectType.CONFIG):
            return [LISTED]
        return [GROUP] if config_path == "" and results_filter in (None, ObjectType.GROUP) else []


class DegreePath(SearchPathPlugin):
    """Puts it on the search path, below everything that is a file."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append it."""
        search_path.append("satclip", f"{DegreeSource.scheme()}://")


def register() -> None:
    """Teach Hydra the group; nothing happens the second time."""
    Plugins.instance().register(DegreeSource)
    Plugins.instance().register(DegreePath)
    wrap(OverridesParser, "parse_rule", _with_numbers_in_overrides)
    wrap(ConfigRepository, "_create_defaults_list", _with_numbers_in_defaults)


def _name(value: Any) -> Any:
    """A number as the name of an option, everything else as it is."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _with_numbers_in_overrides(parse: Any) -> Any:
    @functools.wraps(parse)
    def parse_rule(self: OverridesParser, s: str, rule_name: str) -> Any:
        parsed = parse(self, s, rule_name)
        # A sweep stays one of numbers, which a sweeper may count with; each of its jobs comes here by itself.
        if isinstance(parsed, Override) and parsed.key_or_group == GROUP and parsed.value_type is ValueType.ELEMENT:
            parsed._value = _name(parsed._value)
        return parsed

    return parse_rule


def _with_numbers_in_defaults(create: Any) -> Any:
    @functools.wraps(create)
    def create_defaults_list(self: ConfigRepository, config_path: str, defaults: ListConfig) -> Any:
        for item in defaults._iter_ex(resolve=False):
            for key in item if isinstance(item, DictConfig) else ():
                if str(key).split(" ")[-1].split("@")[0].removeprefix("/") == GROUP:
                    item[key] = _name(item._get_node(key)._value())
        return create(self, config_path, defaults)

    return create_defaults_list
