"""Runs side by side: which there are, what differs between them, and what came of it."""

import base64
import csv
import json
import math
import re
import shutil
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wandb
from PIL import Image
from run_folders import run, sweep

from satclip.cli import main
from satclip.runs import lock, run_folder, units
from satclip.runs.reports import charts, compare, html, run_page, sweep_page
from satclip.runs.reports.compare import compared
from satclip.runs.reports.find import records
from satclip.runs.reports.importance import importance
from satclip.runs.reports.options import differing
from satclip.runs.reports.read import read
from satclip.runs.reports.record import FINISHED, Record
from satclip.runs.reports.scoring import main_score
from satclip.runs.sweeping import trial

HOSTILE = "a b</script><img src=x onerror=alert(1)>&'\"$x$"


@pytest.fixture
def swept(tmp_path: Path) -> Path:
    return sweep(tmp_path / "sweep")


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r"id='data'>(.*?)</script>", page, re.DOTALL)
    assert found is not None
    content: dict[str, Any] = json.loads(found[1])
    return content


def test_only_what_differs_is_told_and_seeds_are_brought_together(swept: Path) -> None:
    found = compared(records([swept]))
    assert found.names == ("legendre_polys", "vision", "seed")
    assert found.counts() == "10 finished, 1 failed, 1 missing"
    assert len(found.settings) == 6
    assert found.score[0] == "probe/mean"  # losses of two towers say nothing of each other
    by = {each.options: each for each in found.settings}
    assert by["5", "tiny"].spread("val/loss") == pytest.approx((0.2205, 0.001 / math.sqrt(2), 2))
    assert by["20", "vit16"].spread("val/loss")[2] == 0  # of a run that failed nothing counts
    text = compare.markdown(found)
    assert "| 5 | tiny | 2 | 0.221 ± 0.00071 |" in text
    assert "| 20 | tiny | 2 | 0.070 (1 of 2, else NaN or missing) |" in text
    assert '- 10: failed, out of &lt;memory> & "more"' in text
    assert "- 11: missing, not begun, or removed" in text
    assert "- 9: finished, NaN: best/val/loss, last/val/loss" in text


def test_a_spread_of_hundreds_is_written_out() -> None:
    assert [compare.spread_shown(each) for each in (0.0123, 99.4, 99.6, 1234.0, math.nan)] == [
        " ± 0.012", " ± 99", " ± 100", " ± 1,234", "",
    ]  # fmt: skip


def test_learning_curves_have_the_colours_of_their_settings(swept: Path) -> None:
    figure = charts.learning(compared(records([swept])))
    assert figure is not None
    (legend,), lines = figure.legends, figure.axes[0].lines
    assert {each.get_text() for each in legend.texts} == {
        f"L={p}, vision={t}" for p in (5, 10, 20) for t in ("tiny", "vit16")
    }
    drawn = [line.get_color() for line in lines if len(line.get_xdata())]
    assert sorted(drawn.count(each.get_color()) for each in legend.legend_handles) == [1, 2, 2, 2, 2, 2]


def test_jobs_that_have_not_begun_are_not_of_the_settings_of_those_that_have(swept: Path) -> None:
    for number in (2, 3, 6, 7, 10):
        shutil.rmtree(swept / str(number))
    found = compared(records([swept]))  # of the second tower no job has begun
    assert found.names == ("legendre_polys", "vision", "seed")
    assert {each.options: len(each.runs) for each in found.settings} == {
        (polys, tower): 2 for polys in ("5", "10", "20") for tower in ("tiny", "vit16")
    }
    assert "| 5 | vit16 | 0 of 2 finished |" in compare.markdown(found)


