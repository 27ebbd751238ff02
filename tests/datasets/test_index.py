from pathlib import Path

import pytest
import torch

from satclip.data.index import join, read_index, write_index


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
