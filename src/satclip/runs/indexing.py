"""From a finished run to the store of its training patches."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from satclip.checkpoint.sources import locate
from satclip.checkpoint.stored import OurCheckpoint, read_checkpoint
from satclip.data.batches.indexed import IndexedPatches
from satclip.data.blue_marble_datamodule import BlueMarbleDataModule
from satclip.data.datamodule import S2DataModule
from satclip.downstream.rivals.trained import dataset_of, seen_by
from satclip.embedding import embed
from satclip.files import locked
from satclip.index.choosing import choose
from satclip.index.store import MANIFEST, Store, fingerprint, open_store
from satclip.index.writing import StoreWriter
from satclip.model import TwoTowers

log = logging.getLogger(__name__)
Values = Literal["features", "embedding"]
Rows = dict[str, NDArray[Any]]
DATA_SETS: dict[str, type[S2DataModule]] = {
    "satclip.data.datamodule.S2DataModule": S2DataModule,
    "satclip.data.blue_marble_datamodule.BlueMarbleDataModule": BlueMarbleDataModule,
    "satclip.data.datamodule.BlueMarbleDataModule": BlueMarbleDataModule,  # in checkpoints of before
}
RUNS_CODE = ("_target_", "pipe:")  # never obeyed out of a checkpoint
CHOOSING = 1000  # validation patches that choose the temperatures
Watch = Callable[[int, int], None]


def build_store(
    source: str | Path,
    target: Path,
    *,
    root: Path | None = None,
    values: Values = "features",
    batch_size: int = 256,
    device: str = "cpu",
    watch: Watch = lambda done, total: None,
) -> Store:
    """Embed the training patches of the run behind `source`, and keep them in the folder `target`.

    Patches that the training left out stay out: those held out for validation, and those within the buffer around
    them. The next call resumes one that was killed; where the store is there already, nothing is done.

    Args:
        source: a checkpoint of ours, or the folder of a run.
        target: folder of the store; one that is there is replaced when the new one is whole.
        root: where the data set lies now, where that is not where the run had it.
        values: what is retrieved: what the image tower's head sees, or the embedding itself.
        batch_size: patches a call of the image tower.
        device: where it runs.
        watch: told how many of how many patches are done.

    Raises:
        FileNotFoundError, ValueError: the source holds no training of ours, or its data cannot be had.
        FileExistsError: `target` holds something else.
    """
    stored = read_checkpoint(locate(source))
    if not isinstance(stored, OurCheckpoint):
        raise ValueError(f"{source} is no checkpoint of a training here, so its training patches are not known")
    data = data_of(stored.recipe, str(source), root)
    towers = stored.towers().eval().to(device)
    if values == "features":
        towers.check_features()
    data.prepare_data()
    data.setup()
    collection = data.collection
    if not isinstance(collection, IndexedPatches):
        raise ValueError("patches that are streamed cannot be indexed; keep them: dataset.cache_gib above 0")
    identity = {
        "encoder": fingerprint(towers.location_encoder),
        "image_tower": _hash_of(towers),
        "patches": _hash_of_rows(collection),
        "values": values,
        "source": str(source),
        "seen": seen_by(stored.recipe),
        "split": dict(collection.division.rule),
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target):
        if (there := _there(target, identity)) is not None:
            return there
        reader = _Reader(data, collection, towers, values)
        _write(target, identity, reader, batch_size, watch)
    return open_store(target)


def data_of(recipe: Mapping[str, Any], source: str, root: Path | None) -> S2DataModule:
    """The data set that a recipe names, at `root` where that is given.

    Raises:
        ValueError: the recipe names none, or one that would run code out of the checkpoint.
    """
    node = dataset_of(recipe)
    kind = DATA_SETS.get(str(node.get("_target_")))
    if kind is None:
        raise ValueError(f"{source} does not say which data set of ours it was trained on; train it with this version")
    options = {str(name): value for name, value in node.items() if name != "_target_"}
    if any(sign in json.dumps(options, default=str) for sign in RUNS_CODE):
        raise ValueError(f"the data set of {source} names code to run, which is not obeyed out of a checkpoint")
    if root is not None:
        options["root"] = str(root)
    try:
        return kind(**{**options, "num_workers": 0})
    except TypeError as error:
        raise ValueError(f"the data set of {source} has options that this version lacks ({error})") from error


class _Reader:
    """Embeds patches by row."""

    def __init__(self, data: S2DataModule, collection: IndexedPatches, towers: TwoTowers, values: Values) -> None:
        self.data, self.collection, self.towers, self.values = data, collection, towers, values
        self.patches = collection.dataset(training=False)

    @torch.no_grad()
    def __call__(self, rows: Tensor) -> Rows:
        """Places, keys and values of the rows that are good."""
        batch = self.data.transform(self.patches[rows.tolist()])
        images = batch["image"].to(self.towers.logit_scale.device)
        if self.values == "features":
            keys, found = self.towers.encode_image_and_features(images)
        else:
            found = keys = self.towers.encode_image(images)
        unit = torch.nn.functional.normalize(keys.float(), dim=-1)
        arrays = {"lonlat": batch["lonlat"], "keys": unit, "values": found.float()}
        return {name: each.cpu().numpy() for name, each in arrays.items()}


def _write(target: Path, identity: dict[str, Any], reader: _Reader, batch_size: int, watch: Watch) -> None:
    rows, held_out = reader.collection.train_rows, reader.collection.val_rows
    first = reader(rows[:1]) if len(rows) else None
    if first is None:
        raise ValueError("there is no training patch to index")
    writer = StoreWriter(target, identity, {name: first[name].shape[1] for name in ("keys", "values")})
    try:
        if writer.asked:
            log.info("%d of %d patches are there from a call that did not end", writer.asked, len(rows))
        for part in torch.split(rows[writer.asked :], batch_size) if writer.asked < len(rows) else ():
            writer.append(len(part), **reader(part))
            watch(writer.asked, len(rows))
        step = max(1, len(held_out) // CHOOSING)
        seen = list(_parts(reader, held_out[::step][:CHOOSING], batch_size))
        chosen = choose(
            embed(reader.towers.location_encoder, _column(seen, "lonlat", 2).double()).float(),
            _column(seen, "lonlat", 2).double(),
            _column(seen, "values", writer.widths["values"]).float(),
            *(writer.array(name) for name in ("lonlat", "keys", "values")),
        )
        writer.finish(
            sharpness=asdict(chosen.sharpness), explained=chosen.explained, chosen_by=chosen.places,
            left_out={"validation": len(held_out), **reader.collection.left_out, "bad": writer.asked - writer.written},
        )  # fmt: skip
    finally:
        writer.close()


def _parts(reader: _Reader, rows: Tensor, batch_size: int) -> Iterator[Rows]:
    for part in torch.split(rows, batch_size) if len(rows) else ():
        yield reader(part)


def _column(parts: list[Rows], name: str, width: int) -> Tensor:
    return torch.from_numpy(np.concatenate([part[name] for part in parts])) if parts else torch.zeros(0, width)


def _there(target: Path, identity: Mapping[str, Any]) -> Store | None:
    """The store at `target`, where it is whole and the same."""
    if not (target / MANIFEST).is_file():
        return None
    try:
        store = open_store(target)
    except ValueError as error:
        log.warning("%s", error)
        return None
    return store if all(store.manifest.get(name) == value for name, value in identity.items()) else None


def _hash_of(towers: TwoTowers) -> str:
    digest = hashlib.sha256()
    for name, tensor in towers.vision.state_dict().items():
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _hash_of_rows(collection: IndexedPatches) -> str:
    rows = collection.train_rows.tolist()
    digest = hashlib.sha256(collection.lonlat[collection.train_rows].numpy().tobytes())
    digest.update("\n".join(collection.names[row] for row in rows).encode(errors="surrogateescape"))
    return digest.hexdigest()
