"""From the bytes of a GeoTIFF to pixels: bands, masks, types, and our own plain form of it."""
