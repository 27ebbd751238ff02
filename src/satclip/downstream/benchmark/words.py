"""What is said beside the figures, once for the page and once for Markdown."""

from satclip.downstream.benchmark.run import EXPLAINED, Benchmark

READING = (
    "Each figure is a mean over draws, with the interval that holds 95 % of a bootstrap over cells, draws and training "
    "seeds. The best of a column and whatever its paired difference does not set clear of it are marked together. "
    "A gain is the paired difference on the same test places; it is a tie where its interval holds 0. "
    "The best rival is chosen by its score on inner folds of the training labels, never by its test score."
)
HOLDOUTS = {
    "random": "random: a fifth of the places; labels lie beside every tested place, so that interpolation is enough",
    "cells": "cells: a fifth of the cells of so many degrees; no label lies in the cell of a tested place",
    "continents": "continents: one continent is tested, the others teach",
    "buffer": "buffers: no label lies nearer than so many km to a tested place; the control drops as many at random",
    "fixed": "fixed: the split that comes with the data",
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
        f"Probe {asked.probe}; labels {labels}; {asked.draws} draws a hold-out; {places}; seed {asked.seed}; "
        f"{found.seconds:.0f} s."
    )


def settings(found: Benchmark) -> list[tuple[str, str]]:
    """What each word in the column `pretraining` means, of those that occur."""
    occurring = dict.fromkeys(found.setting_of(family) for family in found.results.families)
    return [(word, EXPLAINED[word]) for word in occurring]


def holdouts(found: Benchmark) -> list[str]:
    """What each hold-out that was run asks."""
    run = {key[1].split()[0] for key in found.results.keys}
    return [text for kind, text in HOLDOUTS.items() if kind in run]
