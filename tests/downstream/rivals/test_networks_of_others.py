"""Encoders of other authors, on files of their layout with random weights, against their formulas in numpy."""

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
from satclip.downstream.rivals.mind import mind
from satclip.downstream.rivals.sinr import sinr
from satclip.downstream.rivals.torchspatial import torchspatial
from satclip.downstream.rivals.tte import tte

Array = NDArray[np.float64]
Draw = Callable[..., Tensor]
PARAMS: dict[str, Any] = {
    "spa_enc_type": "Sphere2Vec-sphereC",
    "dataset": "fmow",
    "frequency_num": 5,
    "min_radius": 0.01,
    "max_radius": 1.0,
    "num_hidden_layer": 2,
    "hidden_dim": 12,
    "num_filts": 7,
    "spa_f_act": "relu",
    "use_layn": True,
    "skip_connection": True,
}


def affine(draw: Draw, outputs: int, inputs: int, name: str, *, bias: bool = True) -> dict[str, Tensor]:
    return {f"{name}.weight": draw(outputs, inputs), **({f"{name}.bias": draw(outputs)} if bias else {})}


def plain(state: dict[str, Tensor]) -> dict[str, Array]:
    return {name: tensor.double().numpy() for name, tensor in state.items()}


def relu(values: Array) -> Array:
    return np.maximum(values, 0)


def feed_forward(draw: Draw, inputs: int) -> dict[str, Tensor]:
    """Two hidden layers of 12 with layer norm, an output layer of 7 without."""
    state = {}
    for layer, before in ((0, inputs), (1, 12)):
        state |= affine(draw, 12, before, f"spa_enc.ffn.layers.{layer}.linear")
        state[f"spa_enc.ffn.layers.{layer}.layernorm.weight"] = 1 + draw(12)
        state[f"spa_enc.ffn.layers.{layer}.layernorm.bias"] = draw(12)
    state |= affine(draw, 7, 12, "spa_enc.ffn.layers.2.linear")
    return state | {"class_emb.weight": draw(62, 7), "user_emb.weight": draw(1, 7)}


def run_feed_forward(state: dict[str, Tensor], features: Array, act: Callable[[Array], Array]) -> Array:
    w, hidden = plain(state), features
    for layer in (0, 1, 2):
        name = f"spa_enc.ffn.layers.{layer}"
        out = act(hidden @ w[f"{name}.linear.weight"].T + w[f"{name}.linear.bias"])
        if layer == 1:  # the only one whose widths agree
            out = out + hidden
        if layer < 2:
            out = (out - out.mean(1, keepdims=True)) / np.sqrt(out.var(1, keepdims=True) + 1e-5)
            out = out * w[f"{name}.layernorm.weight"] + w[f"{name}.layernorm.bias"]
        hidden = out
    return hidden


def radii(params: dict[str, Any]) -> Array:
    return np.geomspace(params["min_radius"], params["max_radius"], params["frequency_num"])


def sphere_c(lonlat: Array, params: dict[str, Any]) -> Array:
    columns = []
    for radius in radii(params):
        lon, lat = np.radians(lonlat / radius).T
        columns += [np.sin(lat), np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon)]
    return np.stack(columns, 1)


def theory(lonlat: Array, params: dict[str, Any]) -> Array:
    columns = []
    for radius in radii(params):
        for degrees in (0, 120, 240):
            direction = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
            angle = lonlat @ direction / radius
            columns += [np.sin(angle), np.cos(angle)]
    return np.stack(columns, 1)


def wrapped(lonlat: Array, params: dict[str, Any]) -> Array:
    phase = np.pi * lonlat / [180, 90]
    return np.concatenate([np.sin(phase), np.cos(phase)], 1)


def grid(unit: Array, params: dict[str, Any]) -> Array:
    angles = [unit[:, axis] / radius for axis in (0, 1) for radius in radii(params)]
    return np.stack([part for angle in angles for part in (np.sin(angle), np.cos(angle))], 1)


