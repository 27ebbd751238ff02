"""From a place to its embedding: encodings, networks, the encoder of both, and its fast path for grids."""
