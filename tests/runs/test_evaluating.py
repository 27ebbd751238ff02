"""`python evaluate.py`: what Hydra is given, and tasks of one's own."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from satclip.downstream.tasks import TASKS
from satclip.runs import evaluating

CONF = Path(__file__).parents[2] / "conf"
QUICK = ["protocol.labels=[20]", "protocol.draws=1", "protocol.holdouts=[random]", "rivals=none", "workers=1"]


def composed(*options: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("evaluate", overrides=evaluating.arguments(options))


def table(path: Path) -> Path:
    generator = np.random.default_rng(0)
    places = generator.uniform((-170, -80), (170, 80), size=(80, 2))
    lines = [f"{east:.4f},{north:.4f},{north / 2:.4f}" for east, north in places]
    path.write_text("\n".join(["lon,lat,warmth", *lines]))
    return path


def records(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "records.csv").read_text().splitlines()))


def test_commas_are_a_list_of_models_and_of_tasks() -> None:
    config = composed("model=a b/lr=1.ckpt,microsoft/SatCLIP-ViT16-L10", "task=elevation,country", "rivals=knn,raw")
    assert config.model == ["a b/lr=1.ckpt", "microsoft/SatCLIP-ViT16-L10"]
    assert config.rivals == ["knn", "raw"]
    assert [name for name, _ in evaluating.tasks_of(config.task)] == ["elevation", "country"]


def test_commas_are_a_sweep_in_a_multirun() -> None:
    assert evaluating.arguments(["-m", "model=a,b"]) == ["-m", "model=a,b"]


def test_a_list_in_brackets_stays_as_it_is() -> None:
    assert evaluating.arguments(["model=[a,b]", "protocol.labels=[30,100]"]) == [
        "model=[a,b]",
        "protocol.labels=[30,100]",
    ]


def test_every_protocol_says_what_the_engine_takes() -> None:
    from satclip.downstream.benchmark.settings import Settings, words

    for name in sorted(path.stem for path in (CONF / "protocol").glob("*.yaml")):
        protocol = composed("model=raw", f"protocol={name}").protocol
        made = Settings(
            words(protocol.holdouts), words(protocol.labels), protocol.draws, protocol.probe, protocol.places
        )
        assert made.plan().labels


def test_all_tasks_are_asked_for_and_the_missing_ones_named(tmp_path: Path) -> None:
    config = composed("model=raw", f"tasks.root={tmp_path}")
    assert [name for name, _ in evaluating.tasks_of(config.task)] == [name for name in TASKS if name != "checkerboard"]


def test_a_task_is_one_yaml_for_a_table(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "warmth.yaml").write_text(
        f"_target_: satclip.downstream.tasks.CsvTask\npath: {table(tmp_path / 'labels.csv')}\ntarget: warmth\n"
    )
    where = f"hydra.searchpath=[file://{tmp_path}]"
    gain = evaluating.main(composed("model=raw", "task=warmth", where, f"output_dir={tmp_path}", *QUICK))
    assert np.isnan(gain)
    (line,) = records(tmp_path)
    assert line["task"] == "labels_warmth"
    assert float(line["score"]) > 0.9


def test_a_task_is_one_file_and_one_yaml_outside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "my_tasks.py").write_text(
        "from dataclasses import dataclass\n"
        "import numpy as np\n"
        "from satclip.downstream.contract import Labels\n"
        "@dataclass(frozen=True)\n"
        "class North:\n"
        "    count: int = 60\n"
        "    def load(self):\n"
        "        places = np.random.default_rng(0).uniform(-80, 80, size=(self.count, 2))\n"
        "        return Labels('north', places, (places[:, 1] > 0).astype(np.int64), ('south', 'north'))\n"
    )
    (tmp_path / "task" / "north.yaml").write_text("_target_: my_tasks.North\ncount: 90\n")
    monkeypatch.syspath_prepend(tmp_path)
    where = f"hydra.searchpath=[file://{tmp_path}]"
    evaluating.main(composed("model=raw", "task=north", where, f"output_dir={tmp_path}", *QUICK))
    (line,) = records(tmp_path)
    assert (line["task"], line["metric"], line["tested"]) == ("north", "accuracy", "18")
    sys.modules.pop("my_tasks")


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("protocol.holdouts=[cels]", "no hold-out is called cels"),
        ("model=no/such.ckpt", "no/such.ckpt"),
        ("protocol.probe=forest", "no such probe: forest"),
        ("protocol.draws=0", "draws and workers must be 1 or more"),
        ("probe=forest", "no such probe: forest"),
        ("protocol.draws=x", "draws must be a whole number, got 'x'"),
        ("protocol.draws=2.5", r"draws must be a whole number, got 2\.5"),
        ("protocol.places=abc", "places must be a whole number, got 'abc'"),
        ("protocol.places=3", "places 10 or more"),
        ("workers=true", "workers must be a whole number, got True"),
        ("seed=-1", "seed must be 0 or more"),
        ("output_dir=/dev/null/x", "/dev/null is a file, so there can be no folder"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(option: str, told: str) -> None:
    with pytest.raises(SystemExit, match=told):
        evaluating.main(composed("model=raw", "task=checkerboard", "output_dir=.", option))


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("task.target=lon", "lon is a coordinate of the places themselves"),
        ("task.max_rows=x", "max_rows must be 1 or more, or null for all, got 'x'"),
        ("task.max_rows=0", "max_rows must be 1 or more"),
        ("task.cell_degrees=ten", r"cell_degrees must be degrees, got 'ten'; give \[2,10\], or null"),
        ("task.cell_degrees=[0]", "held-out cells must be more than 0"),
        ("task.cell_degrees=[]", "held-out cells must be more than 0"),
        ("task.kind=classes", "kind must be regression or classification"),
        ("task.max_rows=5", "nothing to score: .* 5 different places"),
    ],
)
def test_what_a_table_cannot_give_is_said_in_one_line(tmp_path: Path, option: str, told: str) -> None:
    asked = ("model=raw", "task=csv", f"task.path={table(tmp_path / 't.csv')}", "task.target=warmth", *QUICK)
    with pytest.raises(SystemExit, match=told) as ended:
        evaluating.main(composed(*asked, f"output_dir={tmp_path / 'o'}", option))
    assert "\n" not in str(ended.value)
    assert not (tmp_path / "o").exists()


def test_one_size_of_cells_is_one_size(tmp_path: Path) -> None:
    where = (f"task.path={table(tmp_path / 't.csv')}", "task.target=warmth", f"output_dir={tmp_path}")
    options = ("protocol.holdouts=[cells]", "task.cell_degrees=40", *QUICK[:2], *QUICK[3:])
    evaluating.main(composed("model=raw", "task=csv", *where, *options))
    assert records(tmp_path)[0]["holdout"] == "cells 40"


def test_the_probe_is_an_option_of_its_own_and_that_of_the_protocol_otherwise(tmp_path: Path) -> None:
    assert composed("model=raw", "probe=range").probe == "range"
    assert composed("model=raw", "protocol.probe=knn").probe == "knn"
    where = (f"task.path={table(tmp_path / 't.csv')}", "task.target=warmth", f"output_dir={tmp_path}")
    evaluating.main(composed("model=raw", "task=csv", *where, "probe=range", *QUICK))
    assert records(tmp_path)[0]["probe"] == "range"


def test_coordbench_without_labels_says_what_is_missing(tmp_path: Path) -> None:
    asked = (
        "model=raw",
        "task=air_temperature",
        f"tasks.root={tmp_path}",
        "probe=coordbench",
        f"output_dir={tmp_path}",
    )
    with pytest.raises(SystemExit, match=r"nothing to score; air_temperature: .*fetch_tasks"):
        evaluating.main(composed(*asked))
    assert not list(tmp_path.iterdir())


def test_a_multirun_may_be_asked_for_anywhere_and_a_task_twice() -> None:
    assert evaluating.arguments(["model=a,b", "-m"]) == ["-m", "model=a,b"]
    assert evaluating.arguments(["task=country,country"]) == ["~task", "+task@task.country=country"]


def test_an_interrupt_ends_it_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stopped_by_hand.py").write_text("def f(places):\n    raise KeyboardInterrupt\n")
    monkeypatch.chdir(tmp_path)
    where = (f"task.path={table(tmp_path / 't.csv')}", "task.target=warmth", f"output_dir={tmp_path / 'o'}")
    with pytest.raises(SystemExit) as ended:
        evaluating.main(composed("model=stopped_by_hand:f", "task=csv", *where, *QUICK))
    assert ended.value.code == 130
    assert capsys.readouterr().err.strip().endswith("vectors are kept, run it again.")
    assert not (tmp_path / "o").exists()


def test_without_a_model_it_says_what_to_give() -> None:
    with pytest.raises(SystemExit, match=r"Missing mandatory value: model; give model=best\.ckpt"):
        evaluating.main(composed("task=checkerboard", "output_dir=."))
    with pytest.raises(SystemExit, match=r"value: task\.path; give task\.path=labels\.csv"):
        evaluating.main(composed("task=csv", "model=raw", "output_dir=."))


def test_the_report_is_in_wandb_as_tables_and_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    path = table(tmp_path / "labels.csv")
    task = ["task=csv", f"task.path={path}", "task.target=warmth", "logger=wandb", f"output_dir={tmp_path}"]
    evaluating.main(
        composed("model=raw", *task, "protocol.labels=[10,20]", "protocol.holdouts=[random,cells:40]", *QUICK[1:2])
    )
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    media = run / "files" / "media"
    tables = {each.name.rpartition("_")[0].rpartition("_")[0]: each for each in media.rglob("*.table.json")}
    gains = json.loads(next(each for name, each in tables.items() if name.startswith("gains")).read_text())
    with (tmp_path / "summary.csv").open(newline="") as file:
        score = {
            (line["holdout"], line["asked"]): line["score"] for line in csv.DictReader(file) if line["row"] == "raw"
        }
    assert len(gains["data"]) == len(score) == 4
    for line in gains["data"]:
        assert float(line[5].split()[0]) == pytest.approx(float(score[line[3], line[4]]), abs=0.006)
    assert any(name.startswith("scores_labels_warmth") for name in tables)
    pictures = {
        str(each.relative_to(media / "images" / "benchmark")).partition("_")[0] for each in media.rglob("*.png")
    }
    assert {"labels"} <= pictures
    assert len(list(media.rglob("*.png"))) >= 3  # curves, sizes of the hold-out, the map of errors