@pytest.mark.parametrize(
    ("kind", "features", "width", "act"),
    [
        ("Sphere2Vec-sphereC", sphere_c, 15, "relu"),
        ("Space2Vec-theory", theory, 30, "leakyrelu"),
        ("wrap_ffn", wrapped, 4, "relu"),
        ("Space2Vec-grid", grid, 20, "sigmoid"),
    ],
)
def test_torchspatial_is_what_its_formulas_say(
    draw: Draw, places: Array, tmp_path: Path, kind: str, features: Callable[..., Array], width: int, act: str
) -> None:
    params = PARAMS | {"spa_enc_type": kind, "spa_f_act": act}
    state = feed_forward(draw, width)
    torch.save({"params": params, "state_dict": state}, tmp_path / "model_a.pt")
    acts = {"relu": relu, "leakyrelu": lambda x: np.where(x > 0, x, 0.2 * x), "sigmoid": lambda x: 1 / (1 + np.exp(-x))}
    rounded = places.astype(np.float32).astype(np.float64)
    expected = run_feed_forward(state, features(rounded, params), acts[act])
    built = torchspatial(tmp_path / "model_a.pt")
    np.testing.assert_allclose(built(places), expected, atol=2e-5)
    assert (built.name, built.seen) == (f"torchspatial {kind} fmow", "whole globe")


def test_csp_takes_unit_coordinates_through_a_grid(draw: Draw, places: Array, tmp_path: Path) -> None:
    params = PARAMS | {"spa_enc_type": "gridcell", "spa_f_act": "leakyrelu"}
    state = feed_forward(draw, 20)
    extras = {"img_dec.weight": draw(7, 9), "img_dec.bias": draw(7)}
    again = {f"loc_enc.{name}": tensor for name, tensor in state.items()}
    torch.save({"params": params, "state_dict": state | extras | again}, tmp_path / "model_fmow_gridcell.pth.tar")
    unit = (places.astype(np.float32) / np.array([180, 90], np.float32)).astype(np.float64)
    expected = run_feed_forward(state, grid(unit, params), lambda x: np.where(x > 0, x, 0.2 * x))
    np.testing.assert_allclose(csp(tmp_path / "model_fmow_gridcell.pth.tar")(places), expected, atol=2e-5)


def test_sinr_is_a_residual_network_on_two_circles(draw: Draw, places: Array, tmp_path: Path) -> None:
    state = affine(draw, 9, 4, "feats.0")
    for block in (2, 3, 4, 5):
        state |= affine(draw, 9, 9, f"feats.{block}.w1") | affine(draw, 9, 9, f"feats.{block}.w2")
    torch.save({"params": {}, "state_dict": state | {"class_emb.weight": draw(30, 9)}}, tmp_path / "model.pt")
    w = plain(state)
    hidden = relu(wrapped(places, {}) @ w["feats.0.weight"].T + w["feats.0.bias"])
    for block in (2, 3, 4, 5):
        inner = relu(hidden @ w[f"feats.{block}.w1.weight"].T + w[f"feats.{block}.w1.bias"])
        hidden = hidden + relu(inner @ w[f"feats.{block}.w2.weight"].T + w[f"feats.{block}.w2.bias"])
    np.testing.assert_allclose(sinr(tmp_path / "model.pt")(places), hidden, atol=1e-5)


@pytest.mark.parametrize("month", [None, 7])
def test_climplicit_joins_four_months_or_takes_one(
    draw: Draw, places: Array, tmp_path: Path, month: int | None
) -> None:
    state = affine(draw, 10, 4, "location_encoder.layers.0")
    for layer in (1, 2, 3):
        state |= affine(draw, 10, 10, f"location_encoder.layers.{layer}")
    state |= affine(draw, 6, 10, "location_encoder.last_layer") | affine(draw, 11, 6, "chelsa_regressor")
    save_file(state, tmp_path / "model.safetensors")
    w, parts = plain(state), []
    for each in (3, 6, 9, 12) if month is None else (month,):
        angle = np.full(len(places), 2 * np.pi * each / 12)
        inputs = np.stack([places[:, 0] / 180, places[:, 1] / 90, np.sin(angle), np.cos(angle)], 1)
        before = inputs @ w["location_encoder.layers.0.weight"].T + w["location_encoder.layers.0.bias"]
        hidden = np.sin(30 * np.sinh(2 * before))
        for layer in (1, 2, 3):
            name = f"location_encoder.layers.{layer}"
            before = (hidden @ w[f"{name}.weight"].T + w[f"{name}.bias"] + before) / 2
            hidden = np.sin(before)
        parts.append(hidden @ w["location_encoder.last_layer.weight"].T + w["location_encoder.last_layer.bias"])
    np.testing.assert_allclose(
        climplicit(tmp_path / "model.safetensors", month=month)(places), np.hstack(parts), atol=1e-3
    )
    with pytest.raises(ValueError, match="month must be 1 to 12, got 13"):
        climplicit(tmp_path / "model.safetensors", month=13)


