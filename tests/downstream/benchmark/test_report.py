import csv
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from satclip.downstream.benchmark import curves
from satclip.downstream.benchmark.answered import answered
from satclip.downstream.benchmark.files import NAMES, save
from satclip.downstream.benchmark.run import Benchmark
from satclip.downstream.benchmark.tables import Interval, difference, gain_lines, number, score_grid, shown
from satclip.downstream.evaluate.summary import Results


class Page(HTMLParser):
    """Counts what a page holds, and what it would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.fetched: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.fetched += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


@pytest.fixture(scope="module")
def folder(found: Benchmark, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("pyogrio", reason="maps need outlines of the land: pip install 'satclip[cli]'")
    folder = tmp_path_factory.mktemp("report") / "new"
    assert [path.name for path in save(found, folder)] == list(NAMES)
    return folder


def test_an_encoder_that_knows_the_answer_is_clear_of_its_rivals(found: Benchmark) -> None:
    lines = gain_lines(found)
    assert len(lines) == 12  # two tasks, three hold-outs, two label counts
    for _, _, task, _, _, score, over, best in lines:
        assert over.mark == "better"
        assert best.mark == "better" or task == "sides", (score, best)
    assert {line[1] for line in lines} == {"transductive"}


def test_seeds_of_an_untrained_network_are_one_row(found: Benchmark) -> None:
    assert [name for name, _, _ in score_grid(found, "hills").rows] == ["oracle", "untrained oracle", "IDW"]
    assert found.scores[("hills", "random", "40"), "untrained oracle"].interval.seeds == 2


def test_a_difference_whose_interval_holds_nothing_is_a_tie() -> None:
    assert difference(Interval(0.05, -0.01, 0.1, 5, 1)).mark == "tie"
    assert difference(Interval(0.05, 0.01, 0.1, 5, 1)).mark == "better"
    assert difference(Interval(-0.05, -0.1, -0.01, 5, 1)).mark == "worse"
    assert difference(Interval(0.05, np.nan, np.nan, 1, 1)).mark == "tie"


def test_figures_have_two_decimals_and_no_leading_zero() -> None:
    assert [number(each) for each in (0.826, -0.07, 1.0, -1.5, 0.999, 0.0)] == [
        ".83",
        "-.07",
        "1.00",
        "-1.50",
        "1.00",
        ".00",
    ]
    assert number(0.05, "+") == "+.05"
    assert shown(Interval(0.826, 0.8, 0.851, 5, 1)) == ".83 [.80, .85]"
    assert shown(Interval(np.nan, np.nan, np.nan, 5, 1)) == "-"


def test_the_page_fetches_nothing(folder: Path) -> None:
    page = Page()
    page.feed((folder / "report.html").read_text())
    outside = [link for link in page.fetched if not link.startswith(("data:image/", "#"))]
    assert not outside
    assert page.tags["script"] + page.tags["link"] == 0


def test_the_page_has_tables_curves_and_maps_of_every_task(folder: Path) -> None:
    page = Page()
    page.feed((folder / "report.html").read_text())
    assert page.tags["table"] == 1 + 3 * 2  # the headline; scores, labels needed and geo-bias of each task
    assert page.tags["img"] >= 2 * 3  # learning, size of the hold-out, maps
    for word in ("hills", "sides", "transductive", "no pretraining", "put <them> there", "oracle", "permutation p"):
        assert word in page.text


def test_every_figure_of_the_page_is_in_the_summary(folder: Path, found: Benchmark) -> None:
    lines = list(csv.DictReader((folder / "summary.csv").read_text().splitlines()))
    assert len(lines) == len(found.scores) == 12 * 3
    by = {(line["task"], line["holdout"], line["asked"], line["row"]): line for line in lines}
    text = (folder / "report.md").read_text()
    for key, (plain, _) in found.gains("oracle").items():
        line = by[(*key, "oracle")]
        assert plain is not None
        assert float(line["over_untrained"]) == plain.interval.value
        assert number(float(line["score"])) in text
    assert {line["best_rival"] for line in lines if line["row"] == "oracle"} <= {"IDW", "untrained oracle"}


def test_every_fit_is_a_record(folder: Path) -> None:
    lines = list(csv.DictReader((folder / "records.csv").read_text().splitlines()))
    assert len(lines) == 2 * 3 * 2 * 2 * 4  # tasks, hold-outs, label counts, draws, rows
    assert {line["seen"] for line in lines} == {"whole globe", "nothing"}


def test_markdown_marks_the_best_and_its_ties(folder: Path) -> None:
    table = re.search(r"^\| oracle \| transductive \| (\*\*.*)$", (folder / "report.md").read_text(), re.MULTILINE)
    assert table is not None
    assert table[1].count("**") == 2 * 6


def test_a_map_shows_the_answers_of_the_most_labels(found: Benchmark) -> None:
    few, most = (found.results.of(("hills", "random", asked), "oracle") for asked in ("40", "100"))
    assert answered(found.tasks["hills"], few) is None
    shown_ = answered(found.tasks["hills"], most)
    assert shown_ is not None
    np.testing.assert_allclose(shown_.answer, shown_.truth, atol=1e-2)


def test_a_map_of_classes_shows_the_commonest_answer(found: Benchmark) -> None:
    drawn = answered(found.tasks["sides"], found.results.of(("sides", "random", "100"), "oracle"))
    assert drawn is not None
    assert set(np.unique(drawn.answer)) <= {0, 1}
    assert (drawn.answer == drawn.truth).mean() > 0.9


def test_one_label_count_has_no_learning_curve(found: Benchmark) -> None:
    few = [record for record in found.results.records if record.asked == "40"]
    one = replace(found, results=type(found.results)(few))
    assert curves.learning(found, "hills") is not None
    assert curves.learning(one, "hills") is None
    assert curves.sizes(one, "hills") is not None
    assert curves.resolution(one) is None


def test_no_label_of_a_figure_is_cut_or_runs_into_another(found: Benchmark) -> None:
    name = "an encoder of a rather long name, 2026-11-26_20-01-34"
    records = [replace(each, encoder=name) if each.encoder == "oracle" else each for each in found.results.records]
    named = replace(found, results=Results(records), subjects=(name,))
    for draw in (curves.learning, curves.sizes, curves.distances):
        figure = draw(named, "hills")
        assert figure is not None
        FigureCanvasAgg(figure).draw()
        for axes in figure.axes:
            if not axes.get_visible():
                continue
            assert axes.bbox.width > 1.8 * figure.dpi  # the legend leaves it room
            words = axes.xaxis.label.get_window_extent()
            assert words.x0 >= 0
            assert words.x1 <= figure.bbox.width
            ticks = [tick.get_window_extent() for tick in axes.get_xticklabels()]
            turned = any(tick.get_rotation() for tick in axes.get_xticklabels())
            assert turned or all(a.x1 < b.x0 for a, b in pairwise(ticks))
