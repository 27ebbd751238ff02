"""Patches of other types and sizes than Sentinel-2's train; sizes that differ are cropped where the crop fits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from satclip.data.batches.augment import Augmentation
from satclip.data.batches.loader import Plan
from satclip.data.batches.patches import PatchFormat
from satclip.data.batches.streamed import collect_stream
from satclip.data.datamodule import S2DataModule
from satclip.data.geotiff.decode import decode
from satclip.data.sources.index_csv import read_index, write_index
from satclip.data.sources.shards import write_shard

Encode = Callable[..., bytes]
BANDS = ["a", "b", "c"]
SIZES = {3: (12, 8), 7: (6, 8), 11: (8, 20), 20: (6, 30), 25: (5, 8), 31: (40, 3)}  # of 8 x 8; a crop of 6 fits four
TOO_SMALL = {25, 31}


def picture(number: int, dtype: str = "uint16", size: tuple[int, int] = (8, 8)) -> np.ndarray[Any, Any]:
    """Each pixel its own number, the middle one 100 times the patch's."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    middle = 100 * (number + 1) + (rows - height // 2) + 10 * (columns - width // 2)
    return np.stack([middle] * 3).astype(dtype)


def build(root: Path, encode: Encode, dtype: str = "uint16", sizes: dict[int, tuple[int, int]] | None = None) -> Path:
    root.mkdir()
    names = [f"p{number}.tif" for number in range(40)]
    data = [encode(picture(number, dtype, (sizes or {}).get(number, (8, 8)))) for number in range(40)]
    lonlat = torch.tensor([[number * 4.0, number * 2.0] for number in range(40)], dtype=torch.float64)
    rows = [(names[n], data[n], *lonlat[n].tolist()) for n in range(40)]
    write_shard(root / "a.tar", rows[:20])
    write_shard(root / "b.tar", rows[20:])
    write_index(root / "index.csv", names, lonlat)
    return root


def module(root: Path, **options: Any) -> S2DataModule:
    defaults = {"image_size": 6, "batch_size": 4, "num_workers": 0, "split": "random", "scale": 1.0, "blur_sigma": None}
    data = S2DataModule(
        root, bands=BANDS, file_bands=BANDS, **{"max_bad_fraction": 0.1, "jitter_degrees": 0.0, **defaults, **options}
    )
    data.prepare_data()
    data.setup()
    return data


