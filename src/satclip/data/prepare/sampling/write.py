"""The whole job: numbers dealt to threads, patches kept as they come, shards written when all are there."""

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from satclip.data.prepare.rewrite_shards import MANIFEST, PLAN, Rewriting, begin, rewrite
from satclip.data.prepare.sampling.place import Found, Sampling, find
from satclip.data.prepare.sampling.stage import SAMPLE, SUFFIX, Stage, write_about
from satclip.data.prepare.sampling.trouble import UnreachableError
from satclip.data.sources.folder import Folder

log = logging.getLogger(__name__)
HOPELESS = 20  # numbers without a patch and none with one: something is wrong with what was asked
UNANSWERED = 10  # numbers in a row that no server answered


def sample(what: Sampling, count: int, target: Path, *, threads: int = 8, per_shard: int = 1000) -> dict[str, Any]:
    """Write `count` patches to the new folder `target`; returns the counts.

    What is fetched lies in `target` with `.sampled` behind its name until its shards are written; another call with the
    same arguments resumes there, and comes to the very same patches as one that was never interrupted. `count` may
    grow meanwhile: the patches before are the same.

    Raises:
        FileExistsError: `target` is there already.
        ValueError: the folder was begun with other arguments, the catalogue lacks what was asked for, or there is
            nothing to be had.
        UnreachableError: servers did not answer for some patches, which another call fetches.
    """
    folder = target.with_name(f"{target.name}{SUFFIX}")
    written = (target / MANIFEST).exists() and (folder / PLAN).exists()  # stopped before its last step
    if target.exists() and not written:
        raise FileExistsError(f"{target} is there already; choose another folder or remove it")
    folder.mkdir(parents=True, exist_ok=True)
    begin(folder, plan(what))
    stage = Stage(folder)
    if not written:
        _fetch(what, count, stage, threads)
        patches = stage.patches(count)
        source = Folder(stage.images)
        rows = [row for row, name in enumerate(source.names) if name in patches]
        lonlat = torch.full((len(source.names), 2), torch.nan, dtype=torch.float64)
        for row in rows:
            lonlat[row] = torch.tensor(patches[source.names[row]]["place"], dtype=torch.float64)
        how = Rewriting({"kind": "none"}, list(what.sensor.bands), what.seed, per_shard)
        none_held_out = torch.zeros(len(rows), dtype=torch.bool)
        rewrite(source, lonlat, torch.tensor(rows), none_held_out, target, how, threads, max_bad_fraction=0.0)
    else:
        count = int(json.loads((target / MANIFEST).read_text())["patches"]) + stage.summary(count)["without_patch"]
    summary = stage.summary(count)
    write_about(target, stage.patches(count), {"plan": plan(what), **summary})
    log.info("the scene of each patch is in scenes.csv, all counts in %s", target / SAMPLE)
    shutil.rmtree(folder)
    return summary


def plan(what: Sampling) -> dict[str, Any]:
    """All that decides which patches come out."""
    return {
        "catalogue": what.catalogue.url,
        "sensor": asdict(what.sensor),
        "area": what.area.digest(),
        "dates": [str(what.days.first), str(what.days.last)],
        "months": sorted(what.days.months),
        "seasons": sorted(what.days.seasons),
        **{key: getattr(what, key) for key in ("seed", "size", "max_cloud", "max_nodata", "places", "scenes")},
    }


def _fetch(what: Sampling, count: int, stage: Stage, threads: int) -> None:
    """Find the patch of every number that is not known yet."""
    left = [number for number in range(count) if number not in stage.records]
    if not left:
        return
    what.catalogue.check()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    lost: list[str] = []
    in_a_row, without = 0, stage.summary(count)["without_patch"]
    with Progress(*columns, TimeRemainingColumn(), transient=True) as progress:
        bar = progress.add_task("Fetching patches", total=count, completed=count - len(left))
        for number, outcome in _outcomes(left, what, threads):
            if isinstance(outcome, UnreachableError):
                log.warning("patch %d is left for another call: %s", number, outcome)
                lost, in_a_row = [*lost, str(outcome)], in_a_row + 1
                if in_a_row == UNANSWERED:
                    raise _unanswered(f"nothing was answered for {in_a_row} patches in a row", outcome, stage)
                continue
            in_a_row = 0
            stage.add(number, outcome)
            progress.advance(bar)
            without += outcome.data is None
            if without == len(stage.records) >= min(HOPELESS, count):
                raise _hopeless(stage.summary(count), stage)
            words = f"{without} without, {len(lost)} unanswered"
            progress.update(bar, description=f"Fetching patches ({words})")
    if lost:
        raise _unanswered(f"{len(lost)} of {count} patches could not be fetched", UnreachableError(lost[0]), stage)


def _hopeless(counts: dict[str, Any], stage: Stage) -> ValueError:
    return ValueError(
        f"not one patch at {counts['places_tried']} places ({_in_words(counts['rejected'])}); look at --area and "
        f"--sensor, widen --dates, --months or --max-cloud, and remove {stage.folder}"
    )


def _unanswered(what: str, error: Exception, stage: Stage) -> UnreachableError:
    return UnreachableError(
        f"{what} ({error}); {len(stage.records)} are kept in {stage.folder}, the same command resumes with the rest"
    )


def _outcomes(numbers: Sequence[int], what: Sampling, threads: int) -> Iterator[tuple[int, Found | UnreachableError]]:
    """Numbers and what came of them, as it comes; no more are begun than threads can take."""
    queue = iter(numbers)
    pool = ThreadPoolExecutor(threads)
    running: dict[Future[Found], int] = {}
    try:
        while True:
            for number in islice(queue, 2 * threads - len(running)):
                running[pool.submit(find, number, what)] = number
            if not running:
                return
            for work in wait(running, return_when=FIRST_COMPLETED).done:
                number = running.pop(work)
                try:
                    outcome: Found | UnreachableError = work.result()
                except UnreachableError as error:
                    outcome = error
                yield number, outcome
    finally:
        pool.shutdown(cancel_futures=True)


def _in_words(reasons: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "for no reason"
