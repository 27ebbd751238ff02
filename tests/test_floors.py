"""The house has floors, and an import only ever goes down."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "satclip"

# A longer name wins over a shorter one.
FLOORS = {
    "sphere": 0,
    "ranks": 0,
    "errors": 0,
    "optional": 0,
    "columns": 0,
    "runs": 0,
    "geography": 1,
    "data.bands": 0,
    "data.hashing": 0,
    "data.kernels": 0,
    "data.memory": 1,
    "data.names": 0,
    "harmonics": 1,
    "loss": 1,
    "retrieval": 1,
    "embedding": 1,
    "weights": 1,
    "lightning_internals": 1,
    "region": 1,
    "data.index": 1,
    "data.split": 1,
    "data.buffer": 1,
    "data.augment": 1,
    "data.order": 1,
    "training.gradcache": 1,
    "runs.environment": 1,
    "runs.resume": 1,
    "location": 2,
    "plots": 2,
    "vision": 2,
    "data": 2,
    "location.grid": 3,
    "model": 3,
    "data.datamodule": 3,
    "data.blue_marble_datamodule": 3,
    "training.optim": 3,
    "runs.outcome": 3,
    "training": 4,
    "checkpoint": 4,
    "downstream": 4,
    "downstream.rivals": 5,
    "downstream.benchmark": 5,
    "training.report": 5,
    "training.probe": 5,
    "runs.building": 5,
    "runs.checks": 5,
    "runs.composing": 5,
    "runs.folders": 5,
    "runs.options": 5,
    "runs.run": 6,
    "runs.ending": 6,
    "cli": 6,
    "runs.launch": 7,
    "runs.evaluating": 7,
}
ONLY = {
    "hydra": {"runs"},
    "omegaconf": {"runs"},
    "lightning": {
        "lightning_internals",
        "training",
        "runs.run",
        "runs.building",
        "runs.ending",
        "data.datamodule",
        "data.blue_marble_datamodule",
    },
    "timm": {"vision"},
    "torchgeo": {"vision"},
    "webdataset": {"data"},
    "rasterio": {"data", "cli", "downstream"},
    "wandb": {"training.loggers", "downstream"},
}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def name_of(path: Path) -> str:
    """`src/satclip/data/shards.py` -> `data.shards`."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def longest(name: str, table: dict[str, int]) -> str:
    """The entry of `table` that says most about `name`."""
    matches = [entry for entry in table if name == entry or name.startswith(f"{entry}.")]
    assert matches, f"{name} stands on no floor: add it to FLOORS"
    return max(matches, key=len)


def imports(path: Path) -> set[str]:
    """Every module that the file imports anywhere, with `from a import b` as both a and a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: write imports in full"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_an_import_goes_down(path: Path) -> None:
    mine = FLOORS[longest(name_of(path), FLOORS)]
    for module in imports(path):
        if not module.startswith("satclip."):
            continue
        theirs = module.removeprefix("satclip.")
        if theirs.startswith("__"):
            continue
        floor = FLOORS[longest(theirs, FLOORS)]
        family = name_of(path).split(".")[0] == theirs.split(".")[0]
        assert floor < mine or (family and floor <= mine), f"{name_of(path)} ({mine}) imports {theirs} ({floor})"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_heavy_package_is_imported_in_one_place_only(path: Path) -> None:
    roots = {module.split(".")[0] for module in imports(path)}
    for package, homes in ONLY.items():
        if package in roots:
            name = name_of(path)
            assert any(name == home or name.startswith(f"{home}.") for home in homes), f"{name} imports {package}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_is_one_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 250
