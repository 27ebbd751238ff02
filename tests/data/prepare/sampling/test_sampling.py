"""From a catalogue to shards: the right ground, the same places whatever goes wrong, everything counted."""

import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rasterio.io import MemoryFile
from rasterio.warp import transform

from satclip.data.datamodule import S2DataModule
from satclip.data.prepare.check import check
from satclip.data.prepare.sampling import write as writing
from satclip.data.prepare.sampling.area import load_area
from satclip.data.prepare.sampling.catalogue import Catalogue, Patience
from satclip.data.prepare.sampling.dates import Days
from satclip.data.prepare.sampling.place import Sampling, find
from satclip.data.prepare.sampling.sensor import load_sensor
from satclip.data.prepare.sampling.trouble import UnreachableError
from satclip.data.prepare.sampling.write import sample
from satclip.data.sources.index_csv import read_index
from satclip.data.sources.shards import Shards

Earth = Any
Make = Callable[..., Sampling]


@pytest.fixture
def made(earth: Earth, area: Path, sensor_file: Path) -> Make:
    """What to sample, of the small catalogue."""

    def make(**options: Any) -> Sampling:
        sensor = load_sensor(sensor_file, options.pop("bands", None))
        catalogue = Catalogue(earth.url, sensor.collection, patience=Patience(options.pop("times", 2), 0.0, 5.0))
        first, last = map(date.fromisoformat, options.pop("dates", ("2021-01-01", "2022-12-31")))
        taken = Days(first, last, *options.pop("parts", ()))
        where = load_area(str(options.pop("where", area)), (-90, 90))
        return Sampling(where, sensor, taken, catalogue, **{"size": 64, "places": 3, "seed": 5, **options})

    return make


def patches(root: Path) -> dict[str, str]:
    """The digest of each patch in the shards."""
    found = Shards(sorted(root.glob("*.tar")))
    return {name: hashlib.sha256(found.read(row)).hexdigest() for row, name in enumerate(found.names)}


