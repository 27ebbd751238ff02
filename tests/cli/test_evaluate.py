import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Command = Callable[..., Any]
CEILING = "ceiling: statistics of the image"
QUICK = ("--task", "checkerboard:4000", "--labels", "30", "--draws", "1", "--holdout", "random")


def test_an_encoder_is_scored_and_a_folder_written(satclip: Command, model: str, tmp_path: Path) -> None:
    pytest.importorskip("pyogrio", reason="maps need outlines of the land: pip install 'satclip[cli]'")
    outcome = satclip(
        "evaluate", model, *QUICK, "--task", "air_temperature", "--tasks-root", tmp_path, "-o", tmp_path / "r"
    )
    assert outcome.code == 0
    for word in ("checkerboard 4000 km (accuracy)", "over untrained", "over the best rival", "unknown: what it was"):
        assert word in outcome.out
    assert "skipped air_temperature: no labels here; python scripts/fetch_tasks.py" in outcome.err
    assert {path.name for path in (tmp_path / "r").iterdir()} == {
        "report.html",
        "report.md",
        "records.csv",
        "summary.csv",
        "table.md",
    }
    rows = {line["encoder"] for line in csv.DictReader((tmp_path / "r" / "records.csv").read_text().splitlines())}
    name = Path(model).name
    assert rows == {
        name,
        *(f"untrained {name}, seed {seed}" for seed in range(3)),
        "harmonics, L tuned",
        "IDW",
        CEILING,
    }


def test_the_same_seed_gives_the_same_numbers(satclip: Command, model: str, tmp_path: Path) -> None:
    tables = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        satclip("evaluate", model, *QUICK, "--rivals", "none", "--seed", seed, "-o", tmp_path / name)
        tables.append((tmp_path / name / "records.csv").read_text())
    assert tables[0] == tables[1] != tables[2]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--task", "elevaton"), "did you mean elevation?"),
        (("--holdout", "cels:10"), "no hold-out is called cels:10"),
        (("--labels", "ten"), "label counts are whole numbers or all"),
        (("--rivals", "geoclop"), "did you mean geoclip?"),
        (("--task", "air_temperature", "--tasks-root", "nowhere"), "scripts/fetch_tasks.py air_temperature"),
        (("--labels", "100000"), "ask for fewer, or for all"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(satclip: Command, model: str, options: tuple[str, ...], told: str) -> None:
    outcome = satclip("evaluate", model, *(QUICK[2:] if "--task" in options else QUICK), *options)
    assert outcome.code == 1
    assert told in outcome.err
    assert outcome.err.count("\n") == 1


def test_an_encoder_that_is_not_there_is_said(satclip: Command) -> None:
    outcome = satclip("evaluate", "no/such/best.ckpt", *QUICK)
    assert outcome.code == 1
    assert "best.ckpt" in outcome.err


def test_coordbench_gives_its_published_digits(satclip: Command, tmp_path: Path) -> None:
    stations = np.load(Path(__file__).parents[1] / "fixtures" / "air_temperature.npz")
    lonlat, target = stations["lonlat_ten_thousandths"] / 1e4, stations["target"].astype(np.float64)
    lines = ["Lon,Lat,meanT", *(f"{x:.4f},{y:.4f},{t:.9g}" for (x, y), t in zip(lonlat, target, strict=True))]
    (tmp_path / "stationDataAll.csv").write_text("\n".join(lines))
    asked = ("--task", "air_temperature", "--tasks-root", tmp_path, "--rivals", "none")
    assert satclip("evaluate", "sincos", *asked, "--probe", "coordbench", "-o", tmp_path).code == 0
    (line,) = csv.DictReader((tmp_path / "coordbench.csv").read_text().splitlines())
    assert float(line["random"]) == pytest.approx(0.851512, abs=1e-5)
    assert float(line["cells 10"]) == pytest.approx(0.842056, abs=1e-5)


def test_a_missing_extra_is_named(satclip: Command, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    outcome = satclip("evaluate", model, *QUICK)
    assert outcome.code == 1
    assert "pip install 'satclip[evaluate]'" in outcome.err
