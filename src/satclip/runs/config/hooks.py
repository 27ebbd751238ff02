"""Where a method of Hydra's is given one of ours around it: in the process, once, and by name."""

from collections.abc import Callable
from typing import Any


def wrap(owner: type, method: str, wrapper: Callable[[Any], Any]) -> None:
    """Put `wrapper(the method)` in its place; nothing happens the second time, for a wrapper has a `__wrapped__`.

    Raises:
        AttributeError: this version of the package has no such method.
    """
    if not hasattr(getattr(owner, method), "__wrapped__"):
        setattr(owner, method, wrapper(getattr(owner, method)))
