"""A run: from a command and its config to a folder that says what was done there."""

from satclip.optional_import import require

require("train", "hydra", "omegaconf", "lightning")
