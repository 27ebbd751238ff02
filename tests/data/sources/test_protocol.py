"""A reader from outside the package trains by one option, `dataset.source._target_`."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate

from satclip.data.datamodule import S2DataModule
from satclip.runs.hydra_setup import compose

MakeShards = Callable[..., Path]
PROJECT = Path(__file__).parents[3]
READER = '''
import zipfile
import torch

class Zipped:
    """GeoTIFFs in a zip file."""

    index = None

    def __init__(self, path: str) -> None:
        self.path = path
        with zipfile.ZipFile(path) as archive:
            self.names = archive.namelist()
        self.lonlat = torch.full((len(self.names), 2), torch.nan, dtype=torch.float64)
        self.held_out = torch.zeros(len(self.names), dtype=torch.bool)
        self.shard_sizes = [len(self.names)]

    def read(self, row: int) -> bytes:
        with zipfile.ZipFile(self.path) as archive:
            return archive.read(self.names[row])

    def state(self) -> str:
        return self.path
'''


@pytest.fixture
def zipped(make_shards: MakeShards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an index.csv and patches.zip, and its reader on the path of modules."""
    data = S2DataModule(make_shards([30, 10]), **OPTIONS)
    data.setup()
    folder = tmp_path / "zipped"
    folder.mkdir()
    (folder / "index.csv").write_bytes((tmp_path / "shards" / "index.csv").read_bytes())
    with zipfile.ZipFile(folder / "patches.zip", "w") as archive:
        for row, name in enumerate(data.collection.names):
            archive.writestr(name, data.collection.source.read(row))  # type: ignore[attr-defined]
    (tmp_path / "elsewhere.py").write_text(READER)
    monkeypatch.syspath_prepend(tmp_path)
    return folder


OPTIONS = {
    "bands": ["a", "b", "c"], "file_bands": ["a", "b", "c"], "image_size": 8, "batch_size": 8, "num_workers": 0,
    "split_buffer_km": 0,
}  # fmt: skip


def test_a_reader_of_ones_own_is_one_option(zipped: Path) -> None:
    config = compose(
        PROJECT / "conf",
        [
            "dataset=s2_folder", f"dataset.root={zipped}", "vision=tiny", "dataset.bands=[a,b,c]",
            "dataset.file_bands=[a,b,c]", "dataset.image_size=8", "dataset.num_workers=0", "dataset.split_buffer_km=0",
            "dataset.source={_target_: elsewhere.Zipped, path: '" + str(zipped / "patches.zip") + "'}",
        ],
    )  # fmt: skip
    data = instantiate(config.dataset)
    data.prepare_data()
    data.setup()
    shards = S2DataModule(zipped.parent / "shards", **OPTIONS)
    shards.setup()
    mine, other = shards.validation_sample(100), data.validation_sample(100)
    assert torch.equal(mine["image"][mine["lonlat"][:, 0].argsort()], other["image"][other["lonlat"][:, 0].argsort()])


def test_a_reader_and_addresses_are_two_answers_to_one_question(zipped: Path) -> None:
    with pytest.raises(ValueError, match=r"dataset.source and dataset.urls both say"):
        S2DataModule(zipped, source=object(), urls="a.tar", **OPTIONS)  # type: ignore[arg-type]
