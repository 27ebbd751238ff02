"""Trained models from files: the published ones, ours, and folders of safetensors."""

from satclip.checkpoint.loading import describe, get_satclip, load_location_encoder, load_towers

__all__ = ["describe", "get_satclip", "load_location_encoder", "load_towers"]
