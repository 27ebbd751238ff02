"""Compute image features once: `python scripts/cache_features.py vision=vit16 dataset=s2_100k`."""

import sys

try:
    import hydra
    from omegaconf import DictConfig
except ModuleNotFoundError as error:
    sys.exit(f"error: this needs {error.name}: pip install 'satclip[train]'")

from satclip.runs import hydra_setup


@hydra.main(version_base="1.3", config_path="../conf", config_name="cache_features")
def main(config: DictConfig) -> None:
    """Compute what `config` describes."""
    from satclip.runs import caching

    caching.main(config)


if __name__ == "__main__":
    hydra_setup.register()
    main()
