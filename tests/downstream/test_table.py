"""A table reads the same in every form."""

import csv
import io
import json
from pathlib import Path

from rich.console import Console

from satclip.downstream.table import Table

TABLE = Table(
    "Scores",
    ("split", "features", "numbers", "R2"),
    (("random", "ours", 1600, 0.123456), ("block", "ours", 1600, -12.5)),
)


def test_markdown_is_a_table_with_its_numbers_to_the_right() -> None:
    assert TABLE.markdown().splitlines() == [
        "**Scores**",
        "",
        "| split | features | numbers | R2 |",
        "| --- | --- | ---: | ---: |",
        "| random | ours | 1,600 | 0.123 |",
        "| block | ours | 1,600 | -12 |",
    ]


def test_files_keep_what_the_eye_does_not_see(tmp_path: Path) -> None:
    TABLE.save(tmp_path / "new", "scores")
    with (tmp_path / "new" / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["R2"]) == 0.123456
    assert json.loads((tmp_path / "new" / "scores.json").read_text())[1] == {
        "split": "block",
        "features": "ours",
        "numbers": 1600,
        "R2": -12.5,
    }
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["scores.csv", "scores.json", "scores.md"]


def test_the_terminal_shows_every_cell() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(TABLE.rich())
    shown = console.export_text()
    for text in ("Scores", "features", "1,600", "0.123", "-12"):
        assert text in shown
