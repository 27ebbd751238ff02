"""What a `_target_` of a config takes: names, kinds and which must be given."""

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hydra.utils import get_object

HANDED_ON = {"satclip.training.loggers.wandb.wandb_logger": ("lightning.pytorch.loggers.WandbLogger", "wandb.init")}


@dataclass(frozen=True)
class Signature:
    """The options of a class or function.

    Attributes:
        kinds: annotation by name.
        needed: names without a default.
        closed: whether there are no others.
    """

    kinds: Mapping[str, Any]
    needed: frozenset[str]
    closed: bool


@functools.cache
def signature_of(target: Callable[..., Any]) -> Signature:
    """The options that `target` takes; what a constructor hands to its base class as `**options` is looked up there.

    What a function of ours hands on is listed in HANDED_ON.
    """
    kinds: dict[str, Any] = {}
    needed: set[str] = set()
    closed = False
    for function in _constructors(target):
        hints = _hints(function)
        parameters = [each for each in inspect.signature(function).parameters.values() if each.name != "self"]
        for each in parameters:
            if each.kind in (each.VAR_KEYWORD, each.VAR_POSITIONAL, each.POSITIONAL_ONLY) or each.name in kinds:
                continue
            kinds[each.name] = hints.get(each.name, Any)
            if each.default is each.empty:
                needed.add(each.name)
        closed = not any(each.kind is each.VAR_KEYWORD for each in parameters)
        if closed:
            break
    return Signature(kinds, frozenset(needed), closed)


def _constructors(target: Callable[..., Any]) -> list[Callable[..., Any]]:
    if isinstance(target, type):
        return [vars(each)["__init__"] for each in target.__mro__[:-1] if "__init__" in vars(each)]
    handed_on = HANDED_ON.get(f"{target.__module__}.{getattr(target, '__qualname__', '')}", ())
    return [target, *(each for name in handed_on for each in _constructors(get_object(name)))]


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):  # written for a type checker alone
        return {}
