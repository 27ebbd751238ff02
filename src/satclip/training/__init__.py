"""The training step, what watches it, and what it writes."""
