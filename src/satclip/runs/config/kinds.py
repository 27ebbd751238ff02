"""Which values an annotation admits, and how to say so to a person."""

import datetime as dt
import math
import os
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union

SEQUENCES: tuple[Any, ...] = (list, Sequence, Iterable)
TEXTS = (str, Path, os.PathLike)


def fits(value: Any, kind: Any) -> bool:
    """Whether a plain value of a config (text, number, list, mapping, null) is one of `kind`.

    A mapping with a `_target_` stands for an object and fits where a class is asked for.
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or isinstance(kind, (typing.TypeVar, str)):
        return True
    if origin in (Union, types.UnionType):
        return any(fits(value, each) for each in inner)
    if origin is Literal:
        return any(value == each and type(value) is type(each) for each in inner)
    if kind in (None, type(None)):
        return value is None
    if kind is bool:
        return isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and is_finite(value)
    if kind in TEXTS or origin in TEXTS:
        return isinstance(value, str) and "\0" not in value
    if kind in SEQUENCES or origin in SEQUENCES:
        return isinstance(value, list) and all(fits(each, inner[0]) for each in value if inner)
    if kind is tuple or origin is tuple:
        return isinstance(value, list) and _fits_tuple(value, inner)
    if kind in (dict, Mapping) or origin in (dict, Mapping):
        return isinstance(value, Mapping) and all(fits(each, inner[1]) for each in value.values() if inner)
    return isinstance(value, Mapping) and "_target_" in value


def is_mapping_of_values(kind: Any) -> bool:
    """Whether an annotation asks for numbers or texts by names of any kind: `Mapping[str, float] | None`."""
    if typing.get_origin(kind) in (Union, types.UnionType):
        return any(is_mapping_of_values(each) for each in typing.get_args(kind))
    inner = typing.get_args(kind)
    return typing.get_origin(kind) in (dict, Mapping) and len(inner) == 2 and inner[1] in (bool, int, float, str)


def is_finite(value: float) -> bool:
    """Whether a number is one that can be computed with: no NaN, not infinite, not beyond float64."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def described(kind: Any) -> str:
    """What an option of that kind takes, in words."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        each_once = dict.fromkeys(word for each in inner for word in described(each).split(" or "))
        return " or ".join(sorted(each_once, key="null".__eq__))
    if origin is Literal:
        return " or ".join(dict.fromkeys(str(each) for each in inner))
    words = {None: "null", type(None): "null", bool: "true or false", int: "a whole number", float: "a finite number"}
    if kind in words:
        return words[kind]
    if kind in TEXTS or origin in TEXTS:
        return "text"
    if kind in SEQUENCES or origin in SEQUENCES or kind is tuple or origin is tuple:
        return "a list" + (f" of {_plural(inner[0])}" if inner else "")
    if kind in (dict, Mapping) or origin in (dict, Mapping):
        return "a mapping"
    if kind is dt.timedelta:
        return "a time"
    return "a part of its own (with a _target_)"


def shown(value: Any) -> str:
    """A value as a person would have typed it, shortened."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _plural(kind: Any) -> str:
    return {int: "whole numbers", float: "numbers", str: "texts"}.get(kind, "values")


def _fits_tuple(values: Sequence[Any], inner: tuple[Any, ...]) -> bool:
    if len(inner) == 2 and inner[1] is Ellipsis:
        return all(fits(each, inner[0]) for each in values)
    return not inner or (len(values) == len(inner) and all(map(fits, values, inner)))