def tte_state(draw: Draw) -> dict[str, Tensor]:
    registers = "location.semantic_registers"
    return {
        "location._directions": draw(50, 3),
        "location._log_tau": 3.8 + draw(50),
        "location._embeddings": draw(50, 5),
        f"{registers}.registers": draw(4, 8),
        f"{registers}.log_temperature": torch.tensor(-0.7),
        f"{registers}._img_temperature": torch.tensor(0.05),
        f"{registers}.norm.weight": 1 + draw(8),
        f"{registers}.norm.bias": draw(8),
        **affine(draw, 4, 5, f"{registers}.loc_to_logits"),
        **affine(draw, 4, 8, f"{registers}.img_to_logits"),
        **affine(draw, 8, 5, f"{registers}.site_to_out"),
        **affine(draw, 6, 8, "location.mlp.0"),
        **{k: v for i in (2, 3) for w in ("w1", "w2") for k, v in affine(draw, 6, 6, f"location.mlp.{i}.{w}").items()},
        **affine(draw, 8, 6, "location.mlp.4", bias=False),
    }


def softmax(values: Array) -> Array:
    powers = np.exp(values - values.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def test_tte_mixes_soft_cells_with_its_registers(draw: Draw, places: Array, tmp_path: Path) -> None:
    state = tte_state(draw)
    save_file(state, tmp_path / "model.safetensors")
    w = {
        name.removeprefix("location.").removeprefix("semantic_registers."): value
        for name, value in plain(state).items()
    }
    lon, lat = np.radians(places).T
    x = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], 1)
    sites = w["_directions"] / np.linalg.norm(w["_directions"], axis=1, keepdims=True)
    e = softmax(x @ sites.T * np.exp(w["_log_tau"])) @ w["_embeddings"]
    a = softmax((e @ w["loc_to_logits.weight"].T + w["loc_to_logits.bias"]) / np.exp(-0.7))
    h = 0.5 * (e @ w["site_to_out.weight"].T + w["site_to_out.bias"]) + 0.5 * a @ w["registers"]
    h = (h - h.mean(1, keepdims=True)) / np.sqrt(h.var(1, keepdims=True) + 1e-5) * w["norm.weight"] + w["norm.bias"]
    z = relu(h @ w["mlp.0.weight"].T + w["mlp.0.bias"])
    for i in (2, 3):
        inner = relu(z @ w[f"mlp.{i}.w1.weight"].T + w[f"mlp.{i}.w1.bias"])
        z = z + relu(inner @ w[f"mlp.{i}.w2.weight"].T + w[f"mlp.{i}.w2.bias"])
    y = z @ w["mlp.4.weight"].T
    np.testing.assert_allclose(
        tte(tmp_path / "model.safetensors")(places), y / np.linalg.norm(y, axis=1, keepdims=True), atol=1e-4
    )
    assert tte(tmp_path / "model.safetensors").seen == "whole globe"


def test_mind_is_a_residual_siren_whose_prefixes_are_nested(draw: Draw, places: Array, tmp_path: Path) -> None:
    state = affine(draw, 130, 2, "first.linear") | {"year_freqs": torch.ones(8)} | affine(draw, 64, 130, "head")
    for block in range(3):
        state |= affine(draw, 130, 130, f"blocks.{block}.linear")
    save_file({name: tensor.half() for name, tensor in state.items()}, tmp_path / "mind.safetensors")
    w = plain({name: tensor.half() for name, tensor in state.items()})
    lon, lat = np.radians(places).T
    t = np.arcsin(np.sqrt(3) / 2 * np.sin(lat))
    a = (1.340264, -0.081106, 0.000893, 0.003796)
    px = 2 * np.sqrt(3) * lon * np.cos(t) / (3 * (9 * a[3] * t**8 + 7 * a[2] * t**6 + 3 * a[1] * t**2 + a[0]))
    py = a[3] * t**9 + a[2] * t**7 + a[1] * t**3 + a[0] * t
    xy = np.stack([px, py], 1) * 66.50336 / 180
    h = np.sin(30 * (xy @ w["first.linear.weight"].T + w["first.linear.bias"]))
    for block in range(3):
        h = h + np.sin(h @ w[f"blocks.{block}.linear.weight"].T + w[f"blocks.{block}.linear.bias"])
    whole, prefix = mind(tmp_path / "mind.safetensors"), mind(tmp_path / "mind.safetensors", dim=64)
    np.testing.assert_allclose(whole(places), h, atol=1e-4)
    assert np.array_equal(prefix(places), whole(places)[:, :64])
    assert (whole.blocks, prefix.blocks) == ((64, 128, 130), (64,))
    with pytest.raises(ValueError, match="dim must be 1 to 130, got 131"):
        mind(tmp_path / "mind.safetensors", dim=131)
