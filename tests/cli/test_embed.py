"""`satclip embed`: every kind of file in, every kind out, the numbers of the model in the order of the rows."""

import copy
import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray

geopandas = pytest.importorskip("geopandas", reason="writes the geometries of these tests")

Ask = Callable[[NDArray[np.float64]], NDArray[np.float32]]


@pytest.fixture
def table(lonlat: NDArray[np.float64]) -> pd.DataFrame:
    names = [f'place "{i}", of many' for i in range(len(lonlat))]
    return pd.DataFrame({"name": names, "Longitude": lonlat[:, 0], "LAT": lonlat[:, 1], "rank": range(len(lonlat))})


def points(table: pd.DataFrame, crs: str = "EPSG:4326") -> Any:
    geometry = geopandas.points_from_xy(table["Longitude"], table["LAT"])
    frame = table.drop(columns=["Longitude", "LAT"])
    return geopandas.GeoDataFrame(frame, geometry=geometry, crs="EPSG:4326").to_crs(crs)


def write(table: pd.DataFrame, path: Path) -> None:
    if path.suffix in (".csv", ".gz"):
        table.to_csv(path, index=False)
    elif path.suffix == ".tsv":
        table.to_csv(path, index=False, sep="\t")
    elif path.name == "geo.parquet":
        points(table).to_parquet(path)
    elif path.name == "native.parquet":
        points(table).to_parquet(path, geometry_encoding="geoarrow")
    elif path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        points(table).to_file(path)


@pytest.mark.parametrize(
    "name",
    ["a.csv", "a.csv.gz", "a.tsv", "a.parquet", "geo.parquet", "native.parquet", "a.gpkg", "a.geojson"],
)
def test_every_kind_of_table_gives_the_numbers_of_the_model_in_order(
    name: str, table: pd.DataFrame, lonlat: Any, expected: Ask, model: str, satclip: Any, tmp_path: Path
) -> None:
    write(table, tmp_path / name)
    outcome = satclip("embed", tmp_path / name, "--model", model, "-o", tmp_path / "out.parquet")
    assert outcome.code == 0, outcome.err
    assert "200 places, 5 numbers each" in outcome.err
    result = pq.read_table(tmp_path / "out.parquet")
    assert result.schema.field("embedding").type == pa.list_(pa.field("element", pa.float32()), 5)
    np.testing.assert_allclose(np.stack(result["embedding"].to_numpy()), expected(lonlat), atol=1e-5)
    assert result["name"].to_pylist() == table["name"].tolist()
    assert result["rank"].to_pylist() == table["rank"].tolist()


@pytest.mark.parametrize("name", ["geo.parquet", "a.gpkg", "a.geojson"])
def test_points_stay_points_in_geoparquet(
    name: str, table: pd.DataFrame, lonlat: Any, model: str, satclip: Any, tmp_path: Path
) -> None:
    write(table, tmp_path / name)
    satclip("embed", tmp_path / name, "--model", model, "-o", tmp_path / "out.parquet")
    result = geopandas.read_parquet(tmp_path / "out.parquet")
    assert result.crs.equals("EPSG:4326", ignore_axis_order=True)
    np.testing.assert_allclose(result.geometry.get_coordinates().to_numpy(), lonlat, atol=1e-6)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_csv_keeps_the_columns_and_adds_one_for_each_number(
    suffix: str, table: pd.DataFrame, lonlat: Any, expected: Ask, model: str, satclip: Any, tmp_path: Path
) -> None:
    write(table, tmp_path / "in.csv")
    target = tmp_path / f"out{suffix}"
    assert satclip("embed", tmp_path / "in.csv", "--model", model, "-o", target).code == 0
    text = target.read_bytes()
    result = pd.read_csv(io.BytesIO(gzip.decompress(text) if suffix == ".csv.gz" else text))
    assert list(result) == [*table, "e0", "e1", "e2", "e3", "e4"]
    pd.testing.assert_frame_equal(result[list(table)], table, check_exact=True)
    np.testing.assert_allclose(result[["e0", "e1", "e2", "e3", "e4"]].to_numpy(), expected(lonlat), atol=1e-5)


def test_points_become_lon_and_lat_in_csv(
    table: pd.DataFrame, lonlat: Any, model: str, satclip: Any, tmp_path: Path
) -> None:
    write(table, tmp_path / "in.gpkg")
    assert satclip("embed", tmp_path / "in.gpkg", "--model", model, "-o", tmp_path / "out.csv").code == 0
    result = pd.read_csv(tmp_path / "out.csv")
    assert list(result)[:4] == ["name", "rank", "lon", "lat"]
    np.testing.assert_allclose(result[["lon", "lat"]].to_numpy(), lonlat, atol=1e-9)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12), ("float16", 2e-3)])
