"""Modules that make the package faster where they work and are done without elsewhere (`pip install satclip[fast]`)."""

from functools import lru_cache
from importlib import import_module
from types import ModuleType


@lru_cache
def optional(name: str) -> ModuleType | None:
    """Import a module when it is first asked for; None where it does not work here.

    It may not be installed, or not for this numpy, or numba finds nowhere to keep what it compiles.
    """
    try:
        return import_module(name)
    except (ImportError, RuntimeError):
        return None
