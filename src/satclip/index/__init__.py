"""Training patches kept beside an encoder, and what of them is put back into its embeddings."""

from satclip.index.encoder import RangeEncoder
from satclip.index.store import Store, open_store

__all__ = ["RangeEncoder", "Store", "open_store"]
