"""Where metrics go: W&B, CSV, TensorBoard."""
