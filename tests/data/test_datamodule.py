import csv
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from satclip.data.batches.loader import Loader
from satclip.data.batches.order import TrainBatches, ValidationBatches, sizes_of
from satclip.data.blue_marble_datamodule import BlueMarbleDataModule
from satclip.data.datamodule import S2DataModule
from satclip.data.prepare.rewrite_shards import Rewriting
from satclip.data.prepare.rewrite_shards import rewrite as rewrite_shards
from satclip.data.sources.index_csv import read_index, write_index
from satclip.data.sources.shards import Shards, write_shard

MakeShards = Callable[..., Path]
Encode = Callable[..., bytes]
BANDS = {"bands": ["a", "b", "c"], "file_bands": ["a", "b", "c"], "scale": 1.0}
SIZES = (9, 25, 2, 14)


def module(root: Path, **options: Any) -> S2DataModule:
    defaults = {"image_size": 4, "batch_size": 6, "num_workers": 0, "split": "random", "val_fraction": 0.2, **BANDS}
    data = S2DataModule(root, **{**defaults, **options})
    data.setup()
    return data


def loaders(data: S2DataModule, world_size: int, workers: int) -> Iterator[tuple[Loader, Loader]]:
    """What each rank would get: a training and a validation loader."""
    found = data.collection
    for rank in range(world_size):
        place = {"rank": rank, "world_size": world_size}
        sizes = sizes_of(found.train_rows, found.source.shard_sizes)
        train = TrainBatches(found.train_rows, sizes, batch_size=6, seed=0, window=2, **place)
        validation = ValidationBatches(found.val_rows, batch_size=6, **place)
        yield (
            Loader(found.dataset(training=True), train, workers),
            Loader(found.dataset(training=False), validation, workers),
        )


@pytest.mark.parametrize(
    ("split", "told"),
    [("all", "50 patches to train on, 9 of them to validate"), ("random", "41 patches to train on, 9 to validate")],
)
def test_the_log_says_whether_validation_is_of_patches_that_are_trained_on(
    make_shards: MakeShards, caplog: pytest.LogCaptureFixture, split: str, told: str
) -> None:
    with caplog.at_level("INFO"):
        module(make_shards(SIZES), split=split)
    assert told in caplog.text


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than this machine has cores
@pytest.mark.parametrize(("sizes", "world_size"), [(SIZES, 1), (SIZES, 2), (SIZES, 3), ((50,), 3)])
def test_batches_are_the_same_for_any_number_of_ranks_and_workers(
    make_shards: MakeShards, sizes: tuple[int, ...], world_size: int
) -> None:
    data = module(make_shards(sizes))
    reference = [batch["id"].tolist() for batch in next(loaders(data, 1, 0))[0]]
    for workers in (0, 1, 4):
        train, validation = [], []
        for rank_train, rank_validation in loaders(data, world_size, workers):
            train.append([(b["id"].tolist(), b["image"][:, 0, 0, 0].tolist()) for b in rank_train])
            validation.append([b["id"].tolist() for b in rank_validation])
        assert [list(chain(*(ids for ids, _ in parts))) for parts in zip(*train, strict=True)] == reference
        assert all(pixels == [row + 1 for row in ids] for rank in train for ids, pixels in rank)
        assert len({len(batches) for batches in validation}) == 1
        seen = [row for rank in validation for batch in rank for row in batch]
        assert sorted(seen) == data.collection.val_rows.tolist()


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_of_either_kind_decode_our_shards(make_shards: MakeShards, tmp_path: Path, context: str) -> None:
    source = Shards(sorted(make_shards((9, 11), size=16).glob("*.tar")))
    rows = torch.arange(20)
    rewrite_shards(source, source.lonlat, rows, rows % 5 == 0, tmp_path / "new", Rewriting({}, ["a", "b", "c"]))
    data = module(tmp_path / "new", split="stored", num_workers=2, batch_size=4)
    loader = data.train_dataloader()
    loader.multiprocessing_context = context
    seen = 0
    for batch in loader:
        names = [data.collection.source.names[row] for row in batch["id"].tolist()]
        numbers = [int(name.removesuffix(".tif").split("_")[1]) + 1 for name in names]
        assert (batch["image"].int() == torch.tensor(numbers)[:, None, None, None]).all()
        seen += len(names)
    assert seen == 16


def test_a_batch_is_what_the_towers_expect(make_shards: MakeShards) -> None:
    root = make_shards(SIZES)
    data = module(root)
    raw = next(iter(data.train_dataloader()))
    assert raw["image"].dtype == torch.uint16
    batch = data.transform(raw, epoch=0)
    assert batch["image"].dtype == torch.float32
    assert batch["image"].shape == (6, 3, 4, 4)
    assert batch["lonlat"].dtype == torch.float64
    known = read_index(root / "index.csv").lonlat
    assert torch.equal(raw["lonlat"], known[raw["id"]])
    assert 0 < (batch["lonlat"] - raw["lonlat"])[:, 1].abs().max() <= 0.005
    assert data.channels == 3
    assert data.train_lonlat.shape == (len(data.collection.train_rows), 2)
    assert len(data.train_lonlat) + len(data.val_lonlat) == sum(SIZES)


