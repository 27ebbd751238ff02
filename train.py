"""Train a location encoder: `python train.py location_encoder=sh_siren vision=vit16 legendre_polys=40`."""

import sys

try:
    import hydra
    from omegaconf import DictConfig
except ModuleNotFoundError as error:
    sys.exit(f"error: this needs {error.name}: pip install 'satclip[train]'")

from satclip.runs import hydra_setup


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(config: DictConfig) -> float | tuple[float, ...]:
    """Run one experiment, or one job of a multirun; returns the figures that `optimized_metric` names."""
    from satclip.runs import launch

    return launch.figure(launch.main(config, script=__file__), config.optimized_metric)


if __name__ == "__main__":
    hydra_setup.register()
    sys.argv[1:] = hydra_setup.arguments(sys.argv[1:])
    main()