def test_npy_holds_the_embeddings_alone_in_the_type_asked_for(
    dtype: str,
    tolerance: float,
    table: pd.DataFrame,
    lonlat: Any,
    encoder: Any,
    model: str,
    satclip: Any,
    tmp_path: Path,
) -> None:
    write(table, tmp_path / "in.csv")
    target = tmp_path / "out.npy"
    assert satclip("embed", tmp_path / "in.csv", "--model", model, "-o", target, "--dtype", dtype).code == 0
    result = np.load(target)
    wide = copy.deepcopy(encoder).double()(torch.from_numpy(lonlat)).detach().numpy()
    assert result.dtype == dtype
    np.testing.assert_allclose(result, wide, atol=tolerance)


def test_other_reference_systems_are_turned_into_degrees(
    table: pd.DataFrame, lonlat: Any, expected: Ask, model: str, satclip: Any, tmp_path: Path
) -> None:
    inside = np.abs(lonlat[:, 1]) < 80
    points(table[inside], "EPSG:3857").to_file(tmp_path / "mercator.gpkg")
    xy = points(table[inside], "EPSG:3857").geometry.get_coordinates()
    xy.to_csv(tmp_path / "mercator.csv", index=False)
    for name, extra in (("mercator.gpkg", ()), ("mercator.csv", ("--crs", "EPSG:3857"))):
        target = tmp_path / f"{name}.npy"
        assert satclip("embed", tmp_path / name, "--model", model, "-o", target, *extra).code == 0
        np.testing.assert_allclose(np.load(target), expected(lonlat[inside]), atol=1e-5)


def test_a_geopackage_of_several_layers_wants_one_named(
    table: pd.DataFrame, lonlat: Any, expected: Ask, model: str, satclip: Any, tmp_path: Path
) -> None:
    points(table[:5]).to_file(tmp_path / "in.gpkg", layer="few")
    points(table).to_file(tmp_path / "in.gpkg", layer="all")
    target = tmp_path / "out.npy"
    outcome = satclip("embed", tmp_path / "in.gpkg", "--model", model, "-o", target)
    assert outcome.code == 1
    assert "--layer: few, all" in outcome.err
    outcome = satclip("embed", tmp_path / "in.gpkg", "--model", model, "-o", target, "--layer", "none")
    assert outcome.code == 1
    assert "has few, all" in outcome.err
    assert satclip("embed", tmp_path / "in.gpkg", "--model", model, "-o", target, "--layer", "few").code == 0
    np.testing.assert_allclose(np.load(target), expected(lonlat[:5]), atol=1e-5)


def test_a_long_file_is_read_in_many_pieces_and_keeps_its_order(
    expected: Ask, model: str, satclip: Any, tmp_path: Path
) -> None:
    rows = 80_000
    longitude = np.linspace(-180, 180, rows).round(6)
    frame = pd.DataFrame({"lon": longitude, "lat": longitude / 2, "text": "x" * 40})
    frame.to_csv(tmp_path / "in.csv", index=False)
    frame.to_parquet(tmp_path / "in.parquet")
    for name in ("in.csv", "in.parquet"):
        assert satclip("embed", tmp_path / name, "--model", model, "-o", tmp_path / "out.npy").code == 0
        np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected(frame[["lon", "lat"]].to_numpy()), atol=1e-5)


def test_a_table_without_rows_gives_a_table_without_rows(model: str, satclip: Any, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("lon,lat\n")
    assert satclip("embed", tmp_path / "in.csv", "--model", model, "-o", tmp_path / "out.npy").code == 0
    assert np.load(tmp_path / "out.npy").shape == (0, 5)
    assert satclip("embed", tmp_path / "in.csv", "--model", model, "-o", tmp_path / "out.parquet").code == 0
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 0


def test_the_published_format_gives_the_published_numbers(reference: Path, satclip: Any, tmp_path: Path) -> None:
    printed = np.load(reference / "official_format_l10_expected.npz")
    pd.DataFrame(printed["lonlat"], columns=["lon", "lat"]).to_csv(tmp_path / "in.csv", index=False)
    checkpoint, target = reference / "official_format_l10.ckpt", tmp_path / "out.npy"
    assert satclip("embed", tmp_path / "in.csv", "--model", checkpoint, "-o", target, "--dtype", "float64").code == 0
    np.testing.assert_allclose(np.load(target), printed["location"], atol=1e-10)
