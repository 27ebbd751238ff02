"""A run that only W&B has written, offline: its config and its figures, out of the file that `wandb sync` would send.

The file is a log in the form of LevelDB (https://github.com/google/leveldb/blob/main/doc/log_format.md), behind a head
of seven bytes; each of its entries is a message of W&B's own protocol.
"""

import json
import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from satclip.optional_import import optional
from satclip.runs.reports.read import DRAWN, flat, thinned
from satclip.runs.reports.record import FINISHED, STOPPED, Record

BLOCK, HEAD, FILE_HEAD = 32768, 7, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def is_offline_run(folder: Path) -> bool:
    """Whether W&B has written a run to this very folder."""
    return folder.name.startswith(("offline-run-", "run-")) and any(folder.glob("run-*.wandb"))


def read_offline_run(folder: Path, name: str) -> Record:
    """Its record; what was cut off at the end of the file is left out."""
    messages = optional("wandb.proto.wandb_internal_pb2")
    if messages is None:
        return Record(name, folder, STOPPED, "a W&B run: reading it needs pip install wandb")
    config: dict[str, Any] = {}
    figures: dict[str, float] = {}
    points: dict[str, list[tuple[float, float]]] = defaultdict(list)
    ended = False
    for content in entries(next(folder.glob("run-*.wandb"))):
        message = messages.Record()
        message.ParseFromString(content)
        ended = ended or message.HasField("exit")
        for part in (message.run.config, message.config):
            config |= {each.key or "/".join(each.nested_key): json.loads(each.value_json) for each in part.update}
        row = {each.key or "/".join(each.nested_key): each.value_json for each in message.history.item}
        values = {key: json.loads(text) for key, text in row.items()}
        step = values.get("trainer/global_step", message.history.step.num)
        for key, value in values.items():
            if isinstance(value, (int, float)) and not key.startswith(("_", "trainer/")):
                figures[key] = float(value)
                if key.startswith(DRAWN):
                    points[key].append((float(step), float(value)))
    plain = {key: value for key, value in config.items() if not key.startswith("_") and key != "output_dir"}
    return Record(
        name, folder, FINISHED if ended else STOPPED, "" if ended else "W&B has not seen its end",
        config=dict(flat(plain)), figures=figures, curves={key: thinned(each) for key, each in points.items()},
    )  # fmt: skip


def entries(path: Path) -> Iterator[bytes]:
    """The whole entries of the log."""
    content, at, begun = path.read_bytes(), FILE_HEAD, b""
    while at + HEAD <= len(content):
        room = BLOCK - at % BLOCK
        if room < HEAD:
            at += room
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        piece = content[at + HEAD : at + HEAD + length]
        if len(piece) < length or kind not in (FULL, FIRST, MIDDLE, LAST):
            return
        at += HEAD + length
        begun = piece if kind in (FULL, FIRST) else begun + piece
        if kind in (FULL, LAST):
            yield begun
