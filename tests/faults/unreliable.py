"""A data set some of whose samples come late, broken or not at all."""

import time
from dataclasses import dataclass, replace
from typing import Any

from satclip.data.blue_marble_datamodule import BlueMarbleDataModule
from satclip.data.sources.protocol import Source

BROKEN, MISSING, LATE = 0, 1, 2  # of every hundred


@dataclass
class Unreliable:
    """A source of which one in a hundred rows is cut short, one is empty and one takes its time."""

    source: Source

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "source":
            raise AttributeError(name)
        return getattr(self.source, name)

    def read(self, row: int) -> bytes:
        data = self.source.read(row)
        if row % 100 == BROKEN:
            return data[: len(data) // 2]
        if row % 100 == MISSING:
            return b""
        if row % 100 == LATE:
            time.sleep(0.05)
        return data


class UnreliableBlueMarble(BlueMarbleDataModule):
    """Blue Marble from such a source."""

    def setup(self, stage: str | None = None) -> None:
        super().setup(stage)
        self._collection = replace(self.collection, source=Unreliable(self.collection.source))