def test_patches_in_memory_give_the_same_batches(make_shards: MakeShards) -> None:
    root = make_shards(SIZES)
    for a, b in zip(module(root).train_dataloader(), module(root, keep_in_memory=True).train_dataloader(), strict=True):
        assert a.keys() == b.keys()
        for name in ("image", "lonlat", "id"):
            assert torch.equal(a[name].to(torch.float64), b[name].to(torch.float64))


def test_a_folder_gives_what_shards_give(tmp_path: Path, make_shards: MakeShards, encode: Encode) -> None:
    shards, folder = module(make_shards(SIZES)), tmp_path / "folder"
    (folder / "images").mkdir(parents=True)
    for row, name in enumerate(shards.collection.source.names):
        (folder / "images" / name).write_bytes(shards.collection.source.read(row))
    (folder / "index.csv").write_bytes((tmp_path / "shards" / "index.csv").read_bytes())
    files = module(folder)

    def held_out(data: S2DataModule) -> set[str]:
        return {data.collection.source.names[row] for row in data.collection.val_rows}

    assert held_out(files) == held_out(shards)
    sample = files.validation_sample(100)
    assert sorted(sample["image"][:, 0, 0, 0].tolist()) == sorted(
        shards.validation_sample(100)["image"][:, 0, 0, 0].tolist()
    )


def test_shards_carry_their_own_places(make_shards: MakeShards) -> None:
    with_index, without = make_shards(SIZES, name="a"), make_shards(SIZES, name="b", index=False)
    assert torch.equal(module(with_index).train_lonlat, module(without).train_lonlat)


def test_a_validation_sample_is_seen_as_in_validation_and_belongs_to_its_seed(make_shards: MakeShards) -> None:
    data = module(make_shards(SIZES))
    rows = data.collection.val_rows
    everything = data.validation_sample(1000)
    assert everything["id"].tolist() == rows.tolist()
    assert torch.equal(everything["lonlat"], data.val_lonlat)
    few = [tuple(data.validation_sample(4, seed)["id"].tolist()) for seed in (0, 0, 1, 2)]
    assert few[0] == few[1]
    assert len(set(few)) > 1


def test_the_split_does_not_depend_on_the_seed_or_the_batch(make_shards: MakeShards) -> None:
    root = make_shards(SIZES)
    for split in ("block", "random"):
        rows = [module(root, split=split, seed=seed, batch_size=1 + seed).collection.val_rows for seed in range(3)]
        assert torch.equal(rows[0], rows[1])
        assert torch.equal(rows[0], rows[2])


