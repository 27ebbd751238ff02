"""What was fetched so far: patches as files and a line about each, so that a call that was killed loses nothing."""

import csv
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from satclip.data.prepare.sampling.place import Found
from satclip.files import atomic_file, clear_leftovers

SUFFIX = ".sampled"  # behind the name of the data set, until its shards are written
FOUND, SCENES, SAMPLE = "found.jsonl", "scenes.csv", "sample.json"
Record = dict[str, Any]


def patch_file(number: int) -> str:
    """The name of a patch."""
    return f"patch_{number:06d}.tif"


class Stage:
    """The folder where patches wait for all of them to be there.

    Attributes:
        records: what came of each number: place [longitude, latitude], places tried, reasons, and of a patch its scene.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.images = folder, folder / "images"
        self.images.mkdir(parents=True, exist_ok=True)
        clear_leftovers(self.images)
        self.records: dict[int, Record] = {}
        self._log = folder / FOUND
        text = self._log.read_text(encoding="utf-8") if self._log.exists() else ""
        for line in text.splitlines():
            try:
                record = json.loads(line)
            except ValueError:  # torn by a kill: its place is looked at again, and comes out the same
                continue
            if record["scene"] is None or (self.images / patch_file(record["number"])).exists():
                self.records[record["number"]] = record
        if text and not text.endswith("\n"):
            self._append("\n")

    def add(self, number: int, found: Found) -> None:
        """Keep what came of a number: first the patch, whole or not at all, then the line that says so."""
        if found.data is not None:
            with atomic_file(self.images / patch_file(number)) as file:
                file.write_bytes(found.data)
        record = {
            "number": number, "place": list(found.place), "tried": found.tried, "reasons": found.reasons,
            "scene": found.scene or None,
        }  # fmt: skip
        self._append(json.dumps(record) + "\n")
        self.records[number] = record

    def _append(self, text: str) -> None:
        with self._log.open("a", encoding="utf-8") as file:
            file.write(text)

    def patches(self, count: int) -> dict[str, Record]:
        """By name, in order, the patches of the numbers below `count`."""
        return {
            patch_file(number): record
            for number, record in sorted(self.records.items())
            if number < count and record["scene"] is not None
        }

    def summary(self, count: int) -> Record:
        """Counts over the numbers below `count`; what went in is what came out."""
        chosen = [record for number, record in self.records.items() if number < count]
        reasons: Counter[str] = Counter()
        for record in chosen:
            reasons.update(record["reasons"])
        patches = sum(record["scene"] is not None for record in chosen)
        return {
            "asked": count,
            "patches": patches,
            "without_patch": len(chosen) - patches,
            "not_fetched": count - len(chosen),
            "places_tried": sum(record["tried"] for record in chosen),
            "rejected": dict(reasons.most_common()),
        }


def write_about(root: Path, patches: Mapping[str, Record], sample: Record) -> None:
    """Beside the shards: the scene of each patch as a table, and what was asked and rejected as JSON."""
    with atomic_file(root / SCENES) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("fn", "lon", "lat", "scene", "datetime", "cloud", "nodata"))
        for name, record in patches.items():
            scene = record["scene"]
            writer.writerow((name, *record["place"], *(scene[key] for key in ("scene", "datetime", "cloud", "nodata"))))
    with atomic_file(root / SAMPLE) as path:
        path.write_text(json.dumps(sample, indent=1))
