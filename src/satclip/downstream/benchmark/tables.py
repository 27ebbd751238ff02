"""What was found as rows of text: the same words for the terminal, Markdown, HTML and CSV."""

import math
from dataclasses import dataclass

from satclip.downstream.benchmark.run import Benchmark
from satclip.downstream.evaluate.intervals import Interval
from satclip.downstream.evaluate.summary import Key

TIED, BETTER, WORSE = "tie", "better", "worse"


@dataclass(frozen=True)
class Cell:
    """One figure of a table.

    Attributes:
        text: ".83 [.80, .85]".
        mark: "best" for the best of its column and what is tied with it; better, worse or tie for a difference.
        note: what a reader may want beside it, such as the rival's name.
    """

    text: str
    mark: str = ""
    note: str = ""


@dataclass(frozen=True)
class Grid:
    """A table: its columns, and per row a name, its setting (transductive ...) and a cell for each column."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[Cell, ...]], ...]


def gain_lines(found: Benchmark) -> list[tuple[str, str, str, str, str, Cell, Cell, Cell]]:
    """The headline: subject, setting, task, hold-out, labels, score, gain over untrained, gain over the best rival."""
    lines = []
    for subject in found.subjects:
        for key, (plain, rival) in found.gains(subject).items():
            task, holdout, asked = key
            score = Cell(shown(found.scores[key, subject].interval), note=found.scores[key, subject].metric)
            over = Cell("-") if plain is None else difference(plain.interval)
            best = Cell("-") if rival is None else difference(rival.interval, rival.rival)
            lines.append((subject, found.setting_of(subject, holdout), task, holdout, asked, score, over, best))
    return lines


def score_grid(found: Benchmark, task: str) -> Grid:
    """Every row's score on a task under every hold-out and label count."""
    keys = [key for key in found.results.keys if key[0] == task]
    rows = []
    for family in found.results.families:
        cells = tuple(scored(found, key, family) for key in keys)
        if any(cell.text != "-" for cell in cells):
            rows.append((family, found.setting_of(family), cells))
    metric = next(found.scores[key, family].metric for key in keys for family in found.results.families)
    columns = tuple(f"{holdout}, {count(asked)}" for _, holdout, asked in keys)
    return Grid(f"{task}: {metric}", columns, tuple(rows))


def labels_grid(found: Benchmark, task: str, asked: str) -> Grid:
    """How many times as many labels each rival needs for the score that a subject has with `asked`."""
    holdouts = list(dict.fromkeys(key[1] for key in found.results.keys if key[0] == task and key[2] == asked))
    rows = []
    for subject in found.subjects:
        for rival in found.results.families:
            if rival in found.subjects:
                continue
            ratios = [found.results.labels_needed(task, holdout, subject, rival, asked) for holdout in holdouts]
            cells = tuple(
                Cell("-" if ratio is None else f"{'' if ratio.bound == '=' else ratio.bound} {ratio.ratio:.1f}".strip())
                for ratio in ratios
            )
            rows.append((f"{rival}, for the score of {subject}", found.setting_of(rival), cells))
    return Grid(f"{task}: labels a rival needs, in units of {asked}", tuple(holdouts), tuple(rows))


Line = tuple[tuple[str, str, str], tuple[Cell, ...], Cell]


def compact(found: Benchmark) -> tuple[tuple[str, ...], list[Line]]:
    """Everything in one table, a column for each row that was run: heads, and lines of names, scores and a gain.

    The gain is that of the first subject over the untrained network.
    """
    subject, lines = found.subjects[0], list[Line]()
    metrics = {record.task: record.metric for record in found.results.records}
    families = found.results.families
    for key in found.results.keys:
        gain = found.gains(subject).get(key, (None, None))[0]
        names = (f"{key[0]}, {metrics[key[0]]}", key[1], key[2])
        cells = tuple(scored(found, key, family) for family in families)
        lines.append((names, cells, Cell("-") if gain is None else difference(gain.interval)))
    return ("task", "hold-out", "labels", *families, f"gain of {subject} over untrained"), lines


def ceiling_grid(found: Benchmark) -> Grid | None:
    """What the imagery knows beyond the untrained network, and how much of that each subject has; None without it."""
    rows = []
    for subject in found.subjects:
        for (task, holdout, asked), share in found.distilled(subject).items():
            kept = "-" if math.isnan(share.share) else f"{share.share:.0%}"
            cells = (Cell(shown(share.ceiling)), difference(share.room), difference(share.gain), Cell(kept))
            rows.append((subject, f"{task}, {holdout}, {count(asked)}", cells))
    columns = ("ceiling", "ceiling over untrained", "encoder over untrained", "distilled")
    return Grid("What the imagery knows, and how much of it the encoder has", columns, tuple(rows)) if rows else None


def count(asked: str) -> str:
    """`100 labels`."""
    return f"{asked} labels"


def shown(interval: Interval) -> str:
    """`.83 [.80, .85]`."""
    if math.isnan(interval.value):
        return "-"
    if math.isnan(interval.low):
        return number(interval.value)
    return f"{number(interval.value)} [{number(interval.low)}, {number(interval.high)}]"


def difference(interval: Interval, rival: str = "") -> Cell:
    """`+.05 [+.02, +.08]`, marked better or worse where it is clear of 0, and a tie elsewhere."""
    if math.isnan(interval.value):
        return Cell("-", note=rival)
    mark = TIED if not interval.clear else BETTER if interval.value > 0 else WORSE
    if math.isnan(interval.low):
        return Cell(number(interval.value, "+"), TIED, rival)
    bounds = f"[{number(interval.low, '+')}, {number(interval.high, '+')}]"
    return Cell(f"{number(interval.value, '+')} {bounds}", mark, rival)


def number(value: float, sign: str = "") -> str:
    """Two decimals without the leading zero: `.83`, `-.07`, `+.05`, `1.00`."""
    return f"{value:{sign}.2f}".replace("0.", ".", 1) if abs(value) < 0.995 else f"{value:{sign}.2f}"


def scored(found: Benchmark, key: Key, family: str) -> Cell:
    """A family's score under one hold-out and label count."""
    score = found.scores.get((key, family))
    if score is None:
        return Cell("-")
    note = f"never taught: {', '.join(score.absent)}" if score.absent else ""
    return Cell(shown(score.interval), "best" if family in found.ties[key] else "", note)