def test_where_networks_differ_the_best_is_not_the_one_with_the_worst_untrained_network() -> None:
    runs = [
        Record(f"{polys}", Path(), FINISHED, choices={"legendre_polys": f"{polys}", "vision": tower},
               figures={"best/probe/mean": score, "best/gain/mean": gain})
        for polys, score, gain, tower in ((10, 0.37, 0.03, "tiny"), (40, 0.20, 0.09, "statistics"))
    ]  # fmt: skip
    best = compared(runs).best()
    assert best is not None
    assert best.runs[0].name == "10"


def test_a_panel_a_task_shows_the_same_network_untrained(swept: Path) -> None:
    for folder in swept.iterdir():
        if (path := folder / "metrics.json").is_file():
            figures = json.loads(path.read_text())
            figures["best/gain/cells_10/100/elevation_R2"] = 0.05
            figures["best/probe/cells_20/100/country_accuracy"] = 0.5
            path.write_text(json.dumps(figures))
    drawn = charts.against_number(compared(records([swept])))
    assert drawn is not None
    titles = [each.get_title() for each in drawn.axes if each.get_title()]
    assert titles[-2:] == ["country accuracy, 20° cells, 100 labels", "elevation R2, 10° cells, 100 labels"]
    panel = next(each for each in drawn.axes if each.get_title() == titles[-1])
    dashed = [line for line in panel.lines if line.get_linestyle() == "--"]
    assert [list(map(float, line.get_xdata())) for line in dashed] == [[5.0, 10.0, 20.0], [5.0, 10.0]]
    assert list(dashed[0].get_ydata()) == pytest.approx([0.01 * polys + 0.2 - 0.05 for polys in (5, 10, 20)])


def test_numbers_that_were_drawn_are_shown_in_four_digits_and_kept_whole(tmp_path: Path) -> None:
    for number, rate in enumerate(("0.0012520653814999472", "1e-05")):
        run(tmp_path / str(number), f"optimizer.lr={rate}", config={"optimizer": {"lr": rate}})
    found = compared(records([tmp_path]))
    text = compare.markdown(found)
    assert "| 0.001252 | 1 |" in text
    assert "| 1e-05 | 1 |" in text
    assert "optimizer.lr=0.0012520653814999472" in text  # in the command
    assert "0.0012520653814999472" in compare.csv_text(found)


def test_the_csv_has_a_line_a_run_with_every_figure_unrounded(swept: Path) -> None:
    lines = list(csv.DictReader(compare.csv_text(compared(records([swept]))).splitlines()))
    assert [line["run"] for line in lines] == [str(number) for number in range(12)]  # 2 before 10
    assert float(lines[0]["best/val/loss"]) == 1 / 5 + 0.02
    assert lines[11]["state"] == "missing"
    assert lines[11]["legendre_polys"] == "20"


def test_a_page_holds_every_run_and_asks_for_nothing_elsewhere(swept: Path) -> None:
    (swept / "0" / "report.html").write_text("x")
    found = compared(records([swept]))
    page = sweep_page.page(found, swept, "sweep")
    assert len(data_of(page)["runs"]) == 12
    assert data_of(page)["runs"][0]["page"] == "0/report.html"
    assert "python train.py legendre_polys=20 vision=tiny seed=0" in page
    assert not re.search(r"(src|href)=['\"]?(https?:|//)", page)
    assert "Epsilon squared" in page
    assert "0.40 [0.20, 0.60]" in page


def test_names_may_be_anything(tmp_path: Path) -> None:
    root = tmp_path / "a b & <i>"
    run(root / HOSTILE.replace("/", "-"), f"name={HOSTILE}", config={"name": HOSTILE})
    run(root / "other", "name=plain", "seed=1", config={"name": "plain"})
    found = compared(records([root]))
    page = sweep_page.page(found, root, root.name)
    assert "<img src=x" not in page
    assert "<i>" not in page
    assert {each["name"] for each in data_of(page)["runs"]} == {HOSTILE.replace("/", "-"), "other"}
    assert "<img src=x" not in run_page.page(found.records[0])
    assert len(sweep_page.save(found, root, "x")) >= 3
    assert "<img" not in re.sub(r"```sh.*?```", "", compare.markdown(found), flags=re.DOTALL)


