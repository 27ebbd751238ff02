"""Runs side by side as summary.md, .csv and .png: what differs, what came of it, mean and spread over seeds."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from satclip.downstream.benchmark.markdown import table
from satclip.runs.reports.options import NONE, SEED, Setting, brief, differing, settings
from satclip.runs.reports.record import FINISHED, STATES, Record
from satclip.runs.reports.scoring import best_setting, better, figure_called, figures_of, headline, main_score, shown

SHORT = {
    "val/loss": "val/loss",
    "retrieval/image_to_location/top10": "retrieval top10",
    "retrieval/image_to_location/median_km": "retrieval, km",
    "val/image_to_location/top10": "val top10",
    "val/image_to_location/median_km": "val, km",
    "probe/mean": "probes, mean",
    "gain/mean": "gain over untrained",
}


@dataclass(frozen=True)
class Comparison:
    """Some runs, and what is to be said of them.

    Attributes:
        records: all of them, missing ones too.
        names: the options that differ, the seed last.
        settings: runs that differ by the seed alone, together, the best first.
        score: the figure by which they are ordered, and why it is this one.
    """

    records: tuple[Record, ...]
    names: tuple[str, ...]
    settings: tuple[Setting, ...]
    score: tuple[str, str]

    @property
    def varied(self) -> tuple[str, ...]:
        """The options that differ, without the seed."""
        return tuple(name for name in self.names if name != SEED)

    def best(self) -> Setting | None:
        """The best setting."""
        return best_setting(self.settings, self.score[0])

    def counts(self) -> str:
        """`6 finished, 1 failed`."""
        states = [each.state for each in self.records]
        return ", ".join(f"{states.count(state)} {state}" for state in STATES if state in states)


def compared(records: Sequence[Record], score: str | None = None) -> Comparison:
    """Put runs side by side.

    Args:
        records: the runs.
        score: the figure to order by, without `best/`; None for the one that fits.

    Raises:
        ValueError: no run has that figure.
    """
    names = differing(records)
    chosen = main_score(records, names) if score is None else (figure_called(score, records), "as asked for")

    def order(each: Setting) -> float:
        mean = each.spread(chosen[0])[0]
        return math.inf if math.isnan(mean) else -better(chosen[0]) * mean

    return Comparison(tuple(records), tuple(names), tuple(sorted(settings(records, names), key=order)), chosen)


def columns(found: Comparison) -> list[str]:
    """The figures of the table: the headline, the score first where it is not among them."""
    head = headline(found.records)
    return head if found.score[0] in head or not head else [found.score[0], *head]


def rows(found: Comparison) -> tuple[list[str], list[list[str]]]:
    """Head and lines of the table: a line a setting, `mean ± standard deviation` over its seeds."""
    figures = columns(found)
    head = [*found.varied, "runs", *(SHORT.get(name, name) for name in figures)]
    lines = []
    for each in found.settings:
        done = sum(run.state == FINISHED for run in each.runs)
        runs = str(done) if done == len(each.runs) else f"{done} of {len(each.runs)} finished"
        lines.append([*map(brief, each.options), runs, *(spread_text(each, name) for name in figures)])
    return head, lines


def spread_text(setting: Setting, name: str) -> str:
    """`0.163 ± 0.002`; without a spread where there is one run."""
    mean, spread, count = setting.spread(name)
    if not count:
        return NONE
    done = sum(each.state == FINISHED for each in setting.runs)
    of = f" ({count} of {done}, else NaN or missing)" if count < done else ""
    return shown(mean, name) + spread_shown(spread) + of


def spread_shown(spread: float) -> str:
    """` ± 0.002`, ` ± 614`; nothing where there is one run."""
    return "" if math.isnan(spread) else f" ± {spread:.2g}" if spread < 99.5 else f" ± {spread:,.0f}"


def markdown(found: Comparison) -> str:
    """summary.md."""
    name, why = found.score
    head, lines = rows(found)
    many = f"{len(found.records)} runs ({found.counts()}) of {len(found.settings)} settings"
    what = f"{many}, the best first by {name}: {why}."
    parts = ["# Runs side by side", what]
    parts.append("Only the options that differ are columns. Figures are of each run's best weights: mean ± standard "
                 "deviation over runs that differ by nothing but their seed.")  # fmt: skip
    parts.append(table([_cell(each) for each in head], [[_cell(each) for each in line] for line in lines]))
    best = found.best()
    if best is not None:
        parts.append(f"The best setting again:\n\n```sh\n{best.runs[0].command}\n```")
    wrong = [each for each in found.records if each.state != FINISHED or each.note]
    if wrong:
        parts.append(
            "\n".join(
                f"- {_cell(each.name)}: {each.state}{f', {_cell(each.note)}' if each.note else ''}" for each in wrong
            )
        )
    return "\n\n".join(parts) + "\n"


def csv_text(found: Comparison) -> str:
    """summary.csv: a line a run, every figure unrounded."""
    figures = figures_of(found.records)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", "state", *found.names, "best/epoch", *(f"best/{name}" for name in figures), "folder"])
    for each in found.records:
        options = [each.option(name) or "" for name in found.names]
        values = [each.figure(name) for name in ("epoch", *figures)]
        numbers = ["" if value is None else repr(value) for value in values]
        writer.writerow([each.name, each.state, *options, *numbers, str(each.folder)])
    return text.getvalue()


def _cell(text: str) -> str:
    """In one line, and no mark of Markdown: a name may be anything."""
    return " ".join(text.split()).replace("<", "&lt;").replace("`", "'")
