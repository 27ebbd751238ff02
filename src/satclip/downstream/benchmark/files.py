"""A benchmark as a folder: the page, the same in Markdown, every fit and every cell of the tables as CSV."""

import csv
import logging
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from satclip.downstream.benchmark.markdown import compact, document
from satclip.downstream.benchmark.run import Benchmark
from satclip.downstream.table import Table
from satclip.files import atomic_file

log = logging.getLogger(__name__)
RECORDS, HEAD = "records.csv", "task,encoder,seen,probe,"  # by which an older report is known, and then replaced
NAMES = ("report.html", "report.md", "records.csv", "summary.csv", "table.md")


def check_folder(folder: Path) -> None:
    """Refuse, before any work is done, a folder that a report cannot be written into.

    Raises:
        ValueError: it cannot be made or written to, or holds a file of somebody else's under a name of the report.
    """
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ValueError(f"{there} is a file, so there can be no folder {folder}; name another")
    if not os.access(there, os.W_OK):
        raise ValueError(f"{there} cannot be written to; name a folder elsewhere")
    taken = [name for name in NAMES if (folder / name).exists()]
    if taken and not _is_report(folder / RECORDS):
        raise ValueError(
            f"{folder} holds {', '.join(taken)}, not of a report, which would be lost; name another folder"
        )


def save(
    found: Benchmark,
    folder: Path,
    *,
    beside: Sequence[Table] = (),
    pictures: Mapping[str, Path] = MappingProxyType({}),
    watch: Callable[[Path], None] = lambda path: None,
) -> tuple[Path, ...]:
    """Write report.html, report.md, records.csv, summary.csv and table.md, each whole or not at all.

    Returns what was written, and tells `watch` each file as soon as it is whole. table.md is the one table that a
    README shows.

    Where matplotlib or the outlines of the land are not installed, a warning names them and the page is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []

    def keep(path: Path) -> None:
        written.append(path)
        watch(path)

    # That by which a report is known comes first: what is stopped between two files is replaced the next time.
    keep(_csv(folder / RECORDS, (record.flat() for record in found.results.records)))
    keep(_text(folder / "report.md", document(found, beside)))
    keep(_csv(folder / "summary.csv", summary(found)))
    keep(_text(folder / "table.md", compact(found) + "\n"))
    try:
        from satclip.downstream.benchmark.page import page  # matplotlib is of another extra

        keep(_text(folder / "report.html", page(found, beside=beside, pictures=pictures)))
    except ModuleNotFoundError as error:
        log.warning("no report.html: it needs %s: pip install 'satclip[evaluate,cli]'", error.name)
    return tuple(sorted(written, key=lambda path: NAMES.index(path.name)))


def summary(found: Benchmark) -> Iterable[dict[str, object]]:
    """One line for each cell of the score table, with the paired differences of what was asked about."""
    gains = {subject: found.gains(subject) for subject in found.subjects}
    distilled = {subject: found.distilled(subject) for subject in found.subjects}
    for (key, family), scored in found.scores.items():
        plain, rival = gains.get(family, {}).get(key, (None, None))
        line: dict[str, object] = {"task": key[0], "holdout": key[1], "asked": key[2], "row": family}
        line |= {"pretraining": found.setting_of(family, key[1]), "seen": scored.seen, "metric": scored.metric}
        line |= {"score": scored.interval.value, "low": scored.interval.low, "high": scored.interval.high}
        line |= {"draws": scored.interval.draws, "seeds": scored.interval.seeds, "macro_f1": scored.macro_f1}
        line |= {"inner_score": scored.inner_score, "edges": scored.edges, "best_or_tied": family in found.ties[key]}
        for name, gain in (("untrained", plain), ("best_rival", rival)):
            value = None if gain is None else gain.interval
            line |= {
                f"over_{name}": "" if value is None else value.value,
                f"over_{name}_low": "" if value is None else value.low,
                f"over_{name}_high": "" if value is None else value.high,
            }
        share = distilled.get(family, {}).get(key)
        line |= {"distilled": "" if share is None or math.isnan(share.share) else share.share}
        yield {**line, "best_rival": "" if rival is None else rival.rival, "absent": " | ".join(scored.absent)}


def _is_report(records: Path) -> bool:
    """Whether this is the table of fits of a benchmark."""
    if not records.is_file():
        return False
    with records.open("rb") as file:
        return file.read(len(HEAD)) == HEAD.encode()


def _text(path: Path, text: str) -> Path:
    with atomic_file(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def _csv(path: Path, lines: Iterable[Mapping[str, object]]) -> Path:
    rows = list(lines)
    with atomic_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
