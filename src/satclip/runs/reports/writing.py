"""Writing the pages: for `satclip report` and `satclip compare`, at the end of a run, and at the end of a multirun."""

import atexit
import logging
from collections.abc import Sequence
from pathlib import Path

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from satclip import launch_environment
from satclip.files import atomic_file
from satclip.plots.world import save as save_picture
from satclip.runs.reports import charts, compare, run_page, sweep_page
from satclip.runs.reports.compare import Comparison, compared
from satclip.runs.reports.find import is_sweep, records
from satclip.runs.reports.read import is_run
from satclip.runs.reports.record import FINISHED

log = logging.getLogger(__name__)
PAGES = 24  # of runs that have none, each half a second
ELSEWHERE = Path("report")  # in the current folder, where several folders were given


def target_of(folders: Sequence[Path], output: Path | None) -> Path:
    """The folder that pages go to: the one asked for, that of the one sweep, or `report` in the current folder."""
    if output is not None:
        return output
    return folders[0] if len(folders) == 1 and is_sweep(folders[0]) else ELSEWHERE


def write_report(folders: Sequence[Path], output: Path | None = None, score: str | None = None) -> list[Path]:
    """The page of these runs, its pictures, and the pages of the best finished runs that have none yet; it comes first.

    Raises:
        OSError: there is no run, or the target cannot be written.
        ValueError: no run has the figure `score`.
    """
    found, target = compared(records(folders), score), target_of(folders, output)
    ordered = (run for setting in found.settings for run in setting.runs if run.state == FINISHED)
    bare = [each.folder for each in ordered if is_run(each.folder) and not (each.folder / run_page.PAGE).exists()]
    for folder in bare[:PAGES]:
        write_run_page(folder)
    if len(bare) > PAGES:
        log.warning("%d runs have no page of their own; the best %d of them get one now", len(bare), PAGES)
    title = ", ".join(folder.absolute().name for folder in folders[:4]) + (", ..." if len(folders) > 4 else "")
    names = {run.config["name"] for run in found.records if "name" in run.config}
    title = f"{names.pop()}, {title}" if len(names) == 1 else title
    return sweep_page.save(found, target, f"{title}: {len(found.records):,} runs")


def write_summary(found: Comparison, folder: Path) -> list[Path]:
    """Write summary.md, summary.csv and summary.png; returns them.

    Raises:
        OSError: they cannot be written there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in (("summary.md", compare.markdown(found)), ("summary.csv", compare.csv_text(found))):
        with atomic_file(folder / name) as part:
            part.write_text(text, encoding="utf-8", errors="surrogateescape")
        written.append(folder / name)
    picture = charts.overview(found)
    return [*written, *([] if picture is None else [save_picture(picture, folder / "summary.png")])]


def write_run_page(folder: Path) -> Path | None:
    """The page of one run; None, with a warning, where it cannot be written."""
    try:
        return run_page.save(folder)
    except OSError as error:
        log.warning("no %s: %s", run_page.PAGE, error)
        return None


class WriteReport(Callback):
    """Writes the report and the summary of a multirun at its end, failed jobs or not, and says where.

    Hydra does not say that a sweep has ended where one of its jobs failed: then it happens when the process ends.
    """

    def __init__(self) -> None:
        self._config: DictConfig | None = None

    def on_multirun_start(self, config: DictConfig, **_: object) -> None:
        """Note where it will be."""
        if launch_environment.rank() == 0:
            self._config = config
            atexit.register(self._write)

    def on_multirun_end(self, config: DictConfig, **_: object) -> None:
        """Write it."""
        if launch_environment.rank() == 0:
            self._write()
            atexit.unregister(self._write)

    def _write(self) -> None:
        assert self._config is not None
        folder = Path(self._config.hydra.sweep.dir)
        if not any(folder.glob("*/job.json")):
            return  # no job has begun
        try:
            found = compared(records([folder]))
            written = [*write_summary(found, folder), write_report([folder])[0]]
        except (OSError, ValueError, ModuleNotFoundError) as error:
            log.warning("no report of this sweep: %s; `satclip report %s` tries again", error, folder)
            return
        log.info("the runs of this sweep side by side (%s): %s", found.counts(), written[-1])
        log.info("in short: %s", written[0])
