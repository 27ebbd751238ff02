import numpy as np

from satclip.downstream.benchmark.answered import Answered
from satclip.downstream.benchmark.maps import NAMED_CLASSES, error_maps
from satclip.downstream.benchmark.words import labelled
from satclip.downstream.contract import Labels

PLACES = np.stack([np.linspace(-170, 170, 40), np.linspace(-60, 60, 40)], -1)


def _legend(classes: tuple[str, ...], codes: list[int]) -> tuple[str, list[str]]:
    truth = np.array(codes * 40)[:40]
    figure = error_maps(Labels("crops", PLACES, truth, classes), Answered(PLACES, truth, truth), "crops")
    (legend,) = figure.legends
    figure.draw_without_rendering()
    return legend.get_title().get_text(), [text.get_text().strip() for text in legend.get_texts()]


def test_a_map_of_classes_names_its_colours_the_most_frequent_first() -> None:
    assert _legend(("barley", "maize", "wheat"), [2, 2, 1]) == ("", ["wheat", "maize"])


def test_a_legend_takes_names_as_they_are_written_and_says_how_many_are_left_out() -> None:
    names = ("_none", "$5 to $9_", *(f"class {number}" for number in range(NAMED_CLASSES)))
    title, shown = _legend(names, [0, 0, 0, 0, 1, 1, 1, *range(2, len(names))])
    assert title == f"the {NAMED_CLASSES} most frequent of {len(names)}"
    assert shown[:2] == ["_none", r"\$5 to \$9_"]
    assert len(shown) == NAMED_CLASSES


def test_a_score_stands_beside_that_of_an_answer_that_knows_nothing() -> None:
    crops = Labels("crops", PLACES, np.array([0] * 10 + [1] * 30), ("maize", "wheat"))
    assert labelled(crops) == "40 places; classification, 2 classes; always answering wheat scores .75"
    warmth = Labels("warmth", PLACES, np.arange(40.0), unit="K")
    assert labelled(warmth) == "40 places; regression, K; the mean of the labels scores 0"
