"""From a run to the store of its training patches, and the store at work in every command."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from satclip.checkpoint import load_location_encoder, load_towers
from satclip.cli import main
from satclip.data.blue_marble_datamodule import BlueMarbleDataModule
from satclip.downstream.rivals import Joined, source
from satclip.index import RangeEncoder, Store, open_store
from satclip.runs import indexing

PLACES = np.array([[13.4, 52.5], [-76.0, -9.0], [100.0, 60.0]])


@pytest.fixture(scope="module")
def store(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return indexing.build_store(run, tmp_path_factory.mktemp("index") / "store", batch_size=64)


def test_the_store_holds_the_training_patches_as_the_towers_see_them_and_no_others(
    run: Path, store: Store, options: dict[str, Any]
) -> None:
    data = BlueMarbleDataModule(run / "patches", **options)
    data.setup()
    assert np.array_equal(store.lonlat, data.train_lonlat.numpy())
    assert len(store) < 400 - len(data.val_lonlat)  # those in the buffer are left out too
    held_out = {tuple(place) for place in data.val_lonlat.tolist()}
    assert not held_out & {tuple(place) for place in store.lonlat.tolist()}
    left_out = store.manifest["left_out"]
    assert left_out["validation"] + left_out["buffer"] + len(store) == 400

    towers = load_towers(run)
    rows = data.collection.train_rows[:30]
    batch = data.transform(
        {k: v for k, v in data.collection.dataset(training=False)[rows.tolist()].items() if k != "bad"}
    )
    with torch.no_grad():
        keys = torch.nn.functional.normalize(towers.encode_image(batch["image"]), dim=-1)
        values = towers.vision.features(batch["image"])
    np.testing.assert_allclose(store.keys[:30], keys.numpy(), atol=1e-3)
    np.testing.assert_allclose(store.values[:30], values.numpy(), rtol=2e-3, atol=2e-3)


def test_the_manifest_says_of_what_it_is_and_how_temperatures_were_chosen(run: Path, store: Store) -> None:
    facts = store.manifest
    assert facts["seen"] == "held-out blocks left out (inductive)"
    assert (facts["split"]["split"], facts["split"]["split_degrees"]) == ("block", 10.0)
    assert facts["chosen_by"] > 50
    assert set(facts["sharpness"]) == {"alone", "beside", "geographic"}
    assert set(facts["explained"]) == {"range", "range+"}
    store.check_encoder(load_location_encoder(run))


def test_a_killed_call_ends_with_the_same_store(run: Path, store: Store, tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def kill(done: int, total: int) -> None:
        if done > total // 2:
            raise Killed

    with pytest.raises(Killed):
        indexing.build_store(run, tmp_path / "store", batch_size=16, watch=kill)
    assert not (tmp_path / "store").exists()
    seen: list[int] = []
    again = indexing.build_store(run, tmp_path / "store", batch_size=64, watch=lambda done, _: seen.append(done))
    assert seen[0] > len(store) // 2
    assert np.array_equal(again.lonlat, store.lonlat)
    for mine, whole in ((again.keys, store.keys), (again.values, store.values)):  # other batches round otherwise
        np.testing.assert_allclose(mine.astype(np.float32), whole.astype(np.float32), atol=2e-3, rtol=2e-3)


def test_where_it_is_there_already_nothing_is_done(run: Path, store: Store) -> None:
    before = (store.folder / "keys.npy").stat().st_mtime_ns
    indexing.build_store(run, store.folder, watch=lambda *_: pytest.fail("worked"))
    assert (store.folder / "keys.npy").stat().st_mtime_ns == before


def with_dataset(run: Path, tmp_path: Path, **changed: Any) -> Path:
    content = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    content["satclip"]["config"]["dataset"] |= changed
    torch.save(content, tmp_path / "other.ckpt")
    return tmp_path / "other.ckpt"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"source": {"_target_": "os.system"}}, "names code to run"),
        ({"urls": "pipe:rm -rf x"}, "names code to run"),
        ({"_target_": "mine.Data"}, "does not say which data set of ours"),
        ({"nosuch": 1}, "has options that this version lacks"),
    ],
)
def test_a_checkpoint_never_names_what_is_run(run: Path, tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        indexing.build_store(with_dataset(run, tmp_path, **changed), tmp_path / "store")


def test_a_data_set_that_was_moved_is_found_by_root(run: Path, store: Store, tmp_path: Path) -> None:
    checkpoint = with_dataset(run, tmp_path, root=str(tmp_path / "gone"), places=400)
    moved = indexing.build_store(checkpoint, tmp_path / "store", root=run / "patches", values="embedding")
    assert np.array_equal(moved.lonlat, store.lonlat)
    assert moved.values.shape[1] == 8


def test_the_benchmark_takes_it_by_name(run: Path, store: Store) -> None:
    plain = source(f"range:{run}+{store.folder}")
    model = RangeEncoder(load_location_encoder(run), store)
    np.testing.assert_allclose(plain(PLACES), model(torch.from_numpy(PLACES)), atol=1e-6)
    assert plain.seen == "held-out blocks left out (inductive)"
    plus = source(f"range+:{run}+{store.folder}:exclude_within_km=500")
    wanted = RangeEncoder(load_location_encoder(run), store, form="range+", exclude_within_km=500)
    np.testing.assert_allclose(plus(PLACES), wanted(torch.from_numpy(PLACES)), atol=1e-6)
    assert plain.fingerprint != plus.fingerprint
    joined = source(f"range:{run}+{store.folder}+cartesian3d")
    assert isinstance(joined, Joined)
    assert joined(PLACES).shape[1] == plain(PLACES).shape[1] + 3
    for wrong in (f"range:{run}", f"range+:{run}+{store.folder}:within=3", "range:"):
        with pytest.raises((ValueError, FileNotFoundError)):
            source(wrong)


def test_the_commands_write_build_and_use_it(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyarrow", reason="the command needs `pip install 'satclip[cli]'`")
    places, folder = tmp_path / "places.csv", tmp_path / "store"
    places.write_text("lon,lat\n" + "".join(f"{lon},{lat}\n" for lon, lat in PLACES))

    def satclip(*arguments: str | Path) -> tuple[int, str]:
        return main([str(each) for each in arguments]), capsys.readouterr().err

    code, told = satclip("index", run, "-o", folder, "--device", "cpu")
    assert code == 0
    assert "inverse temperatures, chosen on" in told
    assert "range explains" in told
    asked = ("--model", str(run), "--index", str(folder), "--retrieval", "range+", "--exclude-within-km", "50")
    assert satclip("embed", places, *asked, "-o", tmp_path / "out.npy")[0] == 0
    model = RangeEncoder(load_location_encoder(run), open_store(folder), form="range+", exclude_within_km=50)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), model(torch.from_numpy(PLACES)), atol=1e-5)
    assert satclip("grid", *asked, "--resolution", "30", "-o", tmp_path / "grid.npy")[0] == 0
    corner = np.load(tmp_path / "grid.npy")[0, 0]
    np.testing.assert_allclose(corner, model(torch.tensor([[-165.0, 75.0]]).double())[0], atol=1e-4)

    code, told = satclip("embed", places, "--model", run, "--retrieval", "range+", "-o", tmp_path / "no.npy")
    assert code == 2
    assert "need --index STORE" in told
    code, told = satclip("embed", places, "--model", f"untrained:{run}", "--index", folder, "-o", tmp_path / "no.npy")
    assert code == 1
    assert "was built for another encoder" in told
    code, told = satclip("embed", places, *asked[:-1], "20000", "-o", tmp_path / "no.npy")
    assert code == 1
    assert "no stored patch is more than 20000 km away" in told
    assert not (tmp_path / "no.npy").exists()
    assert json.loads((folder / "manifest.json").read_text())["format"] == 1
