from pathlib import Path

import pytest
import torch

from satclip.data.sources.index_csv import join, read_index, write_index


def write(path: Path, text: str) -> Path:
    (path / "index.csv").write_text(text)
    return path / "index.csv"


def test_an_index_comes_back_as_longitude_and_latitude(tmp_path: Path) -> None:
    index = read_index(
        write(tmp_path, "url,lon,lat,fn\nhttp://x,9.5,36.25,images/patch_1.tif\n,-180,-90,patch_2.tif\n")
    )
    assert index.names == ["patch_1.tif", "patch_2.tif"]
    assert index.lonlat.tolist() == [[9.5, 36.25], [-180, -90]]


def test_what_is_written_comes_back_bit_for_bit(tmp_path: Path) -> None:
    lonlat = torch.rand(50, 2, dtype=torch.float64) * 90
    names = [f"{n}.tif" for n in range(50)]
    write_index(tmp_path / "index.csv", names, lonlat)
    index = read_index(tmp_path / "index.csv")
    assert index.names == names
    assert torch.equal(index.lonlat, lonlat)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("lat,longitude,fn\n1,2,a.tif\n", "has no column lon, only lat, longitude, fn; it needs lat, lon"),
        ("", "has no column lat, lon, fn, only nothing"),
        ("lat,lon,fn\n1,2,a.tif\n91,2,b.tif\n", r"1 of 2 rows .* row 1: \(2, 91\)"),
        ("lat,lon,fn\nnan,2,a.tif\n", r"1 of 1 rows .*row 0: \(2, nan\)"),
        ("lat,lon,fn\n120.5,36.0,a.tif\n9,2,b.tif\n", "look like .*latitude, longitude.*swap"),
        ("lat,lon,fn\n1,east,a.tif\n", "line 2: could not convert string to float: 'east'; mend or remove the line"),
        ("lat,lon,fn\n1\n", "line 2: .*mend or remove the line"),
        ("lat,lon,fn\n1,2,a.tif\n3,4,a.tif\n", "lists 1 patches twice: a.tif; keep one row each"),
    ],
)
def test_a_malformed_index_is_refused_and_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"index.csv.*{complaint}"):
        read_index(write(tmp_path, text))


def test_patches_and_rows_are_matched_by_name_and_the_rest_is_told(tmp_path: Path) -> None:
    index = read_index(write(tmp_path, "lat,lon,fn\n1,2,c.tif\n3,4,a.tif\n5,6,lost.tif\n"))
    found = join(["a.tif", "b.tif", "c.tif"], index)
    assert found.pairs.tolist() == [[0, 1], [2, 0]]
    assert found.unlisted == ["b.tif"]
    assert found.absent == ["lost.tif"]


ROWS = [("a.tif", 2.5, 48.25), ("b é.tif", -180.0, -90.0), ("s/c.tif", 9.0, 1e-3)]


def spelled(separator: str, end: str = "\n", *, decimal: str = ".", order: str = "lat lon fn note") -> str:
    def row(name: str, longitude: float, latitude: float) -> str:
        fields = {"fn": name, "lon": str(longitude), "lat": str(latitude), "note": '"x"' if separator == "\t" else "x"}
        if decimal == ",":
            fields |= {axis: fields[axis].replace(".", ",") for axis in ("lon", "lat")}
        return separator.join(fields[column] for column in order.split())

    return end.join([separator.join(order.split()), *(row(*each) for each in ROWS)]) + end


@pytest.mark.parametrize(
    "data",
    [
        spelled(",").encode(),
        spelled(",").encode("utf-8-sig"),
        spelled(",", "\r\n").encode(),
        spelled(",", "\r").encode(),
        spelled(";", "\r\n").encode("utf-8-sig"),
        spelled(";", decimal=",").encode(),
        spelled("\t").encode(),
        spelled("\t", decimal=",").encode(),
        spelled("|").encode(),
        spelled(",", order="note fn lon lat").encode(),
        spelled(",").replace("lat,lon,fn", ' LAT , "Lon",FN').encode(),
        spelled(",").replace("a.tif", '"a.tif"').encode(),
        spelled(",").replace("\n", "\n\n").encode(),
        spelled(",").replace(",x\n", ",x,,\n").encode(),
        spelled(",")[:-1].encode(),
        spelled("\t").replace("b é", '"b é').replace("\n", "\n\t\t\t\n", 1).encode(),
    ],
)
def test_whatever_a_spreadsheet_or_a_database_writes_is_read_row_by_row(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "index.csv").write_bytes(data)
    index = read_index(tmp_path / "index.csv")
    assert [name.replace('"', "") for name in index.names] == [name for name, _, _ in ROWS]
    assert index.lonlat.tolist() == [[longitude, latitude] for _, longitude, latitude in ROWS]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (spelled(",").replace("a.tif", '"a.tif').encode(), "line 2: a quote is not closed on its line"),
        (spelled(",").replace("s/c.tif", '"s/c.tif').encode(), "line 4: .*mend or remove"),
        (spelled(",").replace("a.tif", '"a"tif').encode(), "line 2: .*expected after"),
        (spelled(",", decimal=",").encode(), "line 2: 6 fields where the first line has 4"),
        (spelled(",").replace("a.tif", "a,tif").encode(), "line 2: 5 fields where the first line has 4"),
        (spelled(";").replace("48.25", "4,8.2,5").encode(), "line 2: could not convert string to float: '4,8.2,5'"),
        (spelled(",").encode("latin-1"), "line 3: not UTF-8 text; save it as UTF-8"),
        (spelled(",").encode("utf-16"), "line 1: not UTF-8 text"),
        (spelled(",").replace("48.25", "").encode(), "line 2: could not convert string to float: ''"),
        (spelled(",").replace("48.25", "nan").encode(), "1 of 3 rows .*mend or remove line 2"),
        (spelled(",").replace("9.0", "361").encode(), "1 of 3 rows .*mend or remove line 4"),
        (spelled(",").replace("9.0", "inf").encode(), "1 of 3 rows .*mend or remove line 4"),
        (spelled(",").replace("s/c.tif", "images/a.tif").encode(), r"1 patches twice: a.tif; .*lines 2, 4"),
        (spelled(" ").encode(), "has no column lat, lon, fn, only lat lon fn note"),
    ],
)
def test_a_row_that_cannot_be_read_is_refused_with_its_line(tmp_path: Path, data: bytes, complaint: str) -> None:
    (tmp_path / "index.csv").write_bytes(data)
    with pytest.raises(ValueError, match=f"index.csv.*{complaint}"):
        read_index(tmp_path / "index.csv")
