"""One HTML page with a globe to click: what an encoder finds alike, its regions, what a probe reads out of it."""

from typing import TYPE_CHECKING, Any

from satclip.optional_import import require

if TYPE_CHECKING:
    from satclip.explorer.page import explorer_page

__all__ = ["explorer_page"]

require("cli", "matplotlib", "shapely")


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module 'satclip.explorer' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module("satclip.explorer.page"), name)
