"""Score location encoders: `python evaluate.py model=best.ckpt,microsoft/SatCLIP-ViT16-L10 task=all`."""

import sys

try:
    import hydra
    from omegaconf import DictConfig
except ModuleNotFoundError as error:
    sys.exit(f"error: this needs {error.name}: pip install 'satclip[train]'")

from satclip.runs import evaluating


@hydra.main(version_base="1.3", config_path="conf", config_name="evaluate")
def main(config: DictConfig) -> float:
    """Run one benchmark, or one job of a multirun; returns the mean gain of the first model over its best rivals."""
    return evaluating.main(config)


if __name__ == "__main__":
    evaluating.register()
    sys.argv[1:] = evaluating.arguments(sys.argv[1:])
    main()
