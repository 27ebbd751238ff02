"""From patches to features to a training on them: the same as on the patches themselves."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch
from omegaconf import DictConfig

from satclip.checkpoint import get_satclip, load_location_encoder
from satclip.data.features.parts import Parts
from satclip.data.features.store import FeatureStore
from satclip.downstream.rivals.trained import BLOCKS_OUT, trained
from satclip.model import TwoTowers
from satclip.runs import caching, hydra_setup, run
from satclip.vision import TinyCNN

PROJECT = Path(__file__).parents[2]
CONF = PROJECT / "conf"
STEPS = 50
PATCHES = ["dataset.places=400", "dataset.patch_size=20", "dataset.kilometres_per_pixel=20.0", "dataset.image_size=16"]
SHARED = [
    "experiment=blue_marble_one_hot", "vision.width=4", "pe_type.hidden_dim=16", "pe_type.dropout=0.1",
    "embedding_dim=8", "legendre_polys=5", "dataset.batch_size=64", "dataset.jitter_degrees=0.1", "scheduler=constant",
    "trainer.log_every_n_steps=1", "~callbacks.progress", "report=null", "dataset.split_degrees=15",
]  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backbone that has seen something: its running statistics are not those it begins with."""
    torch.manual_seed(3)
    tower = TinyCNN(in_channels=3, embedding_dim=8, width=4)
    for _ in range(20):
        tower(torch.rand(16, 3, 16, 16))
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    torch.save(tower.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def cache(imagery: Path, weights: Path) -> Callable[..., Path]:
    """Compute features of the small data set."""

    def make(store: Path, *overrides: str) -> Path:
        hydra_setup.register()
        options = [*SHARED, *PATCHES, f"dataset.root={imagery}", "dataset.flips=true", f"vision.weights={weights}"]
        options += [f"store={store}", "dtype=float32", "shard=100", "chunk=32", *overrides]
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            return caching.cache(hydra.compose("cache_features", overrides=[*options, "output_dir=outputs"]))

    return make


@pytest.fixture(scope="module")
def views(cache: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the small data set, thirteen views: of as many epochs as fifty steps are."""
    return cache(tmp_path_factory.mktemp("features") / "views", "views=13")


def config(output: Path, *overrides: str) -> DictConfig:
    return hydra_setup.compose(CONF, [*SHARED, f"output_dir={output}", *overrides])


def on_features(store: Path, weights: Path, output: Path, *overrides: str) -> dict[str, float]:
    options = ["dataset=features", f"dataset.root={store}", f"vision.weights={weights}"]
    return run.train(config(output, *options, *overrides))


def state(output: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(output / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    return weights


def losses(output: Path) -> list[float]:
    with (output / "csv" / "metrics.csv").open() as file:
        return [float(line["train/loss"]) for line in csv.DictReader(file) if line["train/loss"]]


def test_fifty_steps_on_features_are_those_on_the_images(
    imagery: Path, weights: Path, views: Path, tmp_path: Path
) -> None:
    patches = [*PATCHES, f"dataset.root={imagery}", "dataset.flips=true", f"vision.weights={weights}"]
    steps = ["epochs=-1", f"trainer.max_steps={STEPS}"]
    run.train(config(tmp_path / "images", *patches, *steps))
    on_features(views, weights, tmp_path / "features", *steps)
    expected, found = losses(tmp_path / "images"), losses(tmp_path / "features")
    assert len(expected) == STEPS
    assert expected[0] != pytest.approx(expected[-1], abs=0.01)
    assert found == pytest.approx(expected, abs=1e-5)
    images, features = state(tmp_path / "images"), state(tmp_path / "features")
    assert images.keys() == features.keys()
    for name, tensor in images.items():
        torch.testing.assert_close(features[name], tensor, atol=1e-5, rtol=0, msg=name)


def test_its_checkpoint_is_a_model_of_both_towers(imagery: Path, weights: Path, views: Path, tmp_path: Path) -> None:
    figures = on_features(views, weights, tmp_path, "epochs=1")
    assert figures["last/val/loss"] > 0
    best = tmp_path / "checkpoints" / "best.ckpt"
    towers = get_satclip(best, return_all=True)
    assert isinstance(towers, TwoTowers)
    assert load_location_encoder(best).embedding_dim == 8
    images = torch.rand(5, 3, 16, 16)
    backbone = TinyCNN(in_channels=3, embedding_dim=8, width=4, weights=weights).eval()
    with torch.no_grad():
        head = [state(tmp_path)[f"model.vision.head.{name}"] for name in ("weight", "bias")]
        expected = torch.nn.functional.linear(backbone.features(images), *head)
        torch.testing.assert_close(towers.encode_image(images), expected)
    row = trained(best)
    assert row.seen == BLOCKS_OUT
    assert row.held_out is not None
    assert row.recipe["features"]["dataset"]["places"] == 400
    assert row.recipe["features"]["backbone"] == "tiny shrinking by 2"


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
@pytest.mark.parametrize("stop", [7, 10])
def test_a_run_on_features_resumes_bit_for_bit(weights: Path, views: Path, tmp_path: Path, stop: int) -> None:
    on_features(views, weights, tmp_path / "whole", "epochs=3")
    on_features(views, weights, tmp_path / "first", "epochs=3", f"trainer.max_steps={stop}")
    checkpoint = tmp_path / "first" / "checkpoints" / "last.ckpt"
    on_features(views, weights, tmp_path / "second", "epochs=3", f"ckpt_path={checkpoint}")
    expected, found = state(tmp_path / "whole"), state(tmp_path / "second")
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_the_centre_crop_is_what_validation_sees_and_view_k_what_epoch_k_sees(
    views: Path, cache: Callable[..., Path], tmp_path: Path
) -> None:
    alone = FeatureStore(cache(tmp_path / "centre"))
    store = FeatureStore(views)
    assert (alone.views, store.views) == (0, 13)
    assert torch.equal(alone.view(None), store.view(None))
    assert not torch.equal(store.view(0), store.view(12))
    fewer = FeatureStore(cache(tmp_path / "three", "views=3"))
    assert all(torch.equal(fewer.view(number), store.view(number)) for number in (None, 0, 1, 2))


class Killed(BaseException):
    """As SIGKILL would: nothing catches it."""


def test_a_run_that_was_killed_keeps_its_shards_and_ends_with_the_same_bytes(
    cache: Callable[..., Path], views: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    write = Parts.write

    def killed(self: Parts, number: int, part: Any) -> None:
        if len(written) == 2:
            raise Killed
        written.append(number)
        write(self, number, part)

    monkeypatch.setattr(Parts, "write", killed)
    with pytest.raises(Killed):
        cache(tmp_path / "store", "views=13")
    assert not (tmp_path / "store").exists()
    damaged = tmp_path / ".store.partial" / "part-00001.npz"
    damaged.write_bytes(damaged.read_bytes()[:-300])
    written.clear()
    monkeypatch.setattr(Parts, "write", lambda self, number, part: (written.append(number), write(self, number, part)))
    store = cache(tmp_path / "store", "views=13")
    assert written == [1, 2, 3]
    assert sorted(path.name for path in store.iterdir()) == sorted(path.name for path in views.iterdir())
    assert all(path.read_bytes() == (views / path.name).read_bytes() for path in store.iterdir())
    assert not (tmp_path / ".store.partial").exists()
    before = (store / "manifest.json").stat().st_mtime_ns
    written.clear()
    cache(tmp_path / "store", "views=13")
    assert not written
    assert (store / "manifest.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["views=2"], "views was 13, is 2"),
        (["views=13", "dataset.flips=false"], "augmentation was"),
        (["views=13", "dtype=float16"], "dtype was float32, is float16"),
        (["views=13", "vision.shrink=1"], "backbone was tiny shrinking by 2, is tiny shrinking by 1"),
        (["views=13", "dataset.image_size=18"], "image_size was 16, is 18"),
    ],
)
def test_one_store_holds_features_of_one_kind(
    cache: Callable[..., Path], views: Path, options: list[str], said: str
) -> None:
    with pytest.raises(FileExistsError, match=f"{said}.*give another store=FOLDER"):
        cache(views, *options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["views=0"], "views takes a whole number, 1 or more, got 0"),
        (["dtype=int8"], "dtype takes one of float16, bfloat16, float32, got 'int8'"),
        (["vision.weights=none"], "TinyCNN learns.*freeze one that has learned: vision.weights=best.ckpt"),
        (["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true"], "torchrun"),
    ],
)
def test_what_cannot_be_computed_once_is_refused(
    cache: Callable[..., Path], tmp_path: Path, options: list[str], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        cache(tmp_path / "store", *options)


def test_a_store_that_exists_as_something_else_is_kept(cache: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match="holds something else, which would be lost"):
        cache(tmp_path / "store")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["vision.shrink=1"], "backbone: the store has tiny shrinking by 2, the config tiny shrinking by 1"),
        (["vision.weights=none"], "TinyCNN learns, so its features change"),
        (["dataset.image_size=20"], "image_size: the store has 16, the config 20"),
        (["dataset.bands=[B,G,R]"], "bands: the store has"),
    ],
)
def test_features_of_another_tower_are_refused(
    weights: Path, views: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        on_features(views, weights, tmp_path, *options)


def test_features_of_other_weights_are_refused(weights: Path, views: Path, tmp_path: Path) -> None:
    other = torch.load(weights, weights_only=True)
    other["stages.0.0.weight"][0, 0, 0, 0] += 1e-6
    torch.save(other, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"weights: the store has .*compute one for these: scripts/cache_features\.py"):
        on_features(views, tmp_path / "other.pt", tmp_path / "run")


def test_a_damaged_store_is_not_trained_on(weights: Path, views: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(views, tmp_path / "copy")
    array = bytearray((copy / "view-000.npy").read_bytes())
    array[-1] ^= 1
    (copy / "view-000.npy").write_bytes(array)
    with pytest.raises(ValueError, match=r"view-000\.npy is missing, or its checksum is not the manifest's"):
        on_features(copy, weights, tmp_path / "run", "epochs=1")


def test_bad_patches_are_counted_and_left_out(imagery: Path, cache: Callable[..., Path], tmp_path: Path) -> None:
    from satclip.data.sources.shards import Shards, tars_in, write_shard

    root = shutil.copytree(imagery, tmp_path / "patches")
    source = Shards(tars_in(root))
    (path, *_), size = tars_in(root), source.shard_sizes[0]
    samples = [
        (source.names[row], b"" if row in (0, 5) else source.read(row), *source.lonlat[row].tolist())
        for row in range(size)
    ]
    write_shard(path, samples)
    store = cache(tmp_path / "store", f"dataset.root={root}", "dataset.max_bad_fraction=0.01")
    patches = json.loads((store / "manifest.json").read_text())["patches"]
    assert (patches["rows"], patches["usable"], patches["written"], patches["bad"]) == (400, 400, 398, {"missing": 2})
    opened = FeatureStore(store)
    assert not {0, 5} & set(opened.rows.tolist())
    assert opened.lonlat[0].isnan().all()
    with pytest.raises(ValueError, match="2 bad patches of 400, more than"):
        cache(tmp_path / "strict", f"dataset.root={root}", "dataset.max_bad_fraction=0.002")
    assert not (tmp_path / "strict").exists()


def started(*command: str) -> None:
    done = subprocess.run(
        [sys.executable, *command], cwd=PROJECT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True,
        text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]


@pytest.mark.slow
def test_two_processes_write_what_one_writes(imagery: Path, weights: Path, views: Path, tmp_path: Path) -> None:
    options = [*SHARED, *PATCHES, f"dataset.root={imagery}", "dataset.flips=true", f"vision.weights={weights}"]
    options += [f"store={tmp_path}/store", "dtype=float32", "shard=100", "chunk=32", "views=13"]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    started(*launch, "scripts/cache_features.py", *options)
    names = [path.name for path in views.iterdir()]
    assert all((tmp_path / "store" / name).read_bytes() == (views / name).read_bytes() for name in names)


@pytest.mark.slow
def test_two_processes_train_on_features_as_one_does(weights: Path, views: Path, tmp_path: Path) -> None:
    options = ["dataset=features", f"dataset.root={views}", f"vision.weights={weights}", "epochs=2"]
    options += ["pe_type.dropout=0"]
    run.train(config(tmp_path / "one", *options))
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true"]
    started("train.py", *SHARED, *options, *two, f"hydra.run.dir={tmp_path}/two")
    expected, found = state(tmp_path / "one"), state(tmp_path / "two")
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-5, rtol=0, msg=name)
