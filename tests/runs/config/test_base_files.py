"""Files of conf/ whose name begins with `_` are built on, and are no options."""

import re
from pathlib import Path

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf

from satclip.runs import hydra_setup

CONF = Path(__file__).parents[3] / "conf"
BASES = sorted(CONF.glob("*/_*.yaml"))
RECIPES = sorted(path.stem for path in (CONF / "experiment").glob("satclip_*.yaml"))
PUBLISHED = [name for name in RECIPES if not name.endswith("_cached")]


@pytest.mark.parametrize("path", BASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_base_is_listed_nowhere_and_cannot_be_chosen(path: Path) -> None:
    hydra_setup.register()
    group = path.parent.name
    loader = ConfigLoaderImpl(create_config_search_path(str(CONF)))
    listed = loader.get_group_options(group)
    assert listed
    assert not [name for name in listed if name.startswith("_")]
    for given in (f"{group}={path.stem}", f"+{group}@other={path.stem}"):
        with pytest.raises(ConfigCompositionException, match=rf"error: {group} takes one of .*, got {path.stem}"):
            hydra_setup.compose(CONF, [given])
    with pytest.raises(ConfigCompositionException) as stop:
        hydra_setup.compose(CONF, [f"{group}=no_such_option"])
    assert path.stem not in re.split(r"[ ,]+", str(stop.value))


def test_every_base_is_built_on_by_two_files_or_more() -> None:
    assert len(BASES) == 5
    for path in BASES:
        uses = [each for each in path.parent.glob("*.yaml") if re.search(rf"^  - {path.stem}$", each.read_text(), re.M)]
        assert len(uses) > 1, path


def test_the_published_recipes_differ_in_backbone_degree_and_name_alone() -> None:
    assert len(PUBLISHED) == 6
    first, *others = (
        OmegaConf.to_container(hydra_setup.compose(CONF, [f"experiment={name}"]), resolve=True) for name in PUBLISHED
    )
    for other in others:
        assert differences(first, other) <= {
            "name", "logger.wandb.name", "le_type.legendre_polys", "vision.name", "model.vision.name",
            "model.location_encoder.encoding.legendre_polys",
        }  # fmt: skip


def differences(one: object, other: object, prefix: str = "") -> set[str]:
    """Dotted names of the leaves in which two configs differ."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return set() if one == other else {prefix[:-1]}
    return {
        name
        for key in one.keys() | other.keys()
        for name in differences(one.get(key), other.get(key), f"{prefix}{key}.")
    }
