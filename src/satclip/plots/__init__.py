"""Pictures of an embedding on the map of the world or of a region, drawn without network, display or global state."""

from typing import TYPE_CHECKING, Any

from satclip.optional_import import require

if TYPE_CHECKING:
    from satclip.plots.colours import principal_components
    from satclip.plots.figures import Look, map_figure, similarity_figure
    from satclip.plots.pictures import globe_picture, similarity_map

__all__ = ["Look", "globe_picture", "map_figure", "principal_components", "similarity_figure", "similarity_map"]

_HOMES = {
    "Look": "figures",
    "globe_picture": "pictures",
    "map_figure": "figures",
    "principal_components": "colours",
    "similarity_figure": "figures",
    "similarity_map": "pictures",
}

require("cli", "matplotlib", "pyproj", "shapely")


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'satclip.plots' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"satclip.plots.{_HOMES[name]}"), name)
