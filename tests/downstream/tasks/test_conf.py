"""Every file in conf/task composes and builds a task."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from satclip.downstream.tasks import TASKS, AirTemperature, CsvTask, Species

CONF = Path(__file__).parents[3] / "conf"
NAMES = sorted(path.stem for path in (CONF / "task").glob("*.yaml"))


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(overrides=[f"+{override}" for override in overrides])


def test_every_task_has_a_file_of_its_name() -> None:
    assert sorted([*TASKS, "csv", "all", "checkerboards"]) == NAMES


def test_all_tasks_are_all_but_the_synthetic_one() -> None:
    config = composed("task=all").task
    assert sorted(config) == sorted(set(TASKS) - {"checkerboard"})
    assert {name: type(instantiate(node)) for name, node in config.items()} == {
        name: task for name, task in TASKS.items() if name != "checkerboard"
    }


@pytest.mark.parametrize("name", sorted(TASKS))
def test_the_file_of_a_task_builds_it_with_its_own_defaults(name: str) -> None:
    built = instantiate(composed(f"task={name}").task)
    assert type(built) is TASKS[name]
    mine = TASKS[name]() if name == "checkerboard" else TASKS[name](root="data/tasks")
    assert built == mine


def test_the_root_of_the_tasks_reaches_every_one_of_them(root: Path) -> None:
    task = instantiate(composed("task=air_temperature", f"tasks.root={root}").task)
    assert isinstance(task, AirTemperature)
    assert len(task.load().target) == 3
    task = instantiate(composed("task=species", f"tasks.root=[nowhere,{root}]").task)
    assert isinstance(task, Species)
    assert len(task.load().target) == 7


def test_a_table_of_one_s_own_needs_no_code(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("lon,lat,t\n1,2,3.5\n")
    config = composed("task=csv", f"task.path={tmp_path}/labels.csv", "task.target=t", "task.cell_degrees=[1,2]")
    task = instantiate(config.task)
    assert isinstance(task, CsvTask)
    labels = task.load()
    assert (labels.target.tolist(), labels.cell_degrees) == ([3.5], (1, 2))
