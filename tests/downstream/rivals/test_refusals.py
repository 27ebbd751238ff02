"""A file of weights that is not what it is taken for is refused by the names of what does not fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from satclip.downstream.rivals.climplicit import climplicit
from satclip.downstream.rivals.csp import csp
from satclip.downstream.rivals.geoclip import taxabind
from satclip.downstream.rivals.mind import mind
from satclip.downstream.rivals.sinr import SINR, sinr
from satclip.downstream.rivals.torchspatial import torchspatial
from satclip.downstream.rivals.tte import tte

Draw = Callable[..., Tensor]
PARAMS: dict[str, Any] = {
    "spa_enc_type": "gridcell",
    "frequency_num": 2,
    "min_radius": 0.1,
    "max_radius": 1.0,
    "num_hidden_layer": 1,
    "hidden_dim": 3,
    "num_filts": 2,
    "spa_f_act": "gelu",
    "use_layn": False,
    "skip_connection": False,
}
OTHER = {"weights": torch.zeros(3)}


@pytest.mark.parametrize(
    ("load", "why"),
    [
        (taxabind, r"LocEnc0\.capsule\.0\.b is missing"),
        (tte, r"location\._embeddings, location\.mlp\.0\.weight, .* is missing"),
        (sinr, r"feats\.0\.weight is missing"),
        (climplicit, r"layers\.0\.weight and last_layer\.weight is missing"),
        (mind, r"first\.linear\.weight is missing"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, load: Callable[[Path], object], why: str) -> None:
    save_file(OTHER, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=why + ".*Give "):
        load(tmp_path / "w.safetensors")


@pytest.mark.parametrize("load", [taxabind, tte, sinr, climplicit, mind, csp, torchspatial])
def test_a_file_that_is_not_there_or_no_file_of_weights_is_refused(
    tmp_path: Path, load: Callable[[Path], object]
) -> None:
    with pytest.raises(FileNotFoundError, match="no file"):
        load(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("not weights")
    (tmp_path / "text.safetensors").write_text("not weights")
    for name in ("text.pt", "text.safetensors"):
        with pytest.raises(ValueError, match="read"):
            load(tmp_path / name)


def test_code_in_a_file_is_never_run(tmp_path: Path) -> None:
    torch.save({"state_dict": {"feats.0.weight": torch.zeros(1)}, "params": Path("x")}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match="GLOBAL"):
        sinr(tmp_path / "evil.pt")


def test_sinr_with_environmental_inputs_says_what_it_wants(draw: Draw, tmp_path: Path) -> None:
    torch.save({"state_dict": {"feats.0.weight": draw(256, 24), "feats.0.bias": draw(256)}}, tmp_path / "env.pt")
    with pytest.raises(ValueError, match="takes 24 inputs: with environmental rasters"):
        sinr(tmp_path / "env.pt")


def test_mind_with_a_year_says_so(draw: Draw, tmp_path: Path) -> None:
    save_file({"first.linear.weight": draw(64, 18), "first.linear.bias": draw(64)}, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="takes 18 inputs, a year among them"):
        mind(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"spa_enc_type": "rff"}, "of kind 'rff', not gridcell"),
        ({"spa_f_act": "swish"}, "activation 'swish' is none of relu"),
        ({"hidden_dim": 4}, r"spa_enc\.ffn|ffn\.layers\.0\.linear\.weight has shape \[3, 8\], not \[4, 8\]"),
    ],
)
def test_csp_of_another_shape_is_refused(draw: Draw, tmp_path: Path, change: dict[str, Any], why: str) -> None:
    state = {
        "spa_enc.ffn.layers.0.linear.weight": draw(3, 8),
        "spa_enc.ffn.layers.0.linear.bias": draw(3),
        "spa_enc.ffn.layers.1.linear.weight": draw(2, 3),
        "spa_enc.ffn.layers.1.linear.bias": draw(2),
    }
    torch.save({"params": PARAMS, "state_dict": state}, tmp_path / "model.pth.tar")
    csp(tmp_path / "model.pth.tar")
    torch.save({"params": PARAMS | change, "state_dict": state}, tmp_path / "model.pth.tar")
    with pytest.raises(ValueError, match=why):
        csp(tmp_path / "model.pth.tar")


def test_torchspatial_needs_its_hyperparameters_beside_it(draw: Draw, tmp_path: Path) -> None:
    torch.save({"spa_enc.ffn.layers.0.linear.weight": draw(2, 2)}, tmp_path / "model_fmow_x.pt")
    with pytest.raises(FileNotFoundError, match=r"params\.json does not list model_fmow_x"):
        torchspatial(tmp_path / "model_fmow_x.pt")
    (tmp_path / "params.json").write_text('{"model_fmow_x": {"spa_enc_type": "rbf"}}')
    with pytest.raises(ValueError, match="of kind 'rbf'; read here are wrap_ffn"):
        torchspatial(tmp_path / "model_fmow_x.pt")
    (tmp_path / "params.json").write_text('{"model_fmow_x": {"spa_enc_type": "wrap_ffn"}}')
    with pytest.raises(ValueError, match="lacks the hyperparameters num_filts, hidden_dim"):
        torchspatial(tmp_path / "model_fmow_x.pt")
    (tmp_path / "params.json").write_text("{")
    with pytest.raises(ValueError, match=r"params\.json cannot be read"):
        torchspatial(tmp_path / "model_fmow_x.pt")


def test_vectors_that_are_not_finite_are_refused_with_the_place(tmp_path: Path, places: NDArray[np.float64]) -> None:
    state = SINR(8, 1).state_dict()
    state["feats.0.bias"][3] = torch.nan
    torch.save({"state_dict": state}, tmp_path / "damaged.pt")
    with pytest.raises(
        ValueError, match="sinr gives NaN or infinite numbers for 6 of 6 places, the first at longitude -76"
    ):
        sinr(tmp_path / "damaged.pt")(places)


def test_what_the_weights_do_not_tell_is_in_the_fingerprint(draw: Draw, tmp_path: Path) -> None:
    state = {
        "spa_enc.ffn.layers.0.linear.weight": draw(8, 8),
        "spa_enc.ffn.layers.0.linear.bias": draw(8),
        "spa_enc.ffn.layers.1.linear.weight": draw(2, 8),
        "spa_enc.ffn.layers.1.linear.bias": draw(2),
    }
    prints = []
    for change in ({}, {}, {"skip_connection": True}, {"max_radius": 2.0}, {"spa_f_act": "relu"}):
        torch.save({"params": PARAMS | {"hidden_dim": 8} | change, "state_dict": state}, tmp_path / "m.pth.tar")
        prints.append(csp(tmp_path / "m.pth.tar").fingerprint)
    assert prints[0] == prints[1]
    assert len(set(prints)) == 4
