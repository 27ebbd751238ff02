"""A small table that can be shown and saved."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table as RichTable

from satclip.files import atomic_file

Cell = str | int | float


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers under named columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def rich(self) -> RichTable:
        """For the terminal, numbers to the right."""
        table = RichTable(title=self.title, title_justify="left")
        for column, cell in zip(self.columns, self.rows[0], strict=True):
            words = isinstance(cell, str)  # kept on one line: a heading over numbers is wrapped first
            table.add_column(column, justify="left" if words else "right", no_wrap=words)
        grouped = len({row[0] for row in self.rows}) < len(self.rows)
        for row, after in zip(self.rows, (*self.rows[1:], self.rows[-1]), strict=True):
            table.add_row(*map(_shown, row), end_section=grouped and row[0] != after[0])
        return table

    def markdown(self) -> str:
        """For a README."""
        rule = ["---" if isinstance(cell, str) else "---:" for cell in self.rows[0]]
        lines = [self.columns, rule, *self.texts()]
        return f"**{self.title}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"

    def texts(self) -> list[list[str]]:
        """Every cell as it is shown."""
        return [[_shown(cell) for cell in row] for row in self.rows]

    def csv(self) -> str:
        """For a spreadsheet, unrounded."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.columns, *self.rows])
        return text.getvalue()

    def json(self) -> str:
        """For a program, unrounded: a list of one object per row."""
        return json.dumps([dict(zip(self.columns, row, strict=True)) for row in self.rows], indent=1) + "\n"

    def save(self, folder: Path, name: str) -> None:
        """Write `name`.md, .csv and .json into `folder`, which is made if missing."""
        folder.mkdir(parents=True, exist_ok=True)
        for ending, text in (("md", self.markdown()), ("csv", self.csv()), ("json", self.json())):
            with atomic_file(folder / f"{name}.{ending}") as part:
                part.write_text(text, encoding="utf-8")


def _shown(cell: Cell) -> str:
    """Fractions with three decimals, distances whole."""
    if isinstance(cell, float):
        return f"{cell:.3f}" if abs(cell) < 10 else f"{cell:,.0f}"
    return f"{cell:,}" if isinstance(cell, int) else cell
