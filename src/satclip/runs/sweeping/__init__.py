"""Sweeps that optimise: what varies, which trials there were, and the driver behind `hydra/sweeper=optuna`."""
