"""A long table takes no more memory than a short one."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import torch

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import Cartesian3D
from satclip.location.networks import Linear

# The high-water mark of the process itself: that of resource.getrusage survives an exec, so it would be pytest's.
PROGRAM = """
import sys
from satclip.cli import main
code = main(sys.argv[1:])
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(code, int(peak.split()[1]) // 1024)
"""
SHORT, LONG = 150_000, 1_500_000
WIDTH = 128  # the embeddings of the long table alone are 730 MB; allocators and read-ahead vary by 150
CSV_WIDTH = 16  # and 300 MB as text


def model_of(width: int, folder: Path) -> str:
    torch.manual_seed(0)
    LocationEncoder(Cartesian3D(), Linear, embedding_dim=width).save_pretrained(folder)
    return str(folder)


def tables(rows: int, count: int) -> Iterator[pa.Table]:
    generator = np.random.default_rng(0)
    for _ in range(count):
        longitude, latitude = generator.uniform(-180, 180, rows), generator.uniform(-90, 90, rows)
        yield pa.table({"lon": longitude, "lat": latitude, "name": ["a name of some length"] * rows})


def peak_megabytes(*arguments: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True)
    code, peak = map(int, done.stdout.split())
    assert code == 0, done.stderr
    return peak


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of a process from Linux's /proc")
@pytest.mark.parametrize(
    ("source", "target"), [("csv", "npy"), ("tsv", "csv"), ("parquet", "parquet"), ("gpkg", "npy")]
)
def test_ten_times_the_rows_take_the_same_memory(source: str, target: str, tmp_path: Path) -> None:
    model = model_of(CSV_WIDTH if target == "csv" else WIDTH, tmp_path / "model")
    peaks = []
    for rows in (SHORT, LONG):
        path, out = tmp_path / f"{rows}.{source}", tmp_path / f"{rows}-out.{target}"
        write(path, rows)
        peaks.append(peak_megabytes("embed", str(path), "--model", model, "-o", str(out)))
        path.unlink()
        out.unlink()
    assert peaks[1] < peaks[0] + 250, f"{SHORT} rows took {peaks[0]} MB, {LONG} rows {peaks[1]} MB"


def write(path: Path, rows: int) -> None:
    if path.suffix in (".csv", ".tsv"):
        options = pacsv.WriteOptions(delimiter="," if path.suffix == ".csv" else "\t", quoting_style="none")
        with pacsv.CSVWriter(path, next(tables(1, 1)).schema, write_options=options) as file:
            for table in tables(rows // 10, 10):
                file.write_table(table)
    elif path.suffix == ".parquet":  # one row group: the hardest case
        pq.write_table(pa.concat_tables(tables(rows // 10, 10)), path, row_group_size=rows)
    else:
        geopandas = pytest.importorskip("geopandas")
        table = pa.concat_tables(tables(rows // 10, 10)).to_pandas()
        points = geopandas.points_from_xy(table["lon"], table["lat"])
        geopandas.GeoDataFrame(table[["name"]], geometry=points, crs="EPSG:4326").to_file(path)
