"""Reading the description of a location encoder, as `LocationEncoder.config` gives it."""

import reprlib
from collections.abc import Callable, Mapping
from typing import Any

NEEDED = "a description needs embedding_dim, encoding and network, as LocationEncoder.config() gives them"


def described(
    config: Mapping[str, Any], kind: str, classes: Mapping[str, Callable[..., Any]]
) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The class that `config[kind]` names, and its options.

    Raises:
        ValueError: there is no description, or it names no class that is known; lists them.
    """
    options = config.get(kind)
    if not isinstance(options, Mapping) or not isinstance(options.get("name"), str):
        raise ValueError(f"{kind} must be a dictionary with a name, got {reprlib.repr(options)}; {NEEDED}")
    name = options["name"]
    if name not in classes:
        raise ValueError(f"unknown {kind} {reprlib.repr(name)}; known are {', '.join(classes)}")
    return classes[name], {key: value for key, value in options.items() if key != "name"}


def nested(config: Mapping[str, Any], dim: int) -> tuple[int, ...]:
    """The prefixes of a nested embedding of `dim` numbers, the whole width last; none where the description has none.

    Raises:
        ValueError: they are no whole numbers that ascend to `dim`.
    """
    widths = config.get("nested", [])
    whole = isinstance(widths, (list, tuple)) and all(type(width) is int and width > 0 for width in widths)
    if not whole or (widths and (list(widths) != sorted(set(widths)) or widths[-1] != dim)):
        raise ValueError(f"nested must be whole numbers that ascend to embedding_dim={dim}, got {reprlib.repr(widths)}")
    return tuple(widths)
