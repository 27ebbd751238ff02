"""Pictures of an embedding on the map of the world, drawn without network, display or global state."""

from typing import TYPE_CHECKING, Any

from satclip.optional_import import require

if TYPE_CHECKING:
    from satclip.plots.colours import principal_components
    from satclip.plots.pictures import globe_picture, similarity_map

__all__ = ["globe_picture", "principal_components", "similarity_map"]

_HOMES = {"principal_components": "colours", "globe_picture": "pictures", "similarity_map": "pictures"}

require("cli", "matplotlib", "pyproj", "shapely")


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'satclip.plots' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"satclip.plots.{_HOMES[name]}"), name)
