"""What a check of a data set found, in words and as JSON."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Every kind of trouble, in the order in which the report tells of it.
TROUBLES = {
    "nothing": "data sets without a single usable patch",
    "shard": "shards that cannot be read",
    "checksum": "shards whose checksum is not that in manifest.json",
    "index beside": "shards whose index beside them is wrong",
    "missing": "rows of index.csv without a patch",
    "unlisted": "patches without a row in index.csv",
    "unplaced": "patches without a place",
    "unreadable": "patches that cannot be read",
    "bands": "patches with another number of bands",
    "dtype": "patches of a type that is not trained on",
    "scaled": "patches whose tags scale their values",
    "form": "patches of another size or type than most",
    "empty": "patches of nothing but zeros or nodata",
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
    overlap: dict[str, float | str] = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not any(self.troubles.values())

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        found = {kind: self.troubles[kind] for kind in TROUBLES if self.troubles.get(kind)}
        plain = ("patches", "shards", "notes", "bands", "forms", "farthest", "at_sea", "overlap")
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
