"""Where a file says where its places are, they are there: no option and no message puts them elsewhere."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

geopandas = pytest.importorskip("geopandas", reason="writes the geometries of these tests")
shapely = pytest.importorskip("shapely")

PARIS = np.array([[2.35, 48.86]])


def lambert(path: Path) -> Path:
    points = geopandas.points_from_xy(*PARIS.T)
    frame = geopandas.GeoDataFrame({"name": ["Paris"]}, geometry=points, crs="EPSG:4326").to_crs("EPSG:2154")
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path)
    return path


@pytest.fixture
def run(satclip: Any, model: str, tmp_path: Path) -> Any:
    def embed(source: Path, *extra: str) -> Any:
        return satclip("embed", source, "--model", model, "-o", tmp_path / "out.npy", *extra)

    return embed


@pytest.mark.parametrize("name", ["in.gpkg", "in.parquet", "in.shp", "in.fgb"])
@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
def test_an_option_does_not_override_what_the_file_says(name: str, crs: str, run: Any, tmp_path: Path) -> None:
    outcome = run(lambert(tmp_path / name), "--crs", crs)
    assert outcome.code == 1
    assert f"{name} says that it is in EPSG:2154 (RGF93 v1 / Lambert-93): leave --crs out" in outcome.err
    assert not (tmp_path / "out.npy").exists()


@pytest.mark.parametrize("name", ["in.gpkg", "in.parquet"])
@pytest.mark.parametrize("extra", [(), ("--crs", "EPSG:2154")])
def test_an_option_that_says_the_same_changes_nothing(
    name: str, extra: tuple[str, ...], run: Any, expected: Any, tmp_path: Path
) -> None:
    assert run(lambert(tmp_path / name), *extra).code == 0
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected(PARIS), atol=1e-5)


def test_no_message_proposes_a_reference_system_for_metres(run: Any, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("x,y\n652329,6862047\n")
    said = run(tmp_path / "in.csv").err
    assert "look like metres" in said
    assert "EPSG" not in said
    (tmp_path / "in.csv").write_text("x,y\n652329,6862047\n")
    assert "but --crs EPSG:4326" in run(tmp_path / "in.csv", "--crs", "EPSG:4326").err
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [652329, 6862047]}}
    (tmp_path / "in.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    assert "but the file says EPSG:4326" in run(tmp_path / "in.geojson").err


def test_a_shapefile_without_prj_takes_the_option(run: Any, expected: Any, tmp_path: Path) -> None:
    source = lambert(tmp_path / "in.shp")
    (tmp_path / "in.prj").unlink()
    assert "give --crs" in run(source).err
    assert run(source, "--crs", "EPSG:2154").code == 0
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected(PARIS), atol=1e-5)


@pytest.mark.parametrize("name", ["in.gpkg", "in.parquet", "in.geojson"])
def test_one_point_in_a_collection_is_a_point_and_height_is_left_out(
    name: str, run: Any, expected: Any, tmp_path: Path
) -> None:
    shapes = [shapely.MultiPoint([(1, 2)]), shapely.Point(3, 4, 5), shapely.GeometryCollection([shapely.Point(5, 6)])]
    frame = geopandas.GeoDataFrame({"a": range(3)}, geometry=shapes, crs="EPSG:4326")
    if name.endswith("parquet"):
        frame.to_parquet(tmp_path / name)
    else:
        frame.to_file(tmp_path / name)
    assert run(tmp_path / name).code == 0
    wanted = expected(np.array([[1.0, 2], [3, 4], [5, 6]]))
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), wanted, atol=1e-5)


def test_several_points_in_one_row_are_refused(run: Any, tmp_path: Path) -> None:
    shapes = [shapely.MultiPoint([(1, 2), (3, 4)])]
    geopandas.GeoDataFrame({"a": [1]}, geometry=shapes, crs="EPSG:4326").to_file(tmp_path / "in.gpkg")
    assert "MULTIPOINT of 2 parts" in run(tmp_path / "in.gpkg").err


def test_a_table_of_styles_is_no_layer_to_choose(run: Any, expected: Any, tmp_path: Path) -> None:
    source = lambert(tmp_path / "in.gpkg")
    with sqlite3.connect(source) as tables:
        tables.execute("create table layer_styles (id integer primary key, f_table_name text)")
        tables.execute("insert into gpkg_contents (table_name, data_type) values ('layer_styles', 'attributes')")
    tables.close()
    assert run(source).code == 0
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected(PARIS), atol=1e-5)
    assert "layer layer_styles has no geometry" in run(source, "--layer", "layer_styles").err


@pytest.mark.parametrize(
    "geo",
    ["no json", "[]", "{}", '{"primary_column": "geometry", "columns": {"geometry": {}}}', '{"primary_column": "lon"}'],
)
def test_metadata_of_a_geometry_that_is_not_there_decides_nothing(
    geo: str, satclip: Any, model: str, expected: Any, tmp_path: Path
) -> None:
    table = pa.table({"lon": PARIS[:, 0], "lat": PARIS[:, 1]}).replace_schema_metadata({"geo": geo, "mine": "kept"})
    pq.write_table(table, tmp_path / "in.parquet")
    target = tmp_path / "out.parquet"
    assert satclip("embed", tmp_path / "in.parquet", "--model", model, "-o", target).code == 0
    found = pq.read_table(target)
    np.testing.assert_allclose(np.stack(found["embedding"].to_numpy()), expected(PARIS), atol=1e-5)
    assert found.schema.metadata == {b"mine": b"kept"}


def test_points_with_a_reference_system_of_their_own_are_refused(run: Any, tmp_path: Path) -> None:
    own = shapely.to_wkb(shapely.set_srid(shapely.Point(652329, 6862047), 2154), include_srid=True)
    geo = {"version": "1.0.0", "primary_column": "g", "columns": {"g": {"encoding": "WKB", "geometry_types": []}}}
    table = pa.table({"g": [own]}).replace_schema_metadata({"geo": json.dumps(geo)})
    pq.write_table(table, tmp_path / "in.parquet")
    assert "SRID 2154 (EWKB)" in run(tmp_path / "in.parquet").err


def test_text_of_geojson_that_looks_like_a_date_stays_as_it_is(satclip: Any, model: str, tmp_path: Path) -> None:
    properties = {"day": "2020/01/02", "time": "2020-01-01T00:00:00Z", "code": "007"}
    feature = {"type": "Feature", "properties": properties, "geometry": {"type": "Point", "coordinates": [1, 2]}}
    (tmp_path / "in.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    target = tmp_path / "out.csv"
    assert satclip("embed", tmp_path / "in.geojson", "--model", model, "-o", target).code == 0
    assert '"2020/01/02","2020-01-01T00:00:00Z","007"' in target.read_text()


def test_any_type_of_parquet_comes_out_as_it_went_in(satclip: Any, model: str, tmp_path: Path) -> None:
    table = pa.table(
        {
            "lon": pa.array([1, 2], pa.uint64()),
            "lat": pa.array(["3", "4"]).dictionary_encode(),
            "category": pa.array(["a", None]).dictionary_encode(),
            "time": pa.array([0, 1], pa.timestamp("us", "Europe/Paris")),
            "price": pa.array(["1.10", None]).cast(pa.decimal128(9, 2)),
            "nested": [[{"a": [1]}], None],
            "large": pa.array(["x", None], pa.large_string()),
            "view": pa.array(["x", None], pa.string_view()),
            "nothing": pa.nulls(2),
            "": [1, 2],
        }
    ).replace_schema_metadata({"mine": "kept"})
    pq.write_table(table, tmp_path / "in.parquet")
    before = pq.read_table(tmp_path / "in.parquet")
    assert satclip("embed", tmp_path / "in.parquet", "--model", model, "-o", tmp_path / "out.parquet").code == 0
    after = pq.read_table(tmp_path / "out.parquet").drop_columns("embedding")
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after.equals(before)


def test_whole_numbers_beyond_any_degree_are_bad_rows(run: Any, tmp_path: Path) -> None:
    pq.write_table(pa.table({"lon": pa.array([2**64 - 1], pa.uint64()), "lat": [2**60]}), tmp_path / "in.parquet")
    outcome = run(tmp_path / "in.parquet")
    assert outcome.code == 1
    assert "lon 18446744073709551615 is not in [-180, 360]" in outcome.err


def test_columns_of_parquet_that_share_a_name_are_refused(run: Any, tmp_path: Path) -> None:
    table = pa.table({"lon": [1.0], "lat": [2.0], "a": [3.0]}).rename_columns(["lon", "lat", "lat"])
    pq.write_table(table, tmp_path / "in.parquet")
    assert "two columns share a name: lat" in run(tmp_path / "in.parquet").err


def test_other_rows_than_the_file_says_are_refused(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"lon": np.zeros(9), "lat": np.zeros(9)}), tmp_path / "in.parquet")
    from satclip.cli.tables.parquet import ParquetPlaces

    batches = ParquetPlaces._batches
    monkeypatch.setattr(ParquetPlaces, "_batches", lambda *given: (batch.slice(1) for batch in batches(*given)))
    assert "8 rows were read of 9" in run(tmp_path / "in.parquet").err