def test_a_patch_is_the_ground_about_its_place_to_the_pixel_in_its_own_zone(made: Make, earth: Earth) -> None:
    zones = set()
    for number in range(8):
        found = find(number, made())
        assert found.data is not None
        with MemoryFile(found.data) as file, file.open() as patch:
            pixels, place, crs = patch.read(), patch.transform, patch.crs
            assert (patch.shape, patch.dtypes[0], patch.nodata, patch.res) == ((64, 64), "uint16", 0, (10, 10))
        zones.add(crs.to_epsg())
        (x,), (y,) = transform("EPSG:4326", crs, [found.place[0]], [found.place[1]])
        assert abs(place.c + 320 - x) <= 5
        assert abs(place.f - 320 - y) <= 5
        columns, rows = place.c + 10 * np.arange(64) + 5, place.f - 10 * np.arange(64) - 5
        left, top = (720_000, 5_320_000) if crs.to_epsg() == 32632 else (282_000, 5_320_000)
        assert ((place.c - left) % 10, (place.f - top) % 10) == (0, 0)  # on the pixels of the scene
        for band, (name, metres) in enumerate({"red": 10, "nir": 20, "coastal": 60}.items()):
            # the pixel of the coarse band in which the middle of the fine one lies; corners of scenes are whole in 60 m
            east = left + ((columns - left) // metres + 0.5) * metres
            north = top - ((top - rows) // metres + 0.5) * metres
            np.testing.assert_array_equal(pixels[band], earth.truth(*np.meshgrid(east, north), name))
    assert zones == {32632, 32633}


def test_shards_pass_the_check_train_and_name_the_scene_of_each_patch(made: Make, tmp_path: Path) -> None:
    root = tmp_path / "mine"
    counts = sample(made(), 12, root, threads=3, per_shard=5)
    assert (counts["patches"], counts["without_patch"], counts["not_fetched"]) == (12, 0, 0)
    report, source, _ = check(root, ["red", "nir", "coastal"], 2)
    assert report.healthy, list(report.lines())
    assert (len(source.names), report.shards) == (12, 3)
    what = made()
    lonlat = read_index(root / "index.csv").lonlat
    assert lonlat.tolist() == [list(find(number, what).place) for number in range(12)]
    table = (root / "scenes.csv").read_text().splitlines()
    assert table[0] == "fn,lon,lat,scene,datetime,cloud,nodata"
    assert all(line.split(",")[3].endswith(("summer", "winter")) for line in table[1:])
    assert len(table) == 13
    assert json.loads((root / "sample.json").read_text())["patches"] == 12
    assert not (tmp_path / "mine.sampled").exists()
    bands = ["red", "nir", "coastal"]
    data = S2DataModule(
        root=str(root), bands=bands, file_bands=bands, batch_size=2, num_workers=0, image_size=32, split="random",
        val_fraction=0.25, split_buffer_km=0.0,
    )  # fmt: skip
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert tuple(batch["image"].shape)[:2] == (2, 3)


def test_a_run_killed_in_the_middle_resumes_to_the_same_bytes(
    made: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample(made(), 9, tmp_path / "whole", threads=1)
    real, calls = writing.find, []

    def killed(number: int, what: Sampling) -> Any:
        calls.append(number)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(number, what)

    monkeypatch.setattr(writing, "find", killed)
    with pytest.raises(KeyboardInterrupt):
        sample(made(), 9, tmp_path / "again", threads=1)
    assert not (tmp_path / "again").exists()
    stage = tmp_path / "again.sampled"
    done = len((stage / "found.jsonl").read_text().splitlines())
    assert 0 < done < 9
    with (stage / "found.jsonl").open("a") as file:
        file.write('{"number": 8, "pla')  # torn
    (stage / "images" / "patch_000000.tif").unlink()
    calls[:] = [0] * 10
    sample(made(), 9, tmp_path / "again", threads=3)
    assert sorted(calls[10:]) == sorted({0, *range(done, 9)})
    assert patches(tmp_path / "again") == patches(tmp_path / "whole")
    for name in ("index.csv", "scenes.csv", "sample.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_run_killed_after_its_shards_were_written_still_names_the_scenes(
    made: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(writing, "write_about", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            sample(made(), 4, tmp_path / "mine")
    assert not (tmp_path / "mine" / "scenes.csv").exists()
    sample(made(), 4, tmp_path / "mine")
    assert len((tmp_path / "mine" / "scenes.csv").read_text().splitlines()) == 5
    with pytest.raises(FileExistsError, match="choose another folder or remove it"):
        sample(made(), 4, tmp_path / "mine")


def test_more_patches_of_the_same_seed_begin_with_the_same_and_other_arguments_are_refused(
    made: Make, earth: Earth, tmp_path: Path
) -> None:
    few, more = sample(made(), 3, tmp_path / "few"), sample(made(), 6, tmp_path / "more")
    assert (few["patches"], more["patches"]) == (3, 6)
    assert patches(tmp_path / "few").items() < patches(tmp_path / "more").items()
    earth.fails["/search"] = 10**6
    with pytest.raises(UnreachableError):
        sample(made(times=0), 3, tmp_path / "other")
    with pytest.raises(ValueError, match="begun with another seed; remove it, or resume with those it had"):
        sample(made(seed=6), 3, tmp_path / "other")


def test_servers_that_stumble_change_nothing(made: Make, earth: Earth, tmp_path: Path) -> None:
    sample(made(), 6, tmp_path / "calm")
    for path in ("/", "/collections/small", "/search", "/west-summer/red.tif", "/east-winter/nir.tif"):
        earth.fails[path] = 2
    sample(made(), 6, tmp_path / "stormy")
    assert sum(earth.fails.values()) == 0
    assert patches(tmp_path / "stormy") == patches(tmp_path / "calm")


@pytest.mark.parametrize("path", ["/search", "/west-summer/red.tif"])
def test_a_server_that_is_down_leaves_its_places_for_the_next_call_and_takes_no_others(
    made: Make, earth: Earth, tmp_path: Path, path: str
) -> None:
    sample(made(), 8, tmp_path / "calm")
    earth.fails[path] = 10**6
    with pytest.raises(UnreachableError, match=r"status 500.*the same command resumes with the rest"):
        sample(made(times=1), 8, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
    earth.fails[path] = 0
    sample(made(), 8, tmp_path / "mine")
    assert patches(tmp_path / "mine") == patches(tmp_path / "calm")


def test_a_dead_server_is_given_up_after_ten_patches(
    made: Make, earth: Earth, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    earth.fails["/search"] = 10**6
    with caplog.at_level(logging.WARNING), pytest.raises(UnreachableError, match="10 patches in a row"):
        sample(made(times=0), 500, tmp_path / "mine", threads=2)
    assert earth.asked["/search"] < 30


def test_what_a_scene_lacks_is_counted_and_another_is_taken(made: Make, earth: Earth, tmp_path: Path) -> None:
    for side in ("west", "east"):
        whole = earth.files[f"/{side}-summer/nir.tif"]
        earth.files[f"/{side}-summer/nir.tif"] = whole[: len(whole) // 2]
        del earth.files[f"/{side}-cloudy/coastal.tif"]
    counts = sample(made(max_cloud=100.0), 10, tmp_path / "mine")
    assert counts["patches"] == 10
    assert set(counts["rejected"]) == {"file damaged", "file missing"}
    scenes = [line.split(",")[3] for line in (tmp_path / "mine" / "scenes.csv").read_text().splitlines()[1:]]
    assert {scene.split("-")[1] for scene in scenes} == {"winter"}


def test_nodata_is_rejected_and_another_place_is_tried_a_bounded_number_of_times(
    made: Make, earth: Earth, tmp_path: Path
) -> None:
    earth.scenes.clear()
    earth.add("west-half", 32632, (720_000, 5_320_000), "2021-07-11", blank=150)
    what = made()
    found = [find(number, what) for number in range(14)]
    kept = [each for each in found if each.data is not None]
    assert 0 < len(kept) < 14
    for each in kept:
        (x,), _ = transform("EPSG:4326", "EPSG:32632", [each.place[0]], [each.place[1]])
        assert x - 320 >= 721_495
        assert each.scene["nodata"] <= 0.01
    for each in found:
        rejected = each.reasons.get("no scene", 0) + each.reasons.get("place given up", 0)
        assert rejected == each.tried - (each.data is not None)
        assert each.reasons.get("nodata", 0) == each.reasons.get("place given up", 0)
    assert {each.tried for each in found if each.data is None} == {3}
    assert any(each.tried > 1 for each in kept)
    counts = sample(what, 14, tmp_path / "mine")
    assert (counts["patches"], counts["without_patch"]) == (len(kept), 14 - len(kept))


def test_a_search_that_finds_nothing_ends_with_what_to_do(made: Make, earth: Earth, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"not one patch at 12 places \(12 no scene\); look at --area .* widen --dates"
    ):
        sample(made(dates=("2019-01-01", "2019-12-31")), 4, tmp_path / "mine")


@pytest.mark.parametrize("with_query", [True, False])
def test_cloudy_scenes_are_not_taken_even_from_a_catalogue_that_does_not_filter(
    made: Make, earth: Earth, tmp_path: Path, with_query: bool
) -> None:
    earth.conforms = [name for name in earth.conforms if with_query or not name.endswith("query")]
    counts = sample(made(dates=("2022-01-01", "2022-12-31"), max_cloud=90.0), 2, tmp_path / "cloudy")
    assert counts["patches"] == 2
    with pytest.raises(ValueError, match="6 no scene" if with_query else "6 cloud, 6 place given up"):
        sample(made(dates=("2022-01-01", "2022-12-31")), 2, tmp_path / "clear")
    assert ("query" in earth.queries[-1]) is with_query


def test_every_page_of_a_search_is_read_and_any_of_its_scenes_may_be_taken(made: Make, earth: Earth) -> None:
    sides, earth.scenes = (earth.scenes[0], earth.scenes[3]), []
    for side in sides:
        for day in range(10, 17):
            about = {**side["properties"], "datetime": f"2021-07-{day}T10:00:00Z"}
            earth.scenes.append({**side, "id": f"{side['id']}-{day}", "properties": about})
    what = made(parts=([7], []))
    found = what.catalogue.search(find(0, what).place, date(2021, 7, 1), date(2021, 7, 31), {})
    assert sorted(scene["id"][-2:] for scene in found) == [str(day) for day in range(10, 17)]
    assert len({find(number, what).scene["scene"][-2:] for number in range(12)}) > 3


def test_values_of_later_processing_are_brought_to_those_of_earlier(made: Make, earth: Earth) -> None:
    ground = (32632, (720_000, 5_320_000))
    about = {"early": {}, "late": {"baseline": "05.09"}, "mended": {"baseline": "05.09", "taken_out": True}}
    values = {}
    for day, (name, said) in enumerate(about.items(), 10):
        earth.scenes.clear()
        earth.add(name, *ground, f"2021-07-{day}", **said)
        found = next(each for each in (find(number, made()) for number in range(9)) if each.data)
        with MemoryFile(found.data) as file, file.open() as patch:
            values[name] = patch.read().astype(int)
    assert (values["early"] - values["late"] == 1000).all()
    assert (values["early"] == values["mended"]).all()
    earth.scenes[0]["properties"] |= {"baseline": None, "taken_out": False}
    reasons = [find(number, made()).reasons for number in range(3)]
    assert any("offset unknown" in each for each in reasons)
    assert all(each.keys() <= {"offset unknown", "place given up", "no scene"} for each in reasons)


@pytest.mark.slow
def test_the_program_killed_by_sigkill_resumes_and_prints_what_to_do_next(
    made: Make, earth: Earth, area: Path, sensor_file: Path, tmp_path: Path, project: Path
) -> None:
    command = [
        sys.executable, str(project / "scripts" / "sample_s2.py"), str(tmp_path / "mine"), "--patches", "40",
        "--area", str(area), "--sensor", str(sensor_file), "--catalogue", earth.url, "--size", "64", "--wait", "0",
    ]  # fmt: skip

    first = subprocess.Popen([*command, "--threads", "2"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    log = tmp_path / "mine.sampled" / "found.jsonl"
    until = time.monotonic() + 300
    while time.monotonic() < until and (not log.exists() or log.read_text().count("\n") < 4):
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert 4 <= log.read_text().count("\n") < 40
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "40 of 40 patches" in done.stdout
    assert "dataset=s2_folder dataset.root=" in done.stdout
    sample(made(seed=0, places=20, dates=("2021-01-01", "2023-05-17")), 40, tmp_path / "whole")
    assert patches(tmp_path / "mine") == patches(tmp_path / "whole")
