"""Packages of the `evaluate` extra, imported when they are first needed."""

from importlib import import_module
from typing import Any


def from_extra(module: str) -> Any:
    """Import a module of the extra.

    Raises:
        ModuleNotFoundError: where it is missing; ends with what to install.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.split(".")[0]
        raise ModuleNotFoundError(
            f"the benchmark needs {package}, which is missing: pip install 'satclip[evaluate]'"
        ) from error