def test_a_start_reads_no_shard(make_shards: MakeShards, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_shards([3] * 20)
    reads: list[int] = []
    read = Shards.read
    monkeypatch.setattr(
        "satclip.data.sources.shards.Shards.read", lambda self, row: reads.append(row) or read(self, row)
    )
    monkeypatch.setattr("satclip.data.sources.shards.scan", None)
    next(iter(module(root).train_dataloader()))
    assert len(reads) <= 8 + 6  # a few to learn the form, then the first batch


def test_real_sentinel_2_patches_become_reflectance_of_thirteen_bands(s2_patches: Path) -> None:
    bands = [f"B{n:02d}" for n in range(1, 9)] + ["B8A", "B09", "B10", "B11", "B12"]
    data = S2DataModule(s2_patches, bands=bands, batch_size=8, num_workers=0)
    data.setup()
    batch = data.transform(next(iter(data.train_dataloader())), epoch=0)
    assert batch["image"].shape == (8, 13, 224, 224)
    assert not batch["image"][:, 10].any()
    assert 0.02 < batch["image"][:, 3].mean() < 0.6  # red of land
    places = read_index(s2_patches / "index.csv")
    name = data.collection.source.names[int(batch["id"][0])]
    assert torch.allclose(batch["lonlat"][0], places.lonlat[places.names.index(name)], atol=0.05)


def test_a_choice_of_bands_is_what_all_bands_give_of_them(s2_patches: Path) -> None:
    def first(bands: list[str], **options: Any) -> torch.Tensor:
        data = S2DataModule(s2_patches, bands=bands, batch_size=8, num_workers=0, **options)
        data.setup()
        return data.transform(next(iter(data.train_dataloader())), epoch=0)["image"]

    everything, some = first(["B01", "B02", "B03", "B04"]), first(["B04", "B10", "B02"])
    assert torch.equal(some[:, [0, 2]], everything[:, [3, 1]])
    assert not some[:, 1].any()
    assert torch.equal(first(["B04", "B10", "B02"], keep_in_memory=True), some)


def test_blue_marble_is_written_and_read_in_one_go(tmp_path: Path) -> None:
    data = BlueMarbleDataModule(
        tmp_path / "bm", places=300, patch_size=16, image_size=12, batch_size=32, keep_in_memory=True
    )
    data.prepare_data()
    data.setup()
    batch = data.transform(next(iter(data.train_dataloader())), epoch=0)
    assert batch["image"].shape == (32, 3, 12, 12)
    assert 0 <= batch["image"].min() < batch["image"].max() <= 1
    assert data.channels == 3


def rewrite(root: Path, change: Callable[[list[list[str]]], list[list[str]]]) -> None:
    with (root / "index.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    with (root / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *change(rows)])


def test_a_missing_index_row_is_told_and_too_many_stop_the_run(
    make_shards: MakeShards, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_shards(SIZES)
    rewrite(root, lambda rows: rows[1:])
    with pytest.raises(
        ValueError, match=r"1 of 50 patches .* without a row in index.csv: patch_0.tif; .*max_bad_fraction=0.01"
    ):
        module(root)
    data = module(root, max_bad_fraction=0.05)
    assert "1 of 50 patches" in caplog.text
    assert "patch_0.tif" in caplog.text
    assert 0 not in data.collection.train_rows.tolist() + data.collection.val_rows.tolist()


def test_an_index_row_without_a_patch_is_told_and_too_many_stop_the_run(
    make_shards: MakeShards, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_shards(SIZES)
    rewrite(root, lambda rows: [*rows, ["1.0", "2.0", "lost.tif"]])
    with pytest.raises(ValueError, match=r"1 of 51 rows of .*index.csv without a patch: lost.tif"):
        module(root)
    module(root, max_bad_fraction=0.05)
    assert "1 of 51 rows" in caplog.text


def test_patches_without_any_place_are_refused(tmp_path: Path, encode: Encode) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.tif").write_bytes(encode(np.ones((3, 8, 8), np.uint16)))
    with pytest.raises(FileNotFoundError, match=r"no index.csv in .* it needs columns lat, lon"):
        module(tmp_path)


def test_the_wrong_number_of_bands_is_refused_at_the_start(make_shards: MakeShards) -> None:
    with pytest.raises(ValueError, match=r"patch_\d+.tif: 2 bands, not 3[\s\S]*dataset.file_bands names the bands"):
        module(make_shards((10,), bands=2))


def test_an_empty_shard_folder_names_the_ways_out(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"make data.*s2_folder.*blue_marble"):
        module(tmp_path)


def test_a_batch_size_larger_than_the_data_is_refused(make_shards: MakeShards) -> None:
    with pytest.raises(ValueError, match=r"batch_size=512 is larger than the \d+ training samples"):
        module(make_shards(SIZES), batch_size=512).train_dataloader()


def test_coordinates_that_are_no_places_are_refused(make_shards: MakeShards, tmp_path: Path, encode: Encode) -> None:
    for number, place in enumerate([(10.0, 91.0), (float("nan"), 5.0), (36.0, 120.5)]):
        root = tmp_path / str(number)
        root.mkdir()
        patch = encode(np.ones((3, 8, 8), np.uint16))
        write_shard(root / "a.tar", [("p.tif", patch, 1.0, 2.0)])
        write_index(root / "index.csv", ["p.tif"], torch.tensor([place], dtype=torch.float64))
        with pytest.raises(ValueError, match=r"index.csv: 1 of 1 rows"):
            module(root)


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ({"split": "blocks"}, "dataset.split is one of block, random, stored, all, got 'blocks'"),
        ({"batch_size": 0}, "dataset.batch_size must be 1 at least, got 0"),
        ({"image_size": 0}, "dataset.image_size must be 2 at least"),
        ({"num_workers": -1}, "dataset.num_workers must be 0 at least"),
        ({"max_bad_fraction": 1.5}, "max_bad_fraction must be 0 or more and below 1"),
        ({"bands": ["a", "x"]}, "no band x in the files"),
        ({"val_fraction": 0.0}, "val_fraction must lie between 0 and 1"),
        ({"split": "block", "split_degrees": 180.0, "root": "one"}, "all 3 patches lie in one block of 180.0 degrees"),
    ],
)
def test_bad_settings_are_refused(
    make_shards: MakeShards, tmp_path: Path, encode: Encode, option: dict[str, Any], complaint: str
) -> None:
    root = make_shards((3,))
    if option.pop("root", None):
        write_index(root / "index.csv", [f"patch_{n}.tif" for n in range(3)], torch.full((3, 2), 10.0))
    with pytest.raises(ValueError, match=complaint):
        module(root, **option)
