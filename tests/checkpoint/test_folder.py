"""save_pretrained and from_pretrained: a folder of config.json, model.safetensors and a model card."""

import copy
import json
import pickle
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from satclip.checkpoint import describe, load_location_encoder, load_towers
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import Cartesian3D, SphericalHarmonics
from satclip.location.networks import MLP, Siren


@pytest.fixture
def encoder() -> LocationEncoder:
    torch.manual_seed(0)
    return LocationEncoder(SphericalHarmonics(legendre_polys=4), partial(Siren, hidden_dim=8), 5).double().eval()


@pytest.fixture
def folder(encoder: LocationEncoder, tmp_path: Path) -> Path:
    encoder.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def test_what_is_saved_comes_back_in_its_dtype(encoder: LocationEncoder, folder: Path, lonlat: Tensor) -> None:
    for again in (
        load_location_encoder(folder),
        load_location_encoder(str(folder)),
        LocationEncoder.from_pretrained(folder),
    ):
        assert not again.training
        assert again(lonlat).dtype == torch.float64
        assert torch.equal(again(lonlat), encoder(lonlat))


def test_the_files_are_plain(encoder: LocationEncoder, folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert json.loads((folder / "config.json").read_text()) == encoder.config()
    assert load_file(folder / "model.safetensors").keys() == encoder.state_dict().keys()


def test_the_card_tells_how_to_use_it(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    for part in (
        "library_name: satclip",
        "load_location_encoder",
        "longitude first, in degrees",
        "sphericalharmonics",
        "5 numbers",
    ):
        assert part in card
    assert "{{" not in card
    assert "{%" not in card


def test_the_card_says_what_is_told_and_what_is_not(encoder: LocationEncoder, tmp_path: Path) -> None:
    encoder.save_pretrained(tmp_path / "bare")
    bare = (tmp_path / "bare" / "README.md").read_text()
    assert bare.count("Not told.") == 3
    assert "13,343 km long" in bare  # the equator in three parts: L = 4 has degrees up to 3
    told = {"training_data": "Landsat, 2020.", "scores": "| R2 |", "licence": "CC0", "limits": "- Not for the sea."}
    encoder.save_pretrained(tmp_path / "told", model_card_kwargs=told)
    card = (tmp_path / "told" / "README.md").read_text()
    assert "Not told." not in card
    assert [text for text in told.values() if text not in card] == []


def test_the_code_of_the_card_runs(encoder: LocationEncoder, tmp_path: Path) -> None:
    encoder.save_pretrained(tmp_path, model_card_kwargs={"repo_id": str(tmp_path)})
    code = (tmp_path / "README.md").read_text().split("```python\n")[1].split("```")[0]
    space: dict[str, Tensor] = {}
    exec(code, space)
    assert space["embeddings"].shape == (2, 5)


def test_a_card_that_a_person_wrote_stays(encoder: LocationEncoder, folder: Path) -> None:
    (folder / "README.md").write_text("my words")
    encoder.save_pretrained(folder)
    assert (folder / "README.md").read_text() == "my words"


def test_an_encoder_with_a_shared_layer_comes_back(tmp_path: Path, lonlat: Tensor) -> None:
    encoder = LocationEncoder(Cartesian3D(), partial(MLP, hidden_dim=4, hidden_layers=3, shared_hidden=True), 5).eval()
    encoder.save_pretrained(tmp_path)
    assert torch.equal(load_location_encoder(tmp_path)(lonlat), encoder(lonlat))


def test_saving_again_what_was_loaded_changes_nothing(folder: Path, tmp_path: Path) -> None:
    load_location_encoder(folder).save_pretrained(tmp_path / "again")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_an_encoder_can_be_copied_and_pickled(encoder: LocationEncoder, lonlat: Tensor) -> None:
    for again in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert torch.equal(again(lonlat), encoder(lonlat))


def test_a_folder_is_described(folder: Path) -> None:
    described = describe(folder)
    assert described["kind"] == "safetensors folder"
    assert (described["embedding_dim"], described["dtype"]) == (5, "float64")


def test_a_folder_has_no_image_tower(folder: Path) -> None:
    with pytest.raises(ValueError, match="holds a location encoder alone; give the checkpoint of a training run"):
        load_towers(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_that_is_missing_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"no {name} in .*saved; give a folder that save_pretrained wrote"):
        load_location_encoder(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{", "saved cannot be read"),
        ("config.json", "[]", "holds no object"),
        ("config.json", "{}", r"describes no location encoder \(encoding must be a dictionary with a name"),
        ("model.safetensors", "hello", "saved cannot be read"),
    ],
)
def test_a_file_that_is_spoilt_is_refused(folder: Path, name: str, content: str, message: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        load_location_encoder(folder)


def test_weights_of_another_network_are_named(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["network"]["hidden_layers"] = 3
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"network\.hidden\.1\.weight is missing"):
        load_location_encoder(folder)


def test_a_folder_needs_no_card(folder: Path, encoder: LocationEncoder, lonlat: Tensor) -> None:
    (folder / "README.md").write_bytes(b"---\n!!python/object/apply:os.system [touch gone]\n---\n\xff")
    assert torch.equal(load_location_encoder(folder)(lonlat), encoder(lonlat))
    (folder / "README.md").unlink()
    assert torch.equal(load_location_encoder(folder)(lonlat), encoder(lonlat))
