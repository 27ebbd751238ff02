"""`satclip export`: the exported file, run by its own runtime, says what the model says."""

import copy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from satclip.checkpoint import load_location_encoder
from satclip.cli import exports
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_onnx_runs_in_onnxruntime_for_any_number_of_places(
    dtype: str, satclip: Any, model: str, lonlat: Any, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX needs `pip install 'satclip[export]'`")
    target = tmp_path / "a.onnx"
    outcome = satclip("export", model, "--format", "onnx", "--dtype", dtype, "-o", target)
    assert outcome.code == 0, outcome.err
    assert "checked at 1,005 places" in outcome.err
    session = onnxruntime.InferenceSession(target)
    (wanted,) = session.get_inputs()
    assert (wanted.name, wanted.type, wanted.shape[1]) == ("lonlat", "tensor(double)", 2)
    encoder = load_location_encoder(model, dtype=getattr(torch, dtype))
    for places in (lonlat, lonlat[:1]):
        (found,) = session.run(["embedding"], {"lonlat": places})
        assert found.dtype == dtype
        direct = encoder(torch.tensor(places)).detach().numpy()
        np.testing.assert_allclose(found, direct, atol=1e-5 if dtype == "float32" else 1e-12)


def test_numbers_that_float32_would_round_stay_exact_in_onnx(satclip: Any, tmp_path: Path, lonlat: Any) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX needs `pip install 'satclip[export]'`")
    network = partial(Siren, hidden_dim=8, first_omega=0.3, hidden_omega=1.7)
    encoder = LocationEncoder(SphericalHarmonics(20, "analytic"), network, embedding_dim=4).double().eval()
    encoder.save_pretrained(tmp_path / "model")
    arguments = ("--format", "onnx", "--dtype", "float64", "-o", tmp_path / "a.onnx")
    assert satclip("export", tmp_path / "model", *arguments).code == 0
    (found,) = onnxruntime.InferenceSession(tmp_path / "a.onnx").run(None, {"lonlat": lonlat})
    np.testing.assert_allclose(found, encoder(torch.tensor(lonlat)).detach().numpy(), atol=1e-13)


def test_pt2_runs_without_the_package(satclip: Any, model: str, lonlat: Any, expected: Any, tmp_path: Path) -> None:
    target = tmp_path / "a.pt2"
    assert satclip("export", model, "--format", "pt2", "-o", target).code == 0
    program = torch.export.load(target).module()
    np.testing.assert_allclose(program(torch.tensor(lonlat)).detach().numpy(), expected(lonlat), atol=1e-5)


def test_safetensors_keep_the_weights_as_saved_unless_told(satclip: Any, tmp_path: Path, encoder: Any) -> None:
    copy.deepcopy(encoder).double().save_pretrained(tmp_path / "wide")
    for extra, dtype in ((), torch.float64), (("--dtype", "float32"), torch.float32):
        target = tmp_path / str(dtype)
        assert satclip("export", tmp_path / "wide", "--format", "safetensors", "-o", target, *extra).code == 0
        again = load_location_encoder(target)
        assert next(again.parameters()).dtype == dtype
        for name, weight in encoder.state_dict().items():
            torch.testing.assert_close(again.state_dict()[name].float(), weight.float(), rtol=0, atol=0)


def test_the_published_formats_export_to_every_format(reference: Path, satclip: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="ONNX needs `pip install 'satclip[export]'`")
    source = reference / "official_format_l40.ckpt"
    for kind, name in (("onnx", "a.onnx"), ("pt2", "a.pt2"), ("safetensors", "a")):
        outcome = satclip("export", source, "--format", kind, "-o", tmp_path / name)
        assert outcome.code == 0, outcome.err


def test_a_file_that_says_something_else_is_not_kept(
    satclip: Any, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(encoder: LocationEncoder, path: Path) -> None:
        other = copy.deepcopy(encoder)
        with torch.no_grad():
            next(other.parameters()).add_(0.001)
        exports.write_pt2(other, path)

    monkeypatch.setitem(exports.FORMATS, "pt2", exports.Format(spoilt, exports.run_pt2))
    (tmp_path / "a.pt2").write_text("what was there before")
    outcome = satclip("export", model, "--format", "pt2", "-o", tmp_path / "a.pt2")
    assert outcome.code == 1
    assert "differs from the model" in outcome.err
    assert (tmp_path / "a.pt2").read_text() == "what was there before"
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt2"]
