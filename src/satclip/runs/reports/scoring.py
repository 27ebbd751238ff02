"""Which figure says how good a run is, and which settings are best by it."""

import math
from collections.abc import Sequence
from difflib import get_close_matches

from satclip.runs.reports.options import Setting
from satclip.runs.reports.record import Record
from satclip.runs.units import unit_of

LOSS, PROBES, GAIN = "val/loss", "probe/mean", "gain/mean"
TOP10, FAR = "image_to_location/top10", "image_to_location/median_km"
# Of a run in one line; retrieval as the report has it, or as the last validation.
HEADLINE = (LOSS, f"retrieval/{TOP10}", f"retrieval/{FAR}", f"val/{TOP10}", f"val/{FAR}", PROBES, GAIN)
CHANGES_THE_LOSS = ("loss", "loss.", "dataset.batch_size", "temperature", "embedding_dim", "vision", "dataset")


def figures_of(records: Sequence[Record]) -> list[str]:
    """The figures, without `best/`, that some run has: the headline first, then the others in their order."""
    names = dict.fromkeys(key.removeprefix("best/").removeprefix("last/") for each in records for key in each.figures)
    wanted = [
        name for name in names if name.startswith(("val/", "retrieval/", "probe/", "gain/")) and "chance" not in name
    ]
    head = [name for name in HEADLINE if name in wanted]
    return [*head, *(name for name in wanted if name not in head)]


def figure_called(name: str, records: Sequence[Record]) -> str:
    """The figure of that name, which may begin with `best/`.

    Raises:
        ValueError: no run has it; says which are much like it, and all there are.
    """
    known, plain = figures_of(records), name.removeprefix("best/")
    if plain in known:
        return plain
    if not known:
        raise ValueError(f"no run has a figure yet, so none is called {name}; drop --by, or wait for a validation")
    parts = plain.split("/")
    near = [each for each in known if set(parts) <= {"last", *each.split("/")}]  # val/top10: something left out
    near = near or get_close_matches(plain, known, n=3)
    guess = f"did you mean {' or '.join(near[:3])}? " if near else ""
    raise ValueError(f"no run has the figure {plain}; {guess}there are {', '.join(known)}")


def headline(records: Sequence[Record]) -> list[str]:
    """Those of the headline that are there, retrieval once."""
    there = [name for name in figures_of(records) if name in HEADLINE]
    reported = any(name.startswith("retrieval/") for name in there)
    return [name for name in there if not (reported and name.startswith("val/image"))]


def main_score(records: Sequence[Record], names: Sequence[str]) -> tuple[str, str]:
    """The figure to order by, and why: val/loss, unless what differs makes losses incomparable.

    Then the probes themselves and not their gain: an untrained network of a high L is poor, so that the gain may be
    largest where the score is lowest. Where runs share their untrained network, both have one order.
    """
    there = headline(records)
    asked = {each.config.get("optimized_metric", "").removeprefix("best/") for each in records} - {"", LOSS}
    if len(asked) == 1 and (name := asked.pop()) in figures_of(records):
        return name, "as optimized_metric says"
    culprit = next((name for name in names if name.startswith(CHANGES_THE_LOSS)), None)
    if culprit is None and LOSS in there:
        return LOSS, "the loss at the best validation"
    other = next((name for name in (PROBES, GAIN, f"retrieval/{TOP10}", f"val/{TOP10}", LOSS) if name in there), LOSS)
    why = f"losses are not comparable where {culprit} differs" if culprit and other != LOSS else "what there is"
    return other, why


def better(name: str) -> int:
    """1 where higher is better, -1 where lower is."""
    return -1 if unit_of(name).better == "lower" else 1


def best_setting(found: Sequence[Setting], name: str) -> Setting | None:
    """The best by the mean over its seeds; None where none has the figure."""
    means = [(better(name) * each.spread(name)[0], -number) for number, each in enumerate(found)]
    known = [each for each in means if not math.isnan(each[0])]
    return found[-max(known)[1]] if known else None


def shown(value: float | None, name: str = "") -> str:
    """A figure as a person reads it: three digits, kilometres whole, those below ten with one decimal."""
    if value is None:
        return "–"
    if math.isnan(value):
        return "NaN"
    if unit_of(name).unit == "km":
        return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.1f}"
    if name == "gain/mean" or name.startswith("gain/"):
        return f"{value:+.3f}"
    return f"{value:.4g}" if abs(value) >= 1 or abs(value) < 1e-3 else f"{value:.3f}"
