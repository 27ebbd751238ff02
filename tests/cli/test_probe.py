import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from satclip.downstream.benchmark.fitted import Fitted, fit
from satclip.downstream.contract import Labels
from satclip.downstream.evaluate.interpolation import InverseDistance
from satclip.downstream.rivals import source, tuned_bandwidth
from satclip.location.encoder import LocationEncoder
from satclip.sphere import uniform_on_sphere

pytest.importorskip("pyogrio", reason="maps need outlines of the land: pip install 'satclip[cli]'")
Command = Callable[..., Any]
Degrees = NDArray[np.float64]
PLACES = np.asarray(uniform_on_sphere(150, torch.Generator().manual_seed(2)).numpy())


@pytest.fixture
def table(tmp_path: Path, expected: Callable[[Degrees], NDArray[np.float32]]) -> Path:
    """A table whose `warmth` is linear in the model's embedding; `zone` is its sign, `code` a number for a class."""
    warmth = 3 * expected(PLACES)[:, 0] + expected(PLACES)[:, 1] + 7
    rows = [
        f"{east:.6f},{north:.6f},{value:.6f},{'warm' if value > 7 else 'cold'},{int(value > 7)}"
        for (east, north), value in zip(PLACES, warmth, strict=True)
    ]
    path = tmp_path / "stations.csv"
    path.write_text("\n".join(["name_lon,name_lat,warmth,zone,code", *rows, "1,2,,,"]))
    return path


@pytest.fixture
def asked(tmp_path: Path, table: Path, model: str) -> tuple[str | Path, ...]:
    options = ("--lon", "name_lon", "--lat", "name_lat", "--draws", "1", "--rivals", "none")
    return ("probe", model, table, *options, "--map", tmp_path / "errors.png")


def test_a_column_of_numbers_is_a_regression(satclip: Command, asked: tuple[str, ...], tmp_path: Path) -> None:
    outcome = satclip(*asked, "--target", "warmth", "--save", tmp_path / "p.npz")
    assert outcome.code == 0
    assert "stations_warmth: R2" in outcome.out
    assert "1.00 [1.00, 1.00]" in outcome.out
    assert (
        "150 places; regression; the mean of the labels scores 0; 1 row without a place or a value left out"
        in outcome.err
    )
    assert (tmp_path / "errors.png").read_bytes().startswith(b"\x89PNG")


def test_the_saved_probe_is_what_the_column_was_made_of(
    satclip: Command, asked: tuple[str, ...], tmp_path: Path, expected: Callable[[Degrees], NDArray[np.float32]]
) -> None:
    elsewhere = np.array([[12.0, 48.0], [-70.0, -30.0]])
    for name in ("p.npz", "p.safetensors"):
        assert satclip(*asked, "--target", "warmth", "--save", tmp_path / name).code == 0
        kept = Fitted.load(tmp_path / name)
        vectors = expected(elsewhere)
        np.testing.assert_allclose(kept(vectors), 3 * vectors[:, 0] + vectors[:, 1] + 7, atol=1e-3)
        assert kept.about["labels"] == "150"


def test_a_column_of_words_is_classes_and_so_is_one_of_codes_where_it_is_said(
    satclip: Command, asked: tuple[str, ...], tmp_path: Path
) -> None:
    assert "stations_zone: accuracy" in satclip(*asked, "--target", "zone", "--save", tmp_path / "p.npz").out
    assert Fitted.load(tmp_path / "p.npz").classes == ("cold", "warm")
    assert "stations_code: accuracy" in satclip(*asked, "--target", "code", "--classes").out


def test_a_grid_holds_the_prediction_at_the_centres_of_its_cells(
    satclip: Command, asked: tuple[str, ...], tmp_path: Path, expected: Callable[[Degrees], NDArray[np.float32]]
) -> None:
    import rasterio

    where = ("--resolution", "10", "--bounds", "-20", "30", "40", "60")
    assert satclip(*asked, "--target", "warmth", "--predict", tmp_path / "w.tif", *where).code == 0
    with rasterio.open(tmp_path / "w.tif") as file:
        values, tags, bands = file.read(1), file.tags(), file.descriptions
        east, north = file.xy(1, 2)
    assert values.shape == (3, 6)
    assert bands == ("warmth",)
    assert "model" in tags
    vectors = expected(np.array([[east, north]]))
    assert values[1, 2] == pytest.approx(3 * vectors[0, 0] + vectors[0, 1] + 7, abs=1e-3)