def test_what_is_running_pruned_stopped_damaged_or_of_an_older_layout_is_shown_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("running", "pruned", "stopped"):
        run(tmp_path / name, "seed=1", loss=None)
    for name in ("damaged", "old", "no_config"):
        run(tmp_path / name, "seed=1")
    trial.prune(tmp_path / "pruned", 3, "val/loss", 12.682)
    (tmp_path / "damaged" / "metrics.json").write_text("{")
    (tmp_path / "damaged" / ".hydra" / "hydra.yaml").write_text("{")
    shutil.move(tmp_path / "old" / "benchmark" / "summary.csv", tmp_path / "old" / "summary.csv")
    (tmp_path / "old" / "metrics.json").write_text('{"val/loss": 2.5}')
    shutil.rmtree(tmp_path / "no_config" / ".hydra")
    (tmp_path / "evaluate" / ".hydra").mkdir(parents=True)
    (tmp_path / "evaluate" / ".hydra" / "config.yaml").write_text("model: x\n")
    lock.claim(tmp_path / "running")
    lock.claim(tmp_path / "old")  # by the process that writes its page: it has finished all the same
    own = {each.name: each.state for each in records([tmp_path])}
    with monkeypatch.context() as patch:
        patch.setattr(lock, "_held", {})  # as another process sees it
        found = {each.name: each for each in records([tmp_path])}
    lock.release(tmp_path / "running")
    lock.release(tmp_path / "old")
    assert (own["running"], own["old"]) == ("stopped", "finished")
    states = {
        "running": "running",
        "pruned": "pruned",
        "stopped": "stopped",
        "damaged": "stopped",
        "old": "finished",
        "no_config": "finished",
    }
    assert {name: each.state for name, each in found.items()} == states
    assert found["pruned"].note == "after epoch 3, by val/loss 12.68"
    assert "metrics.json cannot be read" in found["damaged"].note
    assert found["old"].figure("val/loss") == 2.5
    assert len(found["old"].scores) == 1
    assert found["stopped"].figure("val/loss") == pytest.approx(2.1)  # as far as it came
    assert sweep_page.page(compared(list(found.values())), tmp_path, "x")


def test_a_folder_that_is_given_twice_counts_once_and_equal_names_are_told_apart(tmp_path: Path) -> None:
    for root in ("a/x", "b/x"):
        run(tmp_path / root / "0", "seed=1")
    found = records([tmp_path / "a" / "x", tmp_path / "a" / "x" / "0", tmp_path / "b" / "x"])
    assert [each.name for each in found] == [str(tmp_path / "a/x/0"), str(tmp_path / "b/x/0")]


def test_what_cannot_be_done_is_said_in_a_line_and_loses_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["report", str(tmp_path / "empty")]) == 1
    assert "no run under" in capsys.readouterr().err
    made = run(tmp_path / "one" / "0", "seed=1")
    assert main(["compare", str(made.parent), "--by", "nope", "-o", str(tmp_path / "o")]) == 1
    assert "no run has the figure nope; there are val/loss" in capsys.readouterr().err
    for command in ("report", "compare"):
        assert main([command, str(made.parent), "--by", "best/retrieval/top10", "-o", str(tmp_path / "o")]) == 1
        said = capsys.readouterr().err.strip()
        assert "did you mean retrieval/image_to_location/top10? there are val/loss, " in said
        assert said.endswith("probe/cells_10/100/elevation_R2")  # and nothing of -o, which has no part in it
    bare = run(tmp_path / "begun" / "0", loss=None)
    (bare / "csv" / "metrics.csv").write_text("step,epoch\n")
    assert main(["compare", str(bare), "--by", "val/loss", "-o", str(tmp_path / "o")]) == 1
    assert "no run has a figure yet" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
    (tmp_path / "file").write_text("")
    for command in ("report", "compare"):
        assert main([command, str(made.parent), "-o", str(tmp_path / "file" / "x")]) == 1
        assert "-o FOLDER writes elsewhere" in capsys.readouterr().err
    (made.parent / "report.html").write_text("my own page")
    assert main(["report", str(made.parent)]) == 1
    assert capsys.readouterr().err.count("-o FOLDER writes elsewhere") == 1
    assert (made.parent / "report.html").read_text() == "my own page"