def images(data: S2DataModule, epoch: int | None) -> dict[int, torch.Tensor]:
    loader = data.val_dataloader() if epoch is None else data.train_dataloader()
    found = {}
    for batch in loader:
        batch.pop("bad")
        finished = data.transform(batch, epoch)
        assert finished.keys() == {"image", "lonlat", "id"}
        found |= {int(row): image.clone() for row, image in zip(finished["id"], finished["image"], strict=True)}
    return found


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("memory", [False, True])
def test_patches_of_each_type_train_as_reflectance(tmp_path: Path, encode: Encode, dtype: str, memory: bool) -> None:
    root = tmp_path / "own"
    root.mkdir()
    low = -40 if dtype in ("int16", "float32") else 1
    pixels = np.random.default_rng(0).integers(low, 200, (40, 3, 8, 8)).astype(dtype)
    names = [f"p{number}.tif" for number in range(40)]
    write_shard(root / "a.tar", [(names[n], encode(pixels[n]), n * 2.0, n * 1.0) for n in range(40)])
    data = module(root, scale=200.0, image_size=8, flips=False, keep_in_memory=memory)
    found = images(data, 0) | images(data, None)
    assert len(found) >= 36
    for row, image in found.items():
        np.testing.assert_allclose(image, pixels[row].astype(np.float32) / 200, rtol=1e-6)


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("workers", [0, 1])
def test_sizes_that_differ_are_cropped_where_the_crop_fits_and_else_counted(
    tmp_path: Path, encode: Encode, memory: bool, workers: int
) -> None:
    data = module(build(tmp_path / "own", encode, sizes=SIZES), keep_in_memory=memory, num_workers=workers)
    loaders = (data.train_dataloader(), data.val_dataloader())
    bad = {(name, cause) for loader in loaders for batch in loader for name, cause, _ in batch["bad"]}
    if memory:
        assert data.collection.left_out["size"] == len(TOO_SMALL)
    assert bad <= {(f"p{number}.tif", "size") for number in TOO_SMALL}
    for epoch in (0, 1, 2, None):
        for row, image in images(data, epoch).items():
            assert row not in TOO_SMALL
            whole = picture(row, size=SIZES.get(row, (8, 8)))[0].astype(np.float32)
            assert np.isin(image, whole).all()  # no pixel from beyond the patch
            steps = {abs(float(step)) for step in (*image[0].diff(dim=0).flatten(), *image[0].diff(dim=1).flatten())}
            assert steps == {1.0, 10.0}
            if epoch is None:
                top, left = (length // 2 - 3 for length in whole.shape)
                np.testing.assert_array_equal(image[0], whole[top : top + 6, left : left + 6])


def test_a_smaller_patch_is_cropped_all_over_and_never_beyond(tmp_path: Path, encode: Encode) -> None:
    form = PatchFormat(3, (0, 1, 2), (8, 8), "uint16", least=6)
    out = np.full((3, 8, 8), 9, np.uint16)
    assert form.decode(encode(picture(0, size=(6, 7))), out) == (6, 7)
    np.testing.assert_array_equal(out[:, :6, :7], picture(0, size=(6, 7)))
    assert not out[:, 6:].any()
    augmentation = Augmentation((0, 1, 2), 6, 1.0, flips=False, blur_sigma=None, jitter_degrees=0.0)
    raw, sizes = torch.from_numpy(np.stack([out] * 64)), torch.tensor([[6, 7]] * 64)
    lonlat, ids = torch.zeros(64, 2, dtype=torch.float64), torch.arange(64)
    crops, _ = augmentation.train(raw, lonlat, ids, seed=0, epoch=0, sizes=sizes)
    assert {float(crop[0, 0, 0]) for crop in crops} == {float(out[0, 0, 0]), float(out[0, 0, 1])}


def test_the_compiled_loop_and_torch_crop_alike_where_sizes_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = torch.randint(0, 999, (16, 3, 9, 9), dtype=torch.int16)
    sizes = torch.tensor([[6 + n % 4, 6 + n // 4] for n in range(16)])
    augmentation = Augmentation((0, 1, 2), 6, 1.0)
    given: Any = (raw, torch.zeros(16, 2, dtype=torch.float64), torch.arange(16))
    one, _ = augmentation.train(*given, seed=1, epoch=2, sizes=sizes)
    monkeypatch.setattr("satclip.data.batches.augment._kernel", lambda: None)
    other, _ = augmentation.train(*given, seed=1, epoch=2, sizes=sizes)
    assert torch.equal(one, other)
    with pytest.raises(ValueError, match=r"cannot be cropped to dataset.image_size=6"):
        augmentation.validation(raw, torch.tensor([[5, 9]] * 16))


def test_a_stream_crops_as_shards_do(tmp_path: Path, encode: Encode) -> None:
    root = build(tmp_path / "own", encode, sizes=SIZES)
    split = module(root).split
    urls = [str(root / "a.tar"), str(root / "b.tar")]
    data = module(root)
    found = collect_stream(urls, read_index(root / "index.csv"), bands=data.bands, split=split, least=6)
    seen = {}
    for batch in found.train_loader(Plan(4, 0, 1, 0)):
        rows, sizes = batch["id"].tolist(), batch.get("size")
        for place, row in enumerate(rows):
            height, width = (8, 8) if sizes is None else sizes[place].tolist()
            seen[row] = batch["image"][place, :, :height, :width].numpy().copy()
    assert not seen.keys() & TOO_SMALL
    for row, pixels in seen.items():
        out = np.empty((3, 8, 8), np.uint16)
        expected = decode(encode(picture(row, size=SIZES.get(row, (8, 8)))), bands=3, out=out, least=6)
        np.testing.assert_array_equal(pixels, expected)
