"""Every way in which a config can fail to compose ends in one line that names the option.

Hydra composes in one place for every caller: a single run, each job of a sweep by any sweeper, `--cfg`, a notebook.
"""

import difflib
import functools
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from satclip.runs.config import base_files
from satclip.runs.config.hooks import wrap
from satclip.runs.config.moved import renamed, settle

# What Hydra, OmegaConf and the YAML reader raise on input that they do not expect; deep brackets: RecursionError.
RAISED = (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError)
ALSO_RAISED = (AssertionError, OSError, OverflowError, RecursionError)
UNHELPFUL = ("full_key:", "object_type=", "reference_type=", "See https://", "Config search path", "provider=", "^")


def register(*, training: bool = True) -> None:
    """Have Hydra's loader do so; nothing happens the second time. The jobs of a sweep are checked as trainings."""
    base_files.register()
    wrap(ConfigLoaderImpl, "load_configuration", _in_one_line)
    if training:
        wrap(ConfigLoaderImpl, "load_sweep_config", _checked)


def keys(node: Any, prefix: str = "") -> Iterator[str]:
    """The names of all options of a config, with their dots."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield f"{prefix}{key}"
            yield from keys(value, f"{prefix}{key}.")


def nearest(name: str, known: Sequence[str]) -> str:
    """`; did you mean ...?` where one of the known names is much like this one."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return f"; did you mean {close[0]}?" if close else ""


def flat(text: str) -> str:
    """A message of several lines in one, without what only Hydra's authors need."""
    lines = [line for line in text.splitlines() if line.strip() and not line.strip().startswith(UNHELPFUL)]
    parts: list[str] = []
    for line in lines:
        listed = line.startswith(("\t", " ")) and parts
        parts.append(" " if listed and parts[-1].endswith(":") else ", " if listed else "; " if parts else "")
        parts.append(line.strip())
    return "".join(parts)


def _in_one_line(load: Any) -> Any:
    @functools.wraps(load)
    def load_configuration(
        self: ConfigLoaderImpl,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        **named: Any,
    ) -> DictConfig:
        def again(fewer: list[str]) -> DictConfig:
            composed: DictConfig = load(self, config_name, renamed(fewer), run_mode, from_shell=from_shell, **named)
            return settle(composed)

        try:
            _refuse_bases(self, overrides)
            return again(overrides)
        except (*RAISED, *ALSO_RAISED) as error:
            told = isinstance(error, ConfigCompositionException) and str(error).startswith("error: ")
            message = str(error) if told else f"error: {_message(self, error, overrides, again)}"
        if from_shell:  # Hydra would add two lines on how to see more
            sys.exit(message)
        raise ConfigCompositionException(message)

    return load_configuration


def _checked(load: Any) -> Any:
    """Each job of a sweep is checked when it is composed: by the sweeper, before the first one runs."""

    @functools.wraps(load)
    def load_sweep_config(self: ConfigLoaderImpl, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        config: DictConfig = load(self, master_config, sweep_overrides)
        from satclip.runs.config import checks  # takes seconds: only where something will run

        try:
            checks.check(config, here=False)  # a launcher may send it to a machine with other devices
        except ValueError as error:
            sys.exit(f"error: {error} (in the job {' '.join(sweep_overrides)})")
        return config

    return load_sweep_config


def _message(loader: ConfigLoaderImpl, error: BaseException, overrides: list[str], again: Any) -> str:
    """What went wrong, by the option that a person typed."""
    text = str(error)
    if isinstance(error, OverrideParseException):
        return (
            f"cannot read {error.override!r}: {flat(text.removeprefix(f'Error parsing override {error.override!r}'))}"
        )
    named = re.match(r"Could not override '([^']+)'\.", text)
    if named and isinstance(error.__cause__, (ConfigKeyError, ConfigAttributeError)):
        return _unknown(named[1], error.__cause__, overrides, again)
    for override in _parsed(overrides):
        value = override.value()
        if not override.is_sweep_override() and loader.repository.group_exists(override.key_or_group):
            texts = value if isinstance(value, list) else [value]
            if not isinstance(value, dict) and not override.is_delete() and not all(isinstance(x, str) for x in texts):
                return f"{_options(loader, override)}; ~{override.key_or_group} drops it"
    if isinstance(error.__cause__, OmegaConfBaseException):
        text = f"{text}\n{error.__cause__}"
    return flat(text) or type(error).__name__


def _options(loader: ConfigLoaderImpl, override: Override) -> str:
    options = ", ".join(loader.get_group_options(override.key_or_group))
    return f"{override.key_or_group} takes one of {options}, got {override.get_value_element_as_str()}"


def _refuse_bases(loader: ConfigLoaderImpl, overrides: list[str]) -> None:
    for override in _parsed(overrides):
        if loader.repository.group_exists(override.key_or_group) and base_files.chooses_base(override):
            raise ConfigCompositionException(f"error: {_options(loader, override)}, a base of these")


def _unknown(key: str, cause: BaseException, overrides: list[str], again: Any) -> str:
    """That there is no such option, and which one may be meant."""
    others = [line for line, parsed in zip(overrides, _parsed(overrides), strict=True) if parsed.key_or_group != key]
    try:
        known = [name for name in keys(OmegaConf.to_container(again(others))) if not name.startswith("hydra")]
    except (*RAISED, *ALSO_RAISED):  # that is wrong as well, and comes next
        known = []
    guess = nearest(key, known) or f"; `python {Path(sys.argv[0]).name} --cfg job` shows all that there are"
    added = ""
    if key.startswith("trainer."):
        stop = "" if guess.endswith("?") else "."
        added = f"{stop} Options of lightning.Trainer that are not listed take a +: +{key}=..."
    return f"there is no option {key} ({str(cause).splitlines()[0]}){guess}{added}"


def _parsed(overrides: list[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(overrides)
    except HydraException:
        return []
