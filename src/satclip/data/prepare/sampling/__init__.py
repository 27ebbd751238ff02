"""New imagery: places drawn over area, a scene for each from a STAC catalogue, a patch in UTM about each, shards."""

from satclip.optional_import import require

require("sample", "pystac_client")
