"""Pictures of an embedding on the map of the world, drawn without network, display or global state."""

from satclip.plots.colours import principal_components
from satclip.plots.pictures import globe_picture, similarity_map

__all__ = ["globe_picture", "principal_components", "similarity_map"]
