"""A table is read as whoever wrote it meant it, or refused in a line that says what is wrong with it and where."""

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

GBIF = (
    "gbifID\tlocality\tdecimalLatitude\tdecimalLongitude\n"
    "1\tplain\t48.1\t11.5\n"
    '2\t"Big Creek 5 mi N\t48.2\t11.6\n'
    "3\tplain\t48.3\t11.7\n"
    '4\t"Teich bei X\t48.5\t11.9\n'
    '5\t"quoted"\t48.6\t12.0\n'
)


@pytest.fixture
def embed(satclip: Any, model: str, tmp_path: Path) -> Any:
    """Embed a file of these bytes as CSV, and return the outcome and the rows of what was written."""

    def run(data: str | bytes, *extra: str, name: str = "in.csv") -> tuple[Any, list[list[str]]]:
        (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
        target = tmp_path / "out.csv"
        target.unlink(missing_ok=True)
        outcome = satclip("embed", tmp_path / name, "--model", model, "-o", target, *extra)
        assert target.exists() == (outcome.code == 0)
        assert "Traceback" not in outcome.err
        if outcome.code:
            return outcome, []
        rows = list(csv.reader(io.StringIO(target.read_text(), newline="")))
        return outcome, [row[:-5] for row in rows]

    return run


def read(embed: Any, data: str | bytes, *extra: str, name: str = "in.csv") -> list[list[str]]:
    outcome, rows = embed(data, *extra, name=name)
    assert outcome.code == 0, outcome.err
    return list(rows)


def refused(embed: Any, data: str | bytes, *extra: str) -> str:
    outcome, _ = embed(data, *extra)
    assert outcome.code == 1
    return str(outcome.err)


def test_a_quote_between_tabs_is_text_and_swallows_no_row(embed: Any) -> None:
    wanted = [line.split("\t") for line in GBIF.splitlines()]
    assert read(embed, GBIF, name="in.tsv") == wanted
    assert read(embed, GBIF.replace("\n", "\r\n"), name="in.txt") == wanted


def test_quotes_between_tabs_quote_where_only_that_explains_the_file(embed: Any) -> None:
    in_header = '"a"\t"lon"\t"lat"\n"x"\t1\t2\n'  # R's write.table
    assert read(embed, in_header) == [["a", "lon", "lat"], ["x", "1", "2"]]
    with_breaks = 'a\tlon\tlat\n"x\ty\nz"\t1\t2\n'  # pandas
    assert read(embed, with_breaks) == [["a", "lon", "lat"], ["x\ty\nz", "1", "2"]]
    doubled = 'a\tlon\tlat\n"a ""b"""\t1\t2\n'
    assert read(embed, doubled) == [["a", "lon", "lat"], ['a "b"', "1", "2"]]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("lon;lat;a\n1;2;x,y\n", ["1", "2", "x,y"]),
        ("lon|lat|a\n1|2|x\n", ["1", "2", "x"]),
        ("lon lat a\n1 2 x\n", ["1", "2", "x"]),
        ("lon;lat;a,b,c,d,e\n1;2;x\n", ["1", "2", "x"]),
        ('sep=;\r\nlon;lat;a\r\n1;2;"x;y"\r\n', ["1", "2", "x;y"]),
        ("sep=|\nlon|lat|a;b;c;d\n1|2|x\n", ["1", "2", "x"]),
        ("\r\n\r\nlon,lat,a\r\n1,2,x", ["1", "2", "x"]),
        ("lon,lat,a\r1,2,x\r", ["1", "2", "x"]),
        (",lon,lat\n0,1,2\n", ["0", "1", "2"]),
        ('lon,lat,a\n1,2,5" pipe\n', ["1", "2", '5" pipe']),
        ('lon;lat;a\n1;2;5" x,y\n', ["1", "2", '5" x,y']),
    ],
)
def test_any_separator_and_first_line_is_found(text: str, wanted: list[str], embed: Any) -> None:
    assert read(embed, text)[1:] == [wanted]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(encoding: str, embed: Any) -> None:
    text = "lon,lat,Größe\r\n1,2,\U0001d11e\r\n"
    assert read(embed, text.encode(encoding)) == [["lon", "lat", "Größe"], ["1", "2", "\U0001d11e"]]


