"""Vectors by place, as people and `satclip embed` keep them."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray

from satclip.cli.app import app
from satclip.data.features.opening import facts_of
from satclip.data.features.table import VectorTable
from satclip.sphere import uniform_on_sphere

Array = NDArray[np.float32]
Write = Callable[[Path, Array, Array], Path]


def parquet(folder: Path, lonlat: Array, vectors: Array) -> Path:
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    table = pa.table(
        {"latitude": lonlat[:, 1], "longitude": lonlat[:, 0], "embedding": lists, "id": range(len(lonlat))}
    )
    pq.write_table(table, folder / "teacher.parquet")
    return folder / "teacher.parquet"


def columns(folder: Path, lonlat: Array, vectors: Array) -> Path:
    names = [f"A{number:02d}" for number in reversed(range(vectors.shape[1]))]
    numbers = dict(zip(names, vectors.T[::-1], strict=True))
    pq.write_table(pa.table({"lon": lonlat[:, 0], "lat": lonlat[:, 1], **numbers}), folder / "alphaearth.parquet")
    return folder / "alphaearth.parquet"


def text(folder: Path, lonlat: Array, vectors: Array) -> Path:
    lines = [",".join(["lat", "lon", *(f"e{number}" for number in range(vectors.shape[1]))])]
    rows = np.concatenate((lonlat[:, ::-1], vectors), 1).tolist()
    lines += [",".join("" if np.isnan(value) else repr(value) for value in row) for row in rows]
    with gzip.open(folder / "teacher.csv.gz", "wt") as file:
        file.write("\n".join(lines))
    return folder / "teacher.csv.gz"


def array(folder: Path, lonlat: Array, vectors: Array) -> Path:
    np.save(folder / "teacher.npy", vectors)
    rows = [",".join("" if np.isnan(value) else repr(value) for value in row) for row in lonlat.tolist()]
    (folder / "teacher.csv").write_text("\n".join(["x,y", *rows]))
    return folder / "teacher.npy"


WAYS = pytest.mark.parametrize("write", [parquet, columns, text, array])


@pytest.fixture
def places() -> Array:
    return uniform_on_sphere(40, torch.Generator().manual_seed(0)).numpy()


@pytest.fixture
def vectors() -> Array:
    return np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)


@WAYS
def test_what_was_written_is_read(write: Write, places: Array, vectors: Array, tmp_path: Path) -> None:
    path = write(tmp_path, places, vectors)
    table = VectorTable(path)
    torch.testing.assert_close(table.lonlat, torch.from_numpy(places), atol=1e-12, rtol=0)
    assert torch.equal(table.view(None), torch.from_numpy(vectors))
    assert facts_of(path)["dim"] == table.facts["dim"] == 12
    assert facts_of(path)["name"] == path.name.split(".")[0]


@WAYS
def test_rows_without_a_place_or_a_finite_vector_are_counted(
    write: Write, places: Array, vectors: Array, tmp_path: Path
) -> None:
    places[3], vectors[7, 2], places[9, 0] = np.nan, np.inf, 999.0
    path = write(tmp_path, places, vectors)
    with pytest.raises(
        ValueError, match=r"3 of 40 rows of .*: row 4, row 8, row 10; that is more than dataset\.max_bad"
    ):
        VectorTable(path)
    table = VectorTable(path, max_bad_fraction=0.1)
    assert table.left_out == {"without_place": 2, "not_finite": 1}
    kept = [row for row in range(40) if row not in (3, 7, 9)]
    assert table.rows.tolist() == kept
    assert torch.equal(table.view(None), torch.from_numpy(vectors[kept]))


def test_what_satclip_embed_writes_is_a_teacher(places: Array, project: Path, reference: Path, tmp_path: Path) -> None:
    rows = [f"{longitude!r},{latitude!r}" for longitude, latitude in places.tolist()]
    (tmp_path / "places.csv").write_text("\n".join(["lon,lat", *rows]))
    found = []
    for ending in ("parquet", "csv"):
        command = ["embed", str(tmp_path / "places.csv"), "--model", str(reference / "official_format_l10.ckpt")]
        done = CliRunner().invoke(app, [*command, "-o", str(tmp_path / f"out.{ending}")])
        assert done.exit_code == 0, done.output
        found.append(VectorTable(tmp_path / f"out.{ending}").view(None))
    assert found[0].shape[0] == 40
    torch.testing.assert_close(found[0], found[1])


def test_a_table_without_vectors_says_which_columns_it_wants(tmp_path: Path, places: Array) -> None:
    pq.write_table(pa.table({"lon": places[:, 0], "lat": places[:, 1], "name": ["a"] * 40}), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"has the columns lon, lat, name; its vectors need one column of lists"):
        VectorTable(tmp_path / "t.parquet")
    with pytest.raises(FileNotFoundError, match="is a store of features or a table"):
        VectorTable(tmp_path / "absent.parquet")


def test_an_array_needs_as_many_places(tmp_path: Path, places: Array, vectors: Array) -> None:
    array(tmp_path, places[:39], vectors)
    with pytest.raises(ValueError, match="has 40 rows and the places beside it 39"):
        VectorTable(tmp_path / "teacher.npy")
    (tmp_path / "teacher.csv").unlink()
    with pytest.raises(FileNotFoundError, match="which says where the rows of the vectors lie"):
        VectorTable(tmp_path / "teacher.npy")
