"""What is said beside the figures, once for the page and once for Markdown."""

import numpy as np

from satclip.downstream.benchmark.run import EXPLAINED, Benchmark
from satclip.downstream.contract import Labels
from satclip.region import Region

READING = (
    "Each figure is a mean over draws, with the interval that holds 95 % of a bootstrap over cells, draws and training "
    "seeds. The best of a column and whatever its paired difference does not set clear of it are marked together. "
    "A gain is the paired difference on the same test places; it is a tie where its interval holds 0. "
    "The best rival is chosen by its score on inner folds of the training labels, never by its test score."
)
CEILING = (
    "The ceiling is the same probe on features of the image of the tested place itself (NASA Blue Marble): those of "
    "the image tower that the encoder was trained beside, or plain statistics of the patch. Distilled: the encoder's "
    "gain over the untrained network as a share of the ceiling's; - where the ceiling's own gain is not clear of 0."
)
GEO_BIAS = (
    "Do right and wrong answers cluster? Around up to 200 tested places, Moran's I of the four nearest neighbours: the "
    "surprise -log p of where the places lie (unmarked) and of what was answered there (marked), as TorchSpatial "
    "defines them. The permutation p is of 199 shuffles of the answers; it is small where errors lie together."
)
HOLDOUTS = {
    "random": "random: a fifth of the places; labels lie beside every tested place, so that interpolation is enough",
    "cells": "cells: a fifth of the cells of so many degrees; no label lies in the cell of a tested place",
    "continents": "continents: one continent is tested, the others teach",
    "buffer": "buffers: no label lies nearer than so many km to a tested place; the control drops as many at random",
    "fixed": "fixed: the split that comes with the data",
    "own": (
        "own blocks: the blocks, of so many degrees, whose imagery the encoder's own training left out; it is "
        "inductive in them, and no other row is"
    ),
}


def title(found: Benchmark) -> str:
    """Of the page."""
    return f"What {', '.join(found.subjects)} can predict"


def protocol(found: Benchmark) -> str:
    """What was run, in a sentence."""
    asked = found.settings
    labels = ", ".join(map(str, asked.labels))
    places = "all places" if asked.places is None else f"at most {asked.places:,} places a task"
    return (
        f"Probe {asked.probe}; labels {labels}; {asked.draws} draws a hold-out; {places}{_where(found)}; "
        f"seed {asked.seed}; {found.seconds:.0f} s."
    )


def _where(found: Benchmark) -> str:
    """The part of the Earth that all places lie in, where that is a small one."""
    lonlat = np.concatenate([task.lonlat for task in found.tasks.values()])
    (west, south), (east, north) = lonlat.min(0), lonlat.max(0)
    small = 0 < east - west < 120 and 0 < north - south < 60
    return f" in {Region.of([west, south, east, north])}" if small else ""


def labelled(labels: Labels) -> str:
    """How many places, what is predicted, and what an answer scores that knows nothing: what 0 is to a reader."""
    count = f"{len(labels.target):,} places"
    if labels.classes is None:
        return f"{count}; regression{f', {labels.unit}' if labels.unit else ''}; the mean of the labels scores 0"
    members = np.bincount(labels.target.astype(np.int64), minlength=len(labels.classes))
    most, share = labels.classes[members.argmax()], f"{members.max() / len(labels.target):.2f}".removeprefix("0")
    return f"{count}; classification, {len(labels.classes)} classes; always answering {most} scores {share}"


def short(found: Benchmark) -> str:
    """How to read the tables at the end of a training, in a few sentences."""
    text = "Scores with 95 % intervals. Green: the best of a line and its ties. A gain ties where its interval holds 0."
    if found.ceilings:
        text += " The ceiling sees the image of the tested place, which no other row does."
    return text


def settings(found: Benchmark) -> list[tuple[str, str]]:
    """What each word in the column `pretraining` means, of those that occur."""
    occurring = dict.fromkeys(found.setting_of(family) for family in found.results.families)
    return [(word, EXPLAINED[word]) for word in occurring]


def holdouts(found: Benchmark) -> list[str]:
    """What each hold-out that was run asks."""
    run = {key[1].split()[0] for key in found.results.keys}
    return [text for kind, text in HOLDOUTS.items() if kind in run]
