"""The house has floors, and an import only ever goes down: docs/house.toml is the plan."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
ONLY = {
    "hydra": {"runs"},
    "omegaconf": {"runs"},
    "lightning": {
        "lightning_internals",
        "training",
        "runs.run",
        "runs.config.building",
        "runs.ending",
        "data.placed_datamodule",
        "data.blue_marble_datamodule",
    },
    "timm": {"vision"},
    "torchgeo": {"vision", "downstream.rivals"},
    "webdataset": {"data.sources"},
    "rasterio": {"data", "cli"},
    "pystac_client": {"data.prepare.sampling"},
    "optuna": {"runs.sweeping"},
    "wandb": {"training.loggers", "downstream"},
}


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_house", ROOT / "scripts" / "draw_house.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses ask for it
    spec.loader.exec_module(module)
    return module


house = _script()
ROOMS = house.plan()
FILES = list(house.modules())


@pytest.mark.parametrize("path", FILES, ids=house.module_name)
def test_an_import_goes_down(path: Path) -> None:
    mine = house.room_of(house.module_name(path), ROOMS)
    for module in house.own_imports(path):
        theirs = house.room_of(module, ROOMS)
        assert theirs == mine or theirs.floor < mine.floor, (
            f"{house.module_name(path)} ({mine.name}, floor {mine.floor}) imports {module} (floor {theirs.floor})"
        )


def test_no_files_import_each_other_in_a_loop() -> None:
    edges = {(house.module_name(path), module) for path in FILES for module in house.own_imports(path)}
    assert house.circles(edges) == []


def test_every_room_of_the_plan_is_there_and_contributing_shows_the_plan() -> None:
    standing = {house.room_of(house.module_name(path), ROOMS).name for path in FILES}
    assert standing == {room.name for room in ROOMS}
    assert house.contributing(ROOMS) in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), (
        "python scripts/draw_house.py --contributing"
    )


@pytest.mark.parametrize("path", FILES, ids=house.module_name)
def test_a_heavy_package_is_imported_in_one_place_only(path: Path) -> None:
    roots = {module.split(".")[0] for module in house.imports(path)}
    name = house.module_name(path)
    for package, homes in ONLY.items():
        if package in roots:
            assert any(name == home or name.startswith(f"{home}.") for home in homes), f"{name} imports {package}"


@pytest.mark.parametrize("path", FILES, ids=house.module_name)
def test_a_file_is_one_idea(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 250
