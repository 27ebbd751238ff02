"""`satclip embed --engine ray` writes what a single process writes."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from satclip.cli.tables import open_places

pytestmark = [
    pytest.mark.slow,
    # Ray's own threads and forks; what matters fails the run.
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture(scope="module", autouse=True)
def two_workers() -> Any:
    ray = pytest.importorskip("ray", reason="needs `pip install 'satclip[ray]'`")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def embedded(satclip: Any, source: Path, model: str, target: Path, *extra: str) -> Path:
    outcome = satclip("embed", source, "--model", model, "-o", target, *extra)
    assert outcome.code == 0, outcome.err
    return target


@pytest.mark.parametrize("bad", ["nan", "drop"])
def test_ray_gives_the_same_table_in_the_same_order(bad: str, satclip: Any, model: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = 250_000
    latitude = generator.uniform(-90, 90, rows)
    latitude[[3, 100_000, rows - 1]] = 91
    frame = pd.DataFrame({"id": range(rows), "lon": generator.uniform(-180, 180, rows), "lat": latitude, "code": "01"})
    frame.to_csv(tmp_path / "in.csv", index=False)
    here = embedded(satclip, tmp_path / "in.csv", model, tmp_path / "here.parquet", "--bad", bad)
    extra = ("--bad", bad, "--engine", "ray", "--workers", "2")
    there = embedded(satclip, tmp_path / "in.csv", model, tmp_path / "there.parquet", *extra)
    mine, theirs = pq.read_table(here), pq.read_table(there)
    assert theirs.schema == mine.schema
    assert theirs.drop_columns("embedding").equals(mine.drop_columns("embedding"))
    vectors = [np.stack(table["embedding"].to_numpy()) for table in (mine, theirs)]
    np.testing.assert_allclose(vectors[1], vectors[0], atol=1e-5)


def test_ray_passes_columns_on_whatever_they_are_called_and_hold(satclip: Any, model: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"lon": [1.0, 2.0, 3.0], "lat": [4.0, 5.0, 6.0], "__lon": ["a", "b", None]})
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.append_column("time", pa.array([0, None, 1], pa.timestamp("us", "Europe/Paris")))
    table = table.append_column("category", pa.array(["x", None, "y"]).dictionary_encode())
    table = table.append_column("__embedding", pa.array([[{"a": 1}], None, []]))
    pq.write_table(table, tmp_path / "in.parquet")
    found = pq.read_table(
        embedded(satclip, tmp_path / "in.parquet", model, tmp_path / "out.parquet", "--engine", "ray")
    )
    assert found.drop_columns("embedding").equals(pq.read_table(tmp_path / "in.parquet"))
    (tmp_path / "in.csv").write_text('lon;lat;code\n1;2;"0;7"\n3;4;1,10\n')
    text = embedded(satclip, tmp_path / "in.csv", model, tmp_path / "out.csv", "--engine", "ray").read_text()
    assert [line.split(",0.")[0].split(",-0.")[0] for line in text.splitlines()[1:]] == ['1,2,"0;7"', '3,4,"1,10"']


def test_the_work_is_shared_by_two_processes(tmp_path: Path) -> None:
    from satclip.cli.ray_engine import embed_on_ray

    meeting = tmp_path / "meeting"
    meeting.mkdir()

    class Process(torch.nn.Module):
        """Says in which process it runs, and gives another one a minute and a half to come."""

        embedding_dim = 1

        def forward(self, lonlat: torch.Tensor) -> torch.Tensor:
            (meeting / str(os.getpid())).touch()
            patience = time.monotonic() + 90
            while len(list(meeting.iterdir())) < 2 and time.monotonic() < patience:
                time.sleep(0.1)
            return torch.full((len(lonlat), 1), os.getpid(), dtype=torch.float64)

    rows = 400_000
    pd.DataFrame({"lon": np.linspace(-180, 180, rows), "lat": 0.0}).to_parquet(tmp_path / "in.parquet")
    places = open_places(tmp_path / "in.parquet")
    options: dict[str, Any] = {"bad": "nan", "batch_size": 1 << 20, "dtype": "float64", "device": "cpu", "workers": 2}
    pieces = list(embed_on_ray(places, Process(), **options))
    longitude = np.concatenate([batch["lon"].to_numpy() for batch, _ in pieces])
    np.testing.assert_array_equal(longitude, np.linspace(-180, 180, rows))
    processes = {int(number) for _, numbers in pieces for number in np.unique(numbers)}
    assert len(processes) == 2
    assert os.getpid() not in processes


def test_ray_takes_points_of_another_reference_system(satclip: Any, model: str, tmp_path: Path) -> None:
    geopandas = pytest.importorskip("geopandas", reason="writes the points of this test")
    points = geopandas.points_from_xy([1e6, 2e6, -3e6], [5e6, 6e6, 7e6])
    geopandas.GeoDataFrame({"name": list("abc")}, geometry=points, crs="EPSG:3857").to_file(tmp_path / "in.gpkg")
    here = embedded(satclip, tmp_path / "in.gpkg", model, tmp_path / "here.npy")
    there = embedded(satclip, tmp_path / "in.gpkg", model, tmp_path / "there.npy", "--engine", "ray")
    np.testing.assert_allclose(np.load(there), np.load(here), atol=1e-5)