def test_what_is_compressed_is_told_by_its_bytes(embed: Any) -> None:
    packed = gzip.compress(b"lon,lat,a\n1,2,x\n") + gzip.compress(b"3,4,y\n")
    assert read(embed, packed)[1:] == [["1", "2", "x"], ["3", "4", "y"]]
    assert "Truncated" in refused(embed, packed[:-12])


@pytest.mark.parametrize(
    "header",
    [
        "decimalLongitude,decimalLatitude",
        "Longitude (deg),Latitude (deg)",
        "Lon [degrees_east],Lat [degrees_north]",
        "longitude_deg,latitude_deg",
        "decimal_longitude,decimal_latitude",
        " LONG , LAT ",
        "POINT_X,POINT_Y",
        "xcoord,ycoord",
    ],
)
def test_the_usual_names_of_columns_are_found(header: str, embed: Any) -> None:
    assert read(embed, f"{header}\n13,52\n")[1] == ["13", "52"]


def test_values_come_out_byte_for_byte(embed: Any, tmp_path: Path) -> None:
    header = b'code,"date",version,n,empty,"",flag,lon,lat'
    lines = [
        b'007,2020-01-02,1.10,1e5,,"", true ,+1.0,02.50',
        b'"007",01/02/03,1.0,NaN,NA,"a ""b""\r\nc","TRUE",-0,"3"',
    ]
    read(embed, b"\xef\xbb\xbf" + header + b"\r\n" + b"\r\n".join(lines) + b"\r\n")
    written = (tmp_path / "out.csv").read_bytes().replace(b'""b""\r\nc', b'""b""_c').split(b"\n")
    kept = [line.rsplit(b",", 5)[0].replace(b'""b""_c', b'""b""\r\nc') for line in written]
    assert kept == [header, *lines, b""]


