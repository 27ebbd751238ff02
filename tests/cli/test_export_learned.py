"""Encoders that are smooth and fine leave in every format with their own numbers."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import Fourier, SphericalHarmonics, Voronoi
from satclip.location.networks import BandedSiren, FCNet, ResidualSiren, Siren

ENCODERS: dict[str, Callable[[], LocationEncoder]] = {
    "voronoi": lambda: LocationEncoder(Voronoi(40, 5, 8, 4), partial(FCNet, hidden_dim=8, residual_blocks=2), 8),
    "fourier": lambda: LocationEncoder(Fourier(3, 5), partial(Siren, hidden_dim=8, first_omega=2.0), 4),
    "damped": lambda: LocationEncoder(SphericalHarmonics(6, damping="learned"), partial(Siren, hidden_dim=8), 4),
    "banded": lambda: LocationEncoder(
        SphericalHarmonics(6), partial(BandedSiren, hidden_dim=9, degrees=[3], factors=[2, 1]), 4
    ),
    "residual": lambda: LocationEncoder(SphericalHarmonics(6), partial(ResidualSiren, hidden_dim=8), 4),
}


def trained(name: str) -> LocationEncoder:
    """Not as it was built: all that learns has moved."""
    torch.manual_seed(0)
    encoder = ENCODERS[name]()
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
        if name == "banded":
            encoder.network.first.weight.mul_(encoder.network.first.mask)
    if name == "voronoi":
        encoder.encoding.anneal(0.7)
    return encoder.eval()


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("kind", ["safetensors", "pt2", pytest.param("onnx", marks=pytest.mark.slow)])
def test_a_learned_encoder_leaves_with_its_own_numbers(name: str, kind: str, tmp_path: Path) -> None:
    if kind == "onnx":
        pytest.importorskip("onnxruntime", reason="ONNX needs `pip install 'satclip[export]'`")
    from satclip.cli.exports import FORMATS, TOLERANCE, difference

    encoder, path = trained(name), tmp_path / ("folder" if kind == "safetensors" else f"encoder.{kind}")
    FORMATS[kind].write(encoder, path)
    assert difference(encoder, FORMATS[kind], path) <= TOLERANCE[torch.float32]


@pytest.mark.parametrize("name", ENCODERS)
def test_it_compiles_whole(name: str) -> None:
    encoder, places = trained(name), torch.tensor([[3.0, 4.0], [180.0, -90.0]], dtype=torch.float64)
    torch._dynamo.reset()
    compiled = torch.compile(encoder, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(places), encoder(places), atol=1e-5, rtol=0)
