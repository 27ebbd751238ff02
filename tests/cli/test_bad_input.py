"""What is wrong with an input is said in a line, before any work, and leaves no file."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

Ask = Callable[[NDArray[np.float64]], NDArray[np.float32]]

BAD = "lon,lat,name\n13,52,a\n13,95,b\n,4,c\n7,8,d\nabc,1,e\n400,0,f\n2, +48.5 ,g\n"


@pytest.fixture
def run(satclip: Any, model: str, tmp_path: Path) -> Any:
    """Embed a CSV of this text, and see what is left."""

    def embed(text: str, *extra: str, name: str = "in.csv", target: str = "out.csv") -> Any:
        (tmp_path / name).write_text(text)
        outcome = satclip("embed", tmp_path / name, "--model", model, "-o", tmp_path / target, *extra)
        assert (tmp_path / target).exists() == (outcome.code == 0)
        assert "Traceback" not in outcome.err
        assert not list(tmp_path.glob(".*"))
        return outcome

    return embed


def test_bad_rows_stop_the_work_and_are_listed_by_number(run: Any) -> None:
    outcome = run(BAD)
    assert outcome.code == 1
    assert "4 of 7 rows are not (longitude, latitude)" in outcome.err
    for line in ("row 2: (13, 95)", "row 3: (nan, 4)", "row 5: (nan, 1)", "row 6: (400, 0)"):
        assert line in outcome.err
    assert "--bad drop" in outcome.err
    assert "counting rows of data from 1" in outcome.err


def test_row_numbers_count_from_the_start_of_the_file_and_ten_are_shown(
    satclip: Any, model: str, tmp_path: Path
) -> None:
    latitude = np.zeros(200_000)
    latitude[150_000:150_025] = 91
    pd.DataFrame({"lon": 0.0, "lat": latitude}).to_parquet(tmp_path / "in.parquet")
    outcome = satclip("embed", tmp_path / "in.parquet", "--model", model, "-o", tmp_path / "out.npy")
    assert outcome.code == 1
    assert "25 of 200000 rows" in outcome.err
    assert "row 150001: (0, 91)" in outcome.err
    assert "row 150010: (0, 91)" in outcome.err
    assert "row 150011:" not in outcome.err
    assert "and 15 more" in outcome.err


def test_bad_rows_can_be_left_out(run: Any, expected: Ask, tmp_path: Path) -> None:
    outcome = run(BAD, "--bad", "drop")
    assert outcome.code == 0
    assert "3 places" in outcome.err
    assert "4 rows with invalid coordinates were skipped" in outcome.err
    result = pd.read_csv(tmp_path / "out.csv")
    assert result["name"].tolist() == ["a", "d", "g"]
    wanted = expected(np.array([[13, 52], [7, 8], [2, 48.5]]))
    np.testing.assert_allclose(result.filter(regex=r"^e\d").to_numpy(), wanted, atol=1e-5)


def test_bad_rows_can_be_kept_as_nan(run: Any, expected: Ask, tmp_path: Path) -> None:
    outcome = run(BAD, "--bad", "nan", target="out.npy")
    assert outcome.code == 0
    assert "4 rows with invalid coordinates were embedded as NaN" in outcome.err
    result = np.load(tmp_path / "out.npy")
    assert np.isnan(result).all(axis=1).tolist() == [False, True, True, False, True, True, False]
    np.testing.assert_allclose(result[[0, 3]], expected(np.array([[13.0, 52], [7, 8]])), atol=1e-5)


def test_columns_that_can_only_be_latitude_longitude_are_told(run: Any) -> None:
    outcome = run("a,b\n52.5,13.4\n-33.9,151.2\n", "--lon", "a", "--lat", "b")
    assert outcome.code == 1
    assert "the columns look like latitude, longitude" in outcome.err
    assert "longitude comes first" in outcome.err


def test_metres_are_told_from_degrees_and_the_way_out_is_a_reference_system(run: Any) -> None:
    metres = "x,y\n1490000,6890000\n-3760000,-4010000\n"
    outcome = run(metres)
    assert outcome.code == 1
    assert "look like metres of a projection, not degrees: say which with --crs" in outcome.err
    assert "say which with --crs" in run(metres, "--bad", "nan").err
    assert run(metres, "--crs", "EPSG:3857", target="degrees.csv").code == 0


def test_numbers_that_stand_for_missing_are_no_projection(run: Any) -> None:
    assert "metres" not in run("lon,lat\n" + "13.4,52.5\n" * 30 + "-9999,-9999\n" * 10).err


def test_a_single_slip_among_many_rows_is_no_swap(run: Any) -> None:
    outcome = run("lon,lat\n" + "13.4,52.5\n" * 300 + "13.4,152.5\n")
    assert "row 301: (13.4, 152.5)" in outcome.err
    assert "look like" not in outcome.err


def test_a_swap_is_not_suspected_where_the_rows_are_wrong_either_way(run: Any) -> None:
    assert "look like" not in run("lon,lat\n52.5,13.4\n-33.9,151.2\n170,5\n").err


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("lon,lat", ()),
        ("LNG,Lat", ()),
        ("Long,LATITUDE", ()),
        ("longitude,latitude", ()),
        ("x,Y", ()),
        ("a,b", ("--lon", "a", "--lat", "b")),
        ("a,lat", ("--lon", "a")),
    ],
)
def test_columns_are_found_by_name_in_any_case_or_given(
    header: str, names: tuple[str, ...], run: Any, expected: Ask, tmp_path: Path
) -> None:
    assert run(f"{header}\n13,52\n", *names, target="out.npy").code == 0
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected(np.array([[13.0, 52.0]])), atol=1e-5)


def test_degrees_win_over_x_and_y(run: Any, expected: Ask, tmp_path: Path) -> None:
    assert run("x,y,lon,lat\n500000,6000000,13,52\n", target="out.npy").code == 0
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected(np.array([[13.0, 52.0]])), atol=1e-5)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("lon,longitude,lat", "lon, longitude could all be meant"),
        ("lon,lat,Latitude", "lat, Latitude could all be meant"),
        ("place,value,size", "no columns named like longitude and latitude"),
        ("lon,y,size", "no columns named like longitude and latitude"),
    ],
)
def test_unclear_columns_are_listed_and_the_options_named(header: str, said: str, run: Any) -> None:
    outcome = run(f"{header}\n1,2,3\n")
    assert outcome.code == 1
    assert said in outcome.err
    assert "--lon" in outcome.err
    assert "--lat" in outcome.err
    assert f"the columns are: {', '.join(header.split(','))}" in outcome.err


def test_a_column_that_is_not_there_is_named(run: Any) -> None:
    outcome = run("a,b\n1,2\n", "--lon", "c", "--lat", "b")
    assert outcome.code == 1
    assert "--lon c: no such column; the columns are: a, b" in outcome.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Empty CSV file"),
        ("lon,lat\n1,2\n3,4,5\n", "Expected 2 columns, got 3"),
        ("lon,lat,lat\n1,2,3\n", "two columns share a name"),
        ("lon,lat,e3\n1,2,3\n", "the input has a column e3"),
    ],
)
def test_a_broken_table_is_told(text: str, said: str, run: Any) -> None:
    outcome = run(text)
    assert outcome.code == 1
    assert said in outcome.err


def test_text_that_is_not_utf8_is_told(satclip: Any, model: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes("name,lon,lat\nKöln,7,51\n".encode("latin-1"))
    outcome = satclip("embed", tmp_path / "in.csv", "--model", model, "-o", tmp_path / "out.csv")
    assert outcome.code == 1
    assert "UTF8" in outcome.err
    assert outcome.err.endswith("and UTF-8: save it again so\n")


@pytest.mark.parametrize("name", ["in.parquet", "in.gpkg", "in.geojson", "in.csv.gz"])
def test_a_file_of_another_kind_than_its_name_says_is_told(name: str, run: Any) -> None:
    outcome = run("no such thing", name=name)
    assert outcome.code == 1
    assert name in outcome.err
    assert outcome.err.endswith(": save it again so\n" if ".csv" in name else "; fetch or write the file again\n")


def test_geometries_that_are_no_points_are_told(satclip: Any, model: str, tmp_path: Path) -> None:
    text = (
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {}, '
        '"geometry": {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}}]}'
    )
    (tmp_path / "in.geojson").write_text(text)
    outcome = satclip("embed", tmp_path / "in.geojson", "--model", model, "-o", tmp_path / "out.npy")
    assert outcome.code == 1
    assert "must be points, there is a LINESTRING" in outcome.err


def test_a_missing_or_empty_point_is_a_bad_row(satclip: Any, model: str, tmp_path: Path) -> None:
    features = ",".join(
        f'{{"type": "Feature", "properties": {{"i": {i}}}, "geometry": {geometry}}}'
        for i, geometry in enumerate(('{"type": "Point", "coordinates": [1, 2]}', "null"))
    )
    (tmp_path / "in.geojson").write_text(f'{{"type": "FeatureCollection", "features": [{features}]}}')
    outcome = satclip("embed", tmp_path / "in.geojson", "--model", model, "-o", tmp_path / "out.npy")
    assert outcome.code == 1
    assert "row 2: (nan, nan)" in outcome.err


def test_columns_that_are_no_numbers_are_told(satclip: Any, model: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"lon": [[1.0]], "lat": [2.0]}), tmp_path / "in.parquet")
    outcome = satclip("embed", tmp_path / "in.parquet", "--model", model, "-o", tmp_path / "out.npy")
    assert outcome.code == 1
    assert "column lon holds list<" in outcome.err


def test_columns_that_csv_cannot_hold_are_told(satclip: Any, model: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"lon": [1.0], "lat": [2.0], "tags": [["a", "b"]]}), tmp_path / "in.parquet")
    outcome = satclip("embed", tmp_path / "in.parquet", "--model", model, "-o", tmp_path / "out.csv")
    assert outcome.code == 1
    assert "write .parquet instead" in outcome.err
    assert satclip("embed", tmp_path / "in.parquet", "--model", model, "-o", tmp_path / "out.parquet").code == 0
    assert pq.read_table(tmp_path / "out.parquet")["tags"].to_pylist() == [["a", "b"]]


@pytest.mark.parametrize("crs", ["EPSG:999999", "nonsense"])
def test_an_unknown_reference_system_is_told(crs: str, run: Any) -> None:
    outcome = run("lon,lat\n1,2\n", "--crs", crs)
    assert outcome.code == 1
    assert f"--crs {crs}" in outcome.err
    assert "give a code such as EPSG:3857" in outcome.err


def test_a_file_that_does_not_say_its_reference_system_wants_it_given(
    satclip: Any, expected: Ask, model: str, tmp_path: Path
) -> None:
    geopandas = pytest.importorskip("geopandas")
    geometry = geopandas.points_from_xy([13.0], [52.0])
    geopandas.GeoDataFrame({"a": [1]}, geometry=geometry).to_parquet(tmp_path / "in.parquet")
    arguments = ("embed", tmp_path / "in.parquet", "--model", model, "-o", tmp_path / "out.npy")
    outcome = satclip(*arguments)
    assert outcome.code == 1
    assert "give --crs" in outcome.err
    assert satclip(*arguments, "--crs", "EPSG:4326").code == 0
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected(np.array([[13.0, 52.0]])), atol=1e-5)


def test_radians_are_spoken_of_and_embedded_all_the_same(run: Any) -> None:
    rows = [f"{math.radians(30 * k - 170)},{math.radians(10 * k - 60)}" for k in range(12)]
    outcome = run("\n".join(["lon,lat", *rows]) + "\n")
    assert outcome.code == 0
    assert "Warning: all places lie within 1.6 degrees of the equator" in outcome.err
    assert "if they are radians, turn them into degrees" in outcome.err