def test_an_option_that_explains_all_is_told_from_one_that_explains_nothing() -> None:
    runs = [
        Record(
            str(n),
            Path(),
            FINISHED,
            config={"a": str(a), "b": str(b), "c": str(n)},
            figures={"best/val/loss": a + 0.01 * n},
        )
        for n, (a, b) in enumerate((a, b) for _ in range(3) for a in (0, 5) for b in (0, 1))
    ]
    found = importance(runs, ["a", "b", "seed"], "val/loss")
    assert found["a"] > 0.99
    assert found["b"] == 0.0
    assert math.isnan(found["seed"])  # the same everywhere
    assert 0.0 <= importance(runs, ["c"], "val/loss")["c"] <= 1.0  # a value of its own each: four bins
    assert math.isnan(importance(runs[:3], ["c"], "val/loss")["c"])


def test_what_follows_from_a_group_is_not_named_beside_it(tmp_path: Path) -> None:
    for number, tower in enumerate(("tiny", "vit16")):
        run(tmp_path / str(number), f"vision={tower}", vision=tower, config={"vision": {"width": 8 + number}})
    assert differing(records([tmp_path])) == ["vision"]
    run(tmp_path / "2", "vision=tiny", "vision.width=99", vision="tiny", config={"vision": {"width": 99}})
    assert differing(records([tmp_path])) == ["vision", "vision.width"]


def test_the_score_is_the_loss_where_losses_can_be_compared(tmp_path: Path) -> None:
    for seed in (0, 1):
        run(tmp_path / str(seed), f"seed={seed}", loss=1.0 + seed)
    found = compared(records([tmp_path]))
    assert found.score[0] == "val/loss"
    best = found.best()
    assert best is not None
    assert best.spread("val/loss")[0] == 1.5
    asked = [
        Record("x", Path(), FINISHED, config={"optimized_metric": "best/gain/mean"}, figures={"best/gain/mean": 1.0})
    ]
    assert main_score(asked, [])[0] == "gain/mean"


def test_every_figure_of_a_run_has_its_unit(tmp_path: Path) -> None:
    figures = {
        "best/retrieval/image_to_location/median_km": 3.0,
        "last/val/image_to_location/top10": 0.5,
        "last/epoch": 4.0,
    }
    run_folder.finish(tmp_path, figures)
    found = json.loads((tmp_path / run_folder.UNITS).read_text())
    assert found.keys() == figures.keys()
    assert found["best/retrieval/image_to_location/median_km"]["unit"] == "km"
    assert found["last/val/image_to_location/top10"] == {
        "unit": "share", "better": "higher", "means": "the right one is among the first 10",
    }  # fmt: skip
    for name in ("gain/cells_10/100/elevation_R2", "probe/elevation/r2", "probe/cells_10/100/country_accuracy"):
        assert units.unit_of(name).better == "higher"
    assert units.unit_of("val/loss/match").better == "lower"


def test_the_page_of_a_run_tells_a_stranger_all(tmp_path: Path) -> None:
    made = run(tmp_path / "2026 run", "seed=1")
    (made / "report.html").write_text("of an older version")
    assert run_page.save(made) is None
    assert (made / "report.html").read_text() == "of an older version"
    (made / "report.html").unlink()
    assert run_page.save(made) == made / "report.html"
    text = (made / "report.html").read_text()
    for words in ("of epoch 3 of 4", "satclip resume ", "satclip rerun ", "satclip embed places.csv", "Learning curves",
                  "0.30 [0.10, 0.50]", "+0.10 [+0.00, +0.20]", "python train.py seed=1", "csv/metrics"):  # fmt: skip
        assert words in text, words
    assert run_page.save(made) is not None  # its own it replaces


