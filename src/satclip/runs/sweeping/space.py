"""What a sweep varies: Hydra's sweep syntax as Optuna's distributions.

`choice(a,b)` and `a,b` are one of these, `interval(a,b)` any number between, `int(interval(a,b))` any whole number,
`range(a,b,step)` the numbers that it lists, and `tag(log, ...)` has small and large ones come up alike.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, OverrideType, RangeSweep, Sweep

from satclip.runs.config.hooks import wrap

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution, CategoricalChoiceType

PARAMS = "hydra.sweeper.params"
Space = dict[str, "BaseDistribution"]


def register() -> None:
    """Have Hydra read `hydra.sweeper.params={a: interval(1,2)}` of a command line, as it reads the text in a file."""
    wrap(OverridesParser, "parse_overrides", _with_sweeps_as_text)


def split(params: Mapping[str, Any], arguments: Sequence[str]) -> tuple[list[str], Space]:
    """The options that stay as they are, and those that vary; an argument replaces a parameter of the same name.

    Args:
        params: `hydra.sweeper.params`, expressions by name.
        arguments: of the command line.

    Raises:
        ValueError: nothing varies, or an expression is none that can be.
    """
    parser = OverridesParser.create()
    found = {each.get_key_element(): each for each in parser.parse_overrides([*_lines(params), *arguments])}
    space = {key: _distribution(key, each) for key, each in found.items() if each.is_sweep_override()}
    if not space:
        raise ValueError(f"nothing varies; give for example '{PARAMS}={{optimizer.lr: tag(log, interval(1e-4,1e-2))}}'")
    return [_text(key, each) for key, each in found.items() if key not in space], space


def overrides(values: Mapping[str, Any]) -> list[str]:
    """The options of one trial."""
    words = {None: "null", True: "true", False: "false"}
    return [
        f"{key}={words[value] if value is None or isinstance(value, bool) else value}" for key, value in values.items()
    ]


def _lines(params: Mapping[str, Any]) -> list[str]:
    return [f"{key}={','.join(map(str, each)) if isinstance(each, list) else each}" for key, each in params.items()]


def _text(key: str, override: Override) -> str:
    return key if override.is_delete() else f"{key}={override.get_value_element_as_str()}"


def _distribution(key: str, override: Override) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    sweep = override.value()
    assert isinstance(sweep, Sweep)
    logarithmic = "log" in sweep.tags
    if isinstance(sweep, IntervalSweep):
        low, high = sweep.start, sweep.end
        assert low is not None
        assert high is not None
        if not low < high or (logarithmic and low <= 0):
            raise ValueError(f"{key} varies from {low} to {high}; give the smaller first, and with log none below 0")
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=logarithmic)
        return FloatDistribution(float(low), float(high), log=logarithmic)
    if isinstance(sweep, RangeSweep) and not logarithmic and not sweep.shuffle:
        values = list(sweep.range())
        if values and all(isinstance(each, int) for each in values) and int(sweep.step) > 0:
            return IntDistribution(int(values[0]), int(values[-1]), step=int(sweep.step))
    if logarithmic:
        raise ValueError(f"{key}: log is for intervals, as in tag(log, interval(1e-4,1e-2))")
    return CategoricalDistribution(_choices(override))


def _choices(override: Override) -> list["CategoricalChoiceType"]:
    """Numbers as numbers, which is how the study's pages plot them; everything else as the text Hydra reads back."""
    texts = list(override.sweep_string_iterator())
    sweep = override.value()
    plain = sweep.list if isinstance(sweep, ChoiceSweep) else sweep.range() if isinstance(sweep, RangeSweep) else texts
    return [each if isinstance(each, (bool, int, float)) else text for each, text in zip(plain, texts, strict=True)]


def _with_sweeps_as_text(parse: Any) -> Any:
    @functools.wraps(parse)
    def parse_overrides(self: OverridesParser, overrides: list[str]) -> list[Override]:
        found: list[Override] = parse(self, overrides)
        for each in found:
            if each.key_or_group == PARAMS and isinstance(each._value, dict):
                each.type = OverrideType.FORCE_ADD  # names that the config does not have yet
                each._value = {
                    key: _expression(value) if isinstance(value, Sweep) else value for key, value in each._value.items()
                }
        return found

    return parse_overrides


def _expression(sweep: Sweep) -> str:
    """The text of a sweep that the parser has taken apart already."""
    if isinstance(sweep, IntervalSweep):
        text = f"interval({sweep.start},{sweep.end})"
        text = f"int({text})" if isinstance(sweep.start, int) else text
    elif isinstance(sweep, RangeSweep):
        text = f"range({sweep.start},{sweep.stop},{sweep.step})"
    else:
        assert isinstance(sweep, ChoiceSweep)
        text = f"choice({','.join(Override._get_value_element_as_str(each) for each in sweep.list)})"
    return f"tag({','.join(sorted(sweep.tags))},{text})" if sweep.tags else text
