"""A store is whole or not there; what a killed process has done is not lost."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from satclip.index import Store, open_store
from satclip.index.writing import StoreWriter
from satclip.location.encoder import LocationEncoder

WIDTHS = {"keys": 3, "values": 2}


def rows(first: int, count: int) -> dict[str, Any]:
    numbers = np.arange(first, first + count, dtype=np.float64)
    lonlat = np.stack((numbers, -numbers), 1)
    return {"lonlat": lonlat, "keys": np.stack([numbers] * 3, 1), "values": np.stack([numbers] * 2, 1)}


def finished(writer: StoreWriter) -> Store:
    writer.finish(sharpness={}, explained={}, chosen_by=0, left_out={})
    return open_store(writer.target)


def test_what_is_written_is_read_back_memory_mapped_with_its_counts(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "store", {"encoder": "a"}, WIDTHS)
    writer.append(5, **rows(0, 4))  # one was bad
    writer.append(3, **rows(4, 3))
    assert writer.array("keys").shape == (7, 3)
    store = finished(writer)
    assert (store.manifest["asked"], store.manifest["written"], len(store)) == (8, 7, 7)
    assert isinstance(store.keys, np.memmap)
    assert (store.keys.dtype, store.lonlat.dtype) == (np.float16, np.float64)
    assert store.values[:, 1].tolist() == list(range(7))
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")) == ["store"]


def test_a_killed_process_is_gone_on_with_and_nothing_comes_twice(tmp_path: Path) -> None:
    first = StoreWriter(tmp_path / "store", {"encoder": "a"}, WIDTHS)
    first.append(4, **rows(0, 4))
    first.close()
    with (first.part / "keys.raw").open("ab") as file:  # killed in the middle of the next append
        file.write(b"half a row")
    second = StoreWriter(tmp_path / "store", {"encoder": "a"}, WIDTHS)
    assert (second.asked, second.written) == (4, 4)
    second.append(2, **rows(4, 2))
    assert finished(second).keys[:, 0].tolist() == list(range(6))


@pytest.mark.parametrize("identity", [{"encoder": "b"}, {"encoder": "a", "patches": "other"}])
def test_what_was_left_for_another_store_is_not_used(tmp_path: Path, identity: dict[str, str]) -> None:
    first = StoreWriter(tmp_path / "store", {"encoder": "a"}, WIDTHS)
    first.append(4, **rows(0, 4))
    first.close()
    second = StoreWriter(tmp_path / "store", identity, WIDTHS)
    second.close()
    assert second.asked == 0


def test_until_the_end_the_old_store_stays(tmp_path: Path) -> None:
    old = StoreWriter(tmp_path / "store", {"encoder": "a"}, WIDTHS)
    old.append(2, **rows(0, 2))
    finished(old)
    new = StoreWriter(tmp_path / "store", {"encoder": "b"}, WIDTHS)
    new.append(3, **rows(5, 3))
    assert len(open_store(tmp_path / "store")) == 2
    assert finished(new).manifest["encoder"] == "b"


def test_numbers_that_float16_cannot_hold_are_refused(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "store", {}, WIDTHS)
    for bad in (1e6, np.nan):
        wrong = rows(0, 2)
        wrong["values"][0, 0] = bad
        with pytest.raises(ValueError, match="values of a patch are NaN or too large for float16"):
            writer.append(2, **wrong)
    writer.close()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(FileExistsError, match="holds something else, which would be lost"):
        StoreWriter(tmp_path / "mine", {}, WIDTHS)


def flipped(folder: Path) -> None:
    content = bytearray((folder / "values.npy").read_bytes())
    content[-1] ^= 1
    (folder / "values.npy").write_bytes(content)


def cut(folder: Path) -> None:
    (folder / "keys.npy").write_bytes((folder / "keys.npy").read_bytes()[:-4])


def other_version(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format": 2}))


def swapped(folder: Path) -> None:
    (folder / "keys.npy").write_bytes((folder / "lonlat.npy").read_bytes())


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (flipped, r"values\.npy is damaged \(its checksum differs"),
        (cut, r"keys\.npy cannot be read"),
        (swapped, r"keys\.npy holds float64 \[50, 2\], not float16 \[50, 8\]"),
        (other_version, "is a store of format 2, this version reads 1"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "is no manifest of a store"),
    ],
)
def test_a_damaged_store_is_refused_with_how_to_build_it_again(
    damage: Callable[[Path], Any], told: str, encoder: LocationEncoder, make_store: Callable[..., Store]
) -> None:
    folder = make_store(encoder, 50).folder
    damage(folder)
    with pytest.raises(ValueError, match=f"{told}.*; build it again: satclip index SOURCE -o "):
        open_store(folder)


def test_where_there_is_none_it_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no store in .*; satclip index SOURCE -o"):
        open_store(tmp_path)
