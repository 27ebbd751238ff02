"""`python train.py` for an installed package: `satclip train OPTIONS`, or `python -m satclip.runs.train OPTIONS`."""

import sys
from pathlib import Path

if sys.path[0] == str(Path(__file__).parent):  # started by its path, as the other ranks are: `config` is no package
    del sys.path[0]

from satclip.optional_import import remedy

try:
    import hydra
    from omegaconf import DictConfig

    from satclip.runs import hydra_setup
except ModuleNotFoundError as error:
    sys.exit(f"error: {remedy(error) or error}")

PACKAGE = Path(__file__).parents[1]


def config_folder() -> Path:
    """The Hydra groups: in the package where it was built into a wheel, else in the checkout that it belongs to.

    Raises:
        FileNotFoundError: they are at neither place.
    """
    for folder in (PACKAGE / "conf", PACKAGE.parents[1] / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise FileNotFoundError(f"there is no conf/train.yaml in {PACKAGE}: install satclip again")


def main(config: DictConfig) -> float | tuple[float, ...]:
    """Run one experiment, or one job of a multirun; returns what `optimized_metric` names, a tuple for a list."""
    from satclip.runs import launch

    return launch.figure(launch.main(config, script=__file__), config.optimized_metric)


if __name__ == "__main__":
    hydra_setup.register()
    sys.argv[1:] = hydra_setup.arguments(sys.argv[1:])
    hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="train")(main)()
