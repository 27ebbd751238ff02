"""The tables as Markdown."""

from collections.abc import Sequence

from satclip.downstream.benchmark import tables, words
from satclip.downstream.benchmark.clustering import bias_grid
from satclip.downstream.benchmark.run import Benchmark
from satclip.downstream.benchmark.tables import Cell, Grid
from satclip.downstream.table import Table

HEADLINE = (
    "encoder",
    "pretraining",
    "task",
    "hold-out",
    "labels",
    "score",
    "gain over untrained",
    "gain over the best rival",
    "best rival",
)


def headline(found: Benchmark) -> str:
    """The table that stands first."""
    lines = [
        (*names, f"{score.text} {score.note}", _marked(over), _marked(best), best.note)
        for *names, score, over, best in tables.gain_lines(found)
    ]
    return table(HEADLINE, lines)


def document(found: Benchmark, beside: Sequence[Table] = ()) -> str:
    """Everything that can be said in text; further tables stand after the headline."""
    parts = [f"# {words.title(found)}", words.protocol(found), words.READING, headline(found)]
    parts.append("\n".join(f"- {word}: {meaning}" for word, meaning in words.settings(found)))
    parts.append("\n".join(f"- {text}" for text in words.holdouts(found)))
    parts += [each.markdown().rstrip() for each in beside]
    if (ceiling := tables.ceiling_grid(found)) is not None:
        parts += [grid(ceiling, ("encoder", "task, hold-out, labels")), words.CEILING]
    parts += [grid(tables.score_grid(found, task)) for task in found.tasks]
    biases = [grid(made) for task in found.tasks if (made := bias_grid(found, task)) is not None]
    parts += [*biases, words.GEO_BIAS] if biases else []
    if found.skipped:
        parts.append("## Skipped\n\n" + "\n".join(f"- {line}" for line in found.skipped))
    return "\n\n".join(parts) + "\n"


def compact(found: Benchmark) -> str:
    """The table of a README: the best of each line and its ties are bold."""
    heads, lines = tables.compact(found)
    return table(heads, [(*names, *map(_bold, scores), _marked(gain)) for names, scores, gain in lines])


def grid(made: Grid, heads: tuple[str, str] = ("row", "pretraining")) -> str:
    """A section with one table; what is best or tied with it is bold."""
    lines = [(name, setting, *(_bold(cell) for cell in cells)) for name, setting, cells in made.rows]
    return f"## {made.title}\n\n{table((*heads, *made.columns), lines)}"


def table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    rows = [columns, ["---"] * len(columns), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def _bold(cell: Cell) -> str:
    return f"**{cell.text}**" if cell.mark == "best" else cell.text


def _marked(cell: Cell) -> str:
    return (
        f"**{cell.text}**" if cell.mark == tables.BETTER else f"{cell.text} ({cell.mark})" if cell.mark else cell.text
    )
