"""Patches and their places: written, checked, read in a reproducible order, augmented on the device."""

from satclip.optional_import import require

require("train", "lightning", "rasterio", "webdataset", "urllib3")