def test_a_grid_of_classes_names_its_codes(satclip: Command, asked: tuple[str, ...], tmp_path: Path) -> None:
    import rasterio

    asked_grid = ("--target", "zone", "--predict", tmp_path / "z.tif", "--resolution", "30")
    assert satclip(*asked, *asked_grid).code == 0
    with rasterio.open(tmp_path / "z.tif") as file:
        assert set(np.unique(file.read(1))) <= {0, 1}
        assert file.tags()["classes"] == "0 = cold, 1 = warm"


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--target", "wormth"), 1, "none called wormth; did you mean warmth?"),
        (("--target", "warmth", "--save", "p.txt"), 2, "must end in one of .npz, .safetensors"),
        (("--target", "warmth", "--predict", "w.jpg"), 2, "must end in one of .tif"),
        (("--target", "zone", "--regression"), 1, "is no number"),
        (("--target", "name_lon"), 1, "name_lon is a coordinate of the places themselves; give another column"),
        (("--target", "warmth", "--classes"), 1, "no classes; give another column, or say --regression"),
        (("--target", "warmth", "--bounds", "0", "0", "9", "9"), 2, "--bounds is of a grid, and none is asked for"),
        (("--target", "warmth", "--resolution", "5"), 2, "give --predict as well"),
        (("--target", "warmth", "--predict", "no/w.tif"), 2, "for --predict: there is no folder no: make it first"),
        (("--target", "warmth", "--predict", "w.tif", "--resolution", "0.0001"), 2, "take a larger cell"),
        (("--target", "warmth", "-o", "stations.csv/r"), 1, "is a file, so there can be no folder"),
    ],
)
def test_what_cannot_be_is_said(
    satclip: Command,
    asked: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    code: int,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = satclip(*asked, *options)
    assert outcome.code == code
    assert told in outcome.err
    assert outcome.out == ""  # before any work


def test_longitude_and_latitude_are_asked_for_where_no_name_tells(
    satclip: Command, table: Path, model: str, tmp_path: Path
) -> None:
    outcome = satclip("probe", model, table, "--target", "warmth", "--map", tmp_path / "e.png")
    assert outcome.code == 1
    assert "give --lon and --lat" in outcome.err


def test_a_method_without_vectors_has_no_probe_to_keep() -> None:
    with pytest.raises(ValueError, match="gives no vectors"):
        fit(InverseDistance(), Labels("north", PLACES, PLACES[:, 1].copy()))


def test_of_several_bandwidths_the_probe_keeps_the_one_that_was_chosen(model: str, encoder: LocationEncoder) -> None:
    base = source(model)
    labels = Labels("north", PLACES, PLACES[:, 1].copy())
    group = tuned_bandwidth(base)
    kept, chosen = fit(group, labels)
    assert chosen in group.candidates
    assert kept.about["encoder"] == chosen.name
    assert len(kept(chosen(PLACES))) == 150
    with pytest.raises(ValueError, match="vectors of 5 numbers, got 4"):
        kept(np.zeros((1, 4)))


def test_a_missing_extra_is_named(satclip: Command, asked: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert "pip install 'satclip[evaluate]'" in satclip(*asked, "--target", "warmth").err


@pytest.mark.parametrize("ending", ["parquet", "geojson", "gpkg", "tsv"])
def test_every_kind_of_table_that_is_embedded_is_probed(
    satclip: Command, asked: tuple[str, ...], table: Path, model: str, tmp_path: Path, ending: str
) -> None:
    import pyarrow as pa
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq
    import pyogrio
    import shapely

    rows, path = pacsv.read_csv(table), tmp_path / f"same.{ending}"
    options: tuple[str | Path, ...] = asked[3:]
    if ending == "parquet":
        pq.write_table(rows, path)
    elif ending == "tsv":
        path.write_text(table.read_text().replace(",", "\t"))
    else:
        points = shapely.to_wkb(shapely.points(rows["name_lon"].to_numpy(), rows["name_lat"].to_numpy()))
        layer = pa.table({"warmth": rows["warmth"], "geometry": pa.array(list(points), pa.binary())})
        pyogrio.write_arrow(layer, path, geometry_name="geometry", geometry_type="Point", crs="EPSG:4326")
        options = options[4:]
    outcome = satclip("probe", model, path, *options, "--target", "warmth")
    assert outcome.code == 0, outcome.err
    assert "same_warmth: R2" in outcome.out
    assert (
        "150 places; regression; the mean of the labels scores 0; 1 row without a place or a value left out"
        in outcome.err
    )


def test_coordinates_that_are_none_are_refused_with_their_row(
    satclip: Command, asked: tuple[str, ...], table: Path
) -> None:
    table.write_text(table.read_text() + "\n12,95,1,warm,1")
    outcome = satclip(*asked, "--target", "warmth")
    assert outcome.code == 1
    assert "1 of 152 rows are not (longitude, latitude) in degrees, the first row 152: (12, 95); mend" in outcome.err


ROWS = [f"{east:.5f},{north:.5f},{north / 3:.4f}" for east, north in PLACES]


@pytest.mark.parametrize(
    ("header", "rows", "told"),
    [
        (
            "lon,lat,y",
            [*ROWS, "1,2,<5"],
            "150 values are numbers and 1 are none, the first in row 151 of the data: '<5'",
        ),
        ("lon,lat,y", [*ROWS, "1,2,low"], "mend or empty those, or say --classes"),
        ("lon,lat,y", ROWS[:6], "6 different places with a label are too few"),
        ("lon,lat,y", [f"{row.rpartition(',')[0]},5" for row in ROWS], "every place has the same value (5)"),
        ("lon,lat,y", [f"{row.rpartition(',')[0]},st{n}" for n, row in enumerate(ROWS)], "give another column"),
        ("lon,lat,y", [f"{row.rpartition(',')[0]},2020-01-0{n % 7 + 1}" for n, row in enumerate(ROWS)], "holds dates"),
        ("lon,lat,y", [*ROWS, "abc,2,5"], "row 151: lon 'abc' is no decimal number of degrees; mend such rows"),
        ("lon,lat,y", ["1,2,3"] * 40, "1 different places"),
    ],
)
def test_a_table_in_doubt_is_refused_before_the_work(
    satclip: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: str, rows: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("\n".join([header, *rows]))
    outcome = satclip("probe", "raw", "t.csv", "--target", "y", "--rivals", "none")
    assert outcome.code == 1
    assert told in outcome.err
    assert outcome.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_dates_by_type_are_refused_and_text_that_is_numbers_is_a_regression(satclip: Command, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    when = pa.array(range(150), pa.int32()).cast(pa.date32())
    text = pa.array([f"{north:.4f}" for north in PLACES[:, 1]])
    table = {"lon": PLACES[:, 0], "lat": PLACES[:, 1], "when": when, "text": text}
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    asked = ("probe", "raw", tmp_path / "t.parquet", "--rivals", "none", "--draws", "1", "--map", tmp_path / "m.png")
    outcome = satclip(*asked, "--target", "when")
    assert outcome.code == 1
    assert "column when holds date32[day]; write dates as numbers of days" in outcome.err
    assert "t_text: R2" in satclip(*asked, "--target", "text").out


def test_a_grid_keeps_what_differs_beside_a_large_offset(satclip: Command, tmp_path: Path) -> None:
    rows = [f"{east:.5f},{north:.5f},{1e9 + north / 1000:.6f}" for east, north in PLACES]
    (tmp_path / "t.csv").write_text("\n".join(["lon,lat,y", *rows]))
    asked = ("probe", "raw", tmp_path / "t.csv", "--target", "y", "--rivals", "none", "--draws", "1")
    out = ("--map", tmp_path / "m.png", "--predict", tmp_path / "w.npy", "--resolution", "30")
    assert satclip(*asked, *out).code == 0
    grid = np.load(tmp_path / "w.npy")[:, 0, 0]
    np.testing.assert_allclose(grid - 1e9, np.arange(75, -90, -30) / 1000, atol=1e-4)


def test_a_kept_probe_refuses_another_encoder_and_a_damaged_file(tmp_path: Path) -> None:
    labels = Labels("north", PLACES, PLACES[:, 1].copy())
    mine, other = source("harmonics:3"), source("cartesian3d+cartesian3d")
    kept, encoder = fit(mine, labels)
    for name in ("p.npz", "p.safetensors"):
        kept.save(tmp_path / name)
        read = Fitted.load(tmp_path / name)
        np.testing.assert_allclose(read.predict(encoder, PLACES), kept(encoder(PLACES)))
        with pytest.raises(ValueError, match=r"whose weights are not those of .*; give that one"):
            read.predict(other, PLACES)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-40] if name == "p.npz" else b"damaged")
        with pytest.raises(ValueError, match=r"is no probe that .* wrote .*; save it anew"):
            Fitted.load(tmp_path / name)
        with pytest.raises(FileNotFoundError):
            Fitted.load(tmp_path / f"none-{name}")
