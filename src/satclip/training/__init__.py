"""The training step, what watches it, and what it writes."""

from satclip.optional_import import require

require("train", "lightning")