@pytest.mark.slow
def test_an_offline_wandb_run_is_read_without_anything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    with wandb.init(dir=tmp_path, config={"seed": 3, "le_type": {"legendre_polys": 20}}) as made:
        for step in range(900):  # beyond one block of the file
            made.log({"val/loss": 2.0 - step / 1000, "trainer/global_step": 10 * step})
    (each,) = records([tmp_path])
    until = time.monotonic() + 60
    while each.state != FINISHED and time.monotonic() < until:  # W&B's own process is a moment behind
        time.sleep(0.1)
        (each,) = records([tmp_path])
    assert each.state == FINISHED
    assert (each.config["seed"], each.config["le_type.legendre_polys"]) == ("3", "20")
    assert each.figure("val/loss") == pytest.approx(2.0 - 0.899)
    assert (each.curves["val/loss"][0], each.curves["val/loss"][-1][0]) == ((0.0, 2.0), 8990.0)
    (file,) = tmp_path.rglob("*.wandb")
    file.write_bytes(file.read_bytes()[:20_000])  # killed over it
    assert records([tmp_path])[0].state == "stopped"


def test_a_curve_of_nan_and_a_csv_cut_short_are_no_error(tmp_path: Path) -> None:
    made = run(tmp_path / "x", "seed=1")
    (made / "csv" / "metrics.csv").write_text("step,val/loss\n1,nan\n2,inf\n,3\nx,4\n3,\0")
    found = read(made, "x")
    assert [step for step, _ in found.curves["val/loss"]] == [1.0, 2.0]
    assert all(math.isnan(value) for _, value in found.curves["val/loss"])
    assert run_page.page(found)
    assert data_of(sweep_page.page(compared([found]), tmp_path, "x"))["runs"][0]["c"]["val/loss"][0][1] is None


def test_the_page_of_a_run_says_beside_its_retrieval_whether_the_places_were_trained_on(tmp_path: Path) -> None:
    made = run(tmp_path / "0")
    title = "Retrieval among 2,000 validation places (trained on themselves: memory, not knowledge)"
    (made / "retrieval.md").write_text(f"**{title}**\n\n| search | top1 |\n")
    found = {"search": "location to image", "top1": 0.6215, "median_km": 1.6e-13}
    (made / "retrieval.json").write_text(json.dumps([found]))
    page = run_page.page(read(made, "0"))
    assert page.count(title) == 2
    assert "<th>median, km</th>" in page
    assert ">0.0</td>" in page
    assert "e-13" not in page


def test_a_picture_in_a_page_keeps_its_colours_smooth(tmp_path: Path) -> None:
    ramp = np.stack(np.broadcast_arrays(np.linspace(0, 255, 600)[None], np.linspace(0, 255, 300)[:, None], 90), -1)
    Image.fromarray(ramp.astype(np.uint8)).save(tmp_path / "globe.png")
    encoded = html.photo(tmp_path / "globe.png", "globe").split("base64,")[1].split("'")[0].split('"')[0]
    shown = np.asarray(Image.open(BytesIO(base64.b64decode(encoded))).convert("RGB"))
    assert np.abs(shown.astype(int) - ramp.astype(np.uint8)).max() < 12


def test_the_page_of_a_run_leads_to_its_explorer_where_there_is_one(tmp_path: Path) -> None:
    made = run(tmp_path / "0")
    assert "explorer.html" not in run_page.page(read(made, "0"))
    (made / "explorer.html").write_text("<html>")
    page = run_page.page(read(made, "0"))
    assert "<a href='explorer.html'>" in page
    assert ">explorer.html</td>" in page