def test_an_empty_value_in_quotes_is_text_in_parquet_and_an_empty_one_is_missing(
    satclip: Any, model: str, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text('lon,lat,a,n\n1,2,"",""\n3,4,,5\n5,6,x,6\n')
    assert satclip("embed", tmp_path / "in.csv", "--model", model, "-o", tmp_path / "out.parquet").code == 0
    found = pq.read_table(tmp_path / "out.parquet")
    assert found["a"].to_pylist() == ["", None, "x"]
    assert found["n"].to_pylist() == [None, 5, 6]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('lon,lat,a\n1,2,x\n3,4,"y\n5,6,z\n', "line 3: a value begins with a quote that does not end"),
        ('lon,lat,a\n1,2,"x\n3,4,"y"\n5,6,z\n', "line 3: text behind a closing quote"),
        ('lon,lat,a\n1,2,"x" y\n', "line 2: text behind a closing quote"),
        ('lon,lat,a\n1,2,"a\nb"\n1,2\n', "line 4: Expected 3 columns, got 2"),
        ("lon,lat,a\r\n1,2,x\r\n\r\n1,2,x,y\r\n", "line 4: Expected 3 columns, got 4"),
        ("lon\tlat\ta\n1\t2\tx\n1\t2\n", "line 3: Expected 3 columns, got 2"),
        ("lon,lat\n1,2\n\0\n", "line 3: a NUL byte"),
        ("lon;lat;lat\n1;2;3\n", "two columns share a name: lat"),
        ("lon,lat,,\n1,2,3,4\n", "two columns share a name: (no name)"),
        ("# made by hand\nlon,lat\n1,2\n", "the first line begins with #"),
        ("13.4,52.5\n13.5,52.6\n", "numbers in the first line"),
        ("the_geom,name\nPOINT (1 2),a\n", "the_geom is not read as a geometry here"),
        ("geom;a\n0101000020E6100000;1\n", "geom is not read as a geometry here"),
        ("lon,lat,decimalLongitude\n1,2,3\n", "lon, decimalLongitude could all be meant"),
        ("easting,northing\n1,2\n", "the columns are: easting, northing"),
        ("PK\x03\x04", "an Excel workbook"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(text: str, said: str, embed: Any) -> None:
    assert said in refused(embed, text)


def test_invalid_utf8_is_refused_with_its_line(embed: Any) -> None:
    said = refused(embed, "lon,lat,a\n1,2,\u20ac\n1,2,K\xf6ln\n".encode("cp1252").replace(b"\x80", b"x"))
    assert "line 3: invalid UTF8 data (byte 0xF6)" in said
    said = refused(embed, "lon,lat,a\n".encode("utf-16") + b"\x00\xd8\x00")
    assert "invalid UTF-16-LE data" in said


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_a_decimal_comma_is_read_where_the_separator_is_another(
    separator: str, embed: Any, expected: Any, satclip: Any, model: str, tmp_path: Path
) -> None:
    rows = (("name", "lon", "lat"), ("Paris", "2,35", "48,86"), ("Roma", "12,5", " \u221241,9 "))
    assert read(embed, "\n".join(separator.join(row) for row in rows)) == [list(row) for row in rows]
    satclip("embed", tmp_path / "in.csv", "--model", model, "-o", tmp_path / "out.npy")
    wanted = expected(np.array([[2.35, 48.86], [12.5, -41.9]]))
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('lon,lat\n"2,35","48,86"\n', "lon '2,35' is no decimal number (write a point, or"),
        ("lon;lat\n2,35;48.86\n", "decimal commas (2,35) and with decimal points (48.86)"),
        ("x;y\n500,000;200,000\n", "the commas of the coordinates (500,000) may mark decimals or thousands"),
        ("lon;lat\n1.234,5;2\n", "lon '1.234,5' is no decimal number"),
        ("lon;lat\n2.35;48\u00b051'N\n", 'lat "48\u00b051\'N" is no decimal number'),
        ("lon,lat\n2.35W,48\n", "lon '2.35W' is no decimal number"),
        ("lon,lat\n,48\n", "lon is empty"),
        ("lon,lat\n1e999,48\n", "lon 1e999 is not in [-180, 360]"),
        ("name,latitude,longitude\na,48,2\nb,95,2\n", "row 2: (2, 95): latitude 95 is not in [-90, 90]"),
        ("name,latitude,longitude\na,95,2\n", "latitude 95 is not in [-90, 90]"),
    ],
)
def test_a_coordinate_that_is_none_is_named_by_column_and_value(text: str, said: str, embed: Any) -> None:
    err = refused(embed, text)
    assert said in err
    assert "exchange" not in err


def test_one_column_is_not_longitude_and_latitude_at_once(embed: Any) -> None:
    assert "give two columns" in refused(embed, "a,b\n1,2\n", "--lon", "a", "--lat", "a")


def test_names_of_files_need_be_no_utf8(satclip: Any, model: str, tmp_path: Path) -> None:
    source = tmp_path / "K\udcf6ln mit Größe.csv"
    source.write_text("lon,lat\n1,2\n")
    for suffix in (".csv", ".csv.gz", ".parquet", ".npy"):
        assert satclip("embed", source, "--model", model, "-o", tmp_path / f"\udcf6{suffix}").code == 0
    again = satclip("embed", tmp_path / "\udcf6.parquet", "--model", model, "-o", tmp_path / "out.npy")
    assert again.code == 0, again.err


def test_what_can_be_read_only_once_is_refused(satclip: Any, model: str, tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "in.csv")
    for source in (tmp_path / "in.csv", "/dev/null"):
        outcome = satclip("embed", source, "--model", model, "-o", tmp_path / "out.npy")
        assert outcome.code == 1
        assert "save it to a file first" in outcome.err


def test_a_row_without_end_is_refused_before_it_fills_the_memory(embed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from satclip.cli.tables import records

    monkeypatch.setattr(records, "LONGEST_BYTES", records.BLOCK_BYTES)
    text = 'lon,lat,a\n1,2,x\n3,4,"y\n' + "5,6,z\n" * (records.BLOCK_BYTES // 3)
    assert "line 3: longer than 4 MB" in refused(embed, text)
