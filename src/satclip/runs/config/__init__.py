"""Composes a config with Hydra and checks every option before anything is built."""
