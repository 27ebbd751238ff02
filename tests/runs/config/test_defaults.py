"""A default that stands in conf/ and in a constructor is the same in both, or the reason is written here."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_object
from omegaconf import OmegaConf

from satclip.data import blue_marble_datamodule
from satclip.runs import hydra_setup
from satclip.training.callbacks.best_checkpoint import BestCheckpoint

CONF = Path(__file__).parents[3] / "conf"
WITHOUT_A_TARGET = ("experiment", "location_encoder", "protocol")
OPTIONS = sorted(
    f"{path.parent.name}={path.stem}"
    for path in CONF.glob("*/*.yaml")
    if path.parent.name not in WITHOUT_A_TARGET and not path.stem.startswith("_")
)
DELIBERATE = {
    "dataset=s2_100k dataset.bands": "13 for the Sentinel-2 backbones; a library user gets what the files hold",
    "dataset=s2_100k dataset.hub": "only this data set has that name on the hub",
    "dataset=s2_folder dataset.bands": "as s2_100k",
    "dataset=s2_folder dataset.batch_size": "fits a folder of twenty patches",
    "dataset=s2_folder dataset.num_workers": "as its batch",
    "le_type=sphericalharmonics_damped le_type.damping": "that is what the file is for",
    "loss=combined loss.weights": "a sum of one's own losses has its own names",
    "pe_type=residual_siren pe_type.first_omega": "as siren",
    "pe_type=siren pe_type.first_omega": "the constructor has the paper's and the published models' 30; 5 was measured",
    "task=checkerboards task.km500.resolution_km": "that is what the file is for",
    "task=checkerboards task.km2000.resolution_km": "that is what the file is for",
    "task=checkerboards task.km4000.resolution_km": "that is what the file is for",
}


def composed(option: str) -> dict[str, Any]:
    """The unresolved config with one option chosen."""
    if option.startswith("task="):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("evaluate", overrides=["output_dir=outputs", option])
    else:
        others = [] if option.startswith("dataset=") else ["dataset=blue_marble"]
        if option == "vision=teacher":
            others = ["dataset=features"]
        config = hydra_setup.compose(CONF, [option, *others])
    plain = OmegaConf.to_container(config, resolve=False)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def parts(node: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node below one that names a class of ours, with its dotted name."""
    if isinstance(node, dict):
        if str(node.get("_target_")).startswith("satclip."):
            yield name, node
        for key, value in node.items():
            yield from parts(value, f"{name}.{key}")


def defaults(target: Any) -> dict[str, Any]:
    """What a class, and those it hands `**options` on to, or a function takes where nothing is given."""
    if issubclass(BestCheckpoint, target) if inspect.isclass(target) else False:
        return {}  # Lightning's own constructor: its defaults are not ours
    classes = [each for each in reversed(target.__mro__) if "__init__" in vars(each)] if inspect.isclass(target) else []
    found = {
        name: parameter.default
        for each in classes or [target]
        for name, parameter in inspect.signature(each).parameters.items()
        if parameter.default is not parameter.empty and each is not object
    }
    if target is blue_marble_datamodule.BlueMarbleDataModule:
        found |= blue_marble_datamodule.DEFAULTS
    return found


def two_homes(option: str) -> Iterator[tuple[str, Any, Any]]:
    """Names that an option's file and a constructor both give a value, and both values."""
    group = option.partition("=")[0]
    for name, node in parts(composed(option)[group], group):
        known = defaults(get_object(node["_target_"]))
        for key in node.keys() & known.keys():
            if "${" not in str(node[key]):
                in_code = known[key]
                yield f"{name}.{key}", node[key], list(in_code) if isinstance(in_code, tuple) else in_code


@pytest.mark.parametrize("option", OPTIONS)
def test_a_default_with_two_homes_is_one_value(option: str) -> None:
    differing = {f"{option} {name}": f"{mine} / {code}" for name, mine, code in two_homes(option) if mine != code}
    expected = {name for name in DELIBERATE if name.startswith(f"{option} ")}
    assert differing.keys() == expected, differing


def test_there_are_defaults_to_compare() -> None:
    assert sum(1 for option in OPTIONS for _ in two_homes(option)) > 100
