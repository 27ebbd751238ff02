"""Patches and their places: written, checked, read in a reproducible order, augmented on the device."""
