"""Whatever torch does with an encoder besides calling it, the numbers are its own, or an error says the way."""

import copy
import io
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad
from torch.func import functional_call, jacfwd, jacrev, jvp, stack_module_state, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import ENCODINGS, SphericalHarmonics
from satclip.location.grid import encode_grid
from satclip.location.networks import NETWORKS, Siren
from satclip.model import TwoTowers
from satclip.vision import TinyCNN

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

EXAMPLE = torch.tensor([[13.4, 52.5], [0.0, 0.0]], dtype=torch.float64)
PLACES = torch.tensor([[-6.4, -45.5], [7.0, 7.0], [100.0, 88.0]], dtype=torch.float64)
MANY = torch.cat((PLACES, torch.rand(40_000, 2, dtype=torch.float64) * 80))
HARMONICS = {
    "numba": lambda: (SphericalHarmonics(6), torch.float32),
    "sphericart": lambda: (SphericalHarmonics(45), torch.float64),
    "torch": lambda: (SphericalHarmonics(45, "closed-form"), torch.float64),
}


def build(encoding: Any, dtype: torch.dtype = torch.float32, embedding_dim: int = 8) -> LocationEncoder:
    torch.manual_seed(0)
    return LocationEncoder(encoding, partial(Siren, hidden_dim=16, first_omega=3.0), embedding_dim).to(dtype).eval()


@pytest.fixture(params=[*ENCODINGS, *HARMONICS])
def encoder(request: pytest.FixtureRequest) -> LocationEncoder:
    """Every encoding, and the harmonics by every library that may compute them on a CPU."""
    if request.param in HARMONICS:
        return build(*HARMONICS[request.param]())
    return build(ENCODINGS[request.param]())


@pytest.fixture
def small() -> LocationEncoder:
    return build(SphericalHarmonics(6))


@pytest.fixture(params=[True, False], ids=["grad", "no_grad"])
def _either_mode(request: pytest.FixtureRequest) -> Iterator[None]:
    with torch.set_grad_enabled(request.param):
        yield


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found.double(), wanted.double(), atol=2e-5, rtol=0)


def traced(encoder: nn.Module) -> Callable[[Tensor], Tensor]:
    return torch.jit.trace(encoder, EXAMPLE)


def exported(encoder: nn.Module) -> Callable[[Tensor], Tensor]:
    sizes = {"lonlat": {0: torch.export.Dim("places")}}
    return torch.export.export(encoder, (EXAMPLE,), dynamic_shapes=sizes).module()


def compiled(encoder: nn.Module) -> Callable[[Tensor], Tensor]:
    torch._dynamo.reset()
    return torch.compile(encoder, backend="aot_eager", fullgraph=True)


def mapped(encoder: nn.Module) -> Callable[[Tensor], Tensor]:
    return vmap(lambda place: encoder(place[None])[0])


def called_with_weights(encoder: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda lonlat: functional_call(encoder, dict(encoder.named_parameters()), (lonlat,))


def symbolic(encoder: nn.Module) -> Callable[[Tensor], Tensor]:
    return make_fx(encoder)(PLACES + 1)


@pytest.mark.usefixtures("_either_mode")
@pytest.mark.parametrize("way", [traced, mapped, called_with_weights, symbolic])
def test_a_recorded_or_transformed_encoder_gives_its_own_numbers_elsewhere_too(
    way: Callable[[nn.Module], Callable[[Tensor], Tensor]], encoder: LocationEncoder
) -> None:
    close(way(encoder)(PLACES), encoder(PLACES))


@pytest.mark.parametrize("way", [exported, compiled])
def test_an_exported_or_compiled_encoder_gives_its_own_numbers_elsewhere_too(
    way: Callable[[nn.Module], Callable[[Tensor], Tensor]], small: LocationEncoder
) -> None:
    with torch.no_grad():
        close(way(small)(PLACES), small(PLACES))


@pytest.mark.slow
@pytest.mark.usefixtures("_either_mode")
@pytest.mark.parametrize("way", [exported, compiled])
def test_so_does_every_other_encoding(
    way: Callable[[nn.Module], Callable[[Tensor], Tensor]], encoder: LocationEncoder
) -> None:
    close(way(encoder)(PLACES), encoder(PLACES))


@pytest.mark.usefixtures("_either_mode")
def test_derivatives_by_the_places_are_the_same_by_every_way(encoder: LocationEncoder) -> None:
    with torch.enable_grad():
        wanted = torch.autograd.functional.jacobian(encoder, PLACES)
    close(jacrev(encoder)(PLACES), wanted)
    close(jacfwd(encoder)(PLACES), wanted)
    along = torch.ones_like(PLACES)
    with forward_ad.dual_level():
        dual = forward_ad.unpack_dual(encoder(forward_ad.make_dual(PLACES, along))).tangent
    close(dual, jvp(encoder, (PLACES,), (along,))[1])
    close(dual, (wanted * along).sum((-2, -1)))


def test_several_encoders_run_as_one(small: LocationEncoder) -> None:
    several = [build(SphericalHarmonics(6)), build(SphericalHarmonics(6))]
    torch.nn.init.normal_(several[1].network.first.weight)
    weights, buffers = stack_module_state(several)
    shape = copy.deepcopy(small).to("meta")

    def one(weights: Any, buffers: Any) -> Tensor:
        return functional_call(shape, (weights, buffers), (PLACES,))

    with torch.no_grad():
        close(vmap(one)(weights, buffers), torch.stack([encoder(PLACES) for encoder in several]))


@pytest.mark.parametrize("dynamo", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["torchscript", "dynamo"])
@pytest.mark.parametrize("le_type", ENCODINGS)
def test_both_onnx_exporters_write_the_encoders_numbers(dynamo: bool, le_type: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX needs `pip install 'satclip[export]'`")
    encoder = build(ENCODINGS[le_type](**({"legendre_polys": 6} if le_type == "sphericalharmonics" else {})))
    file = io.BytesIO()
    if dynamo:
        sizes = {"lonlat": {0: torch.export.Dim("places")}}
        torch.onnx.export(encoder, (EXAMPLE,), dynamo=True, dynamic_shapes=sizes, verbose=False).save(file)
    else:
        torch.onnx.export(encoder, (EXAMPLE,), file, dynamo=False, input_names=["lonlat"], dynamic_axes={"lonlat": [0]})
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    nowhere = torch.tensor([[0.0, 95.0], [np.nan, 1.0], [np.inf, 2.0]], dtype=torch.float64)
    (found,) = session.run(None, {"lonlat": torch.cat((PLACES, nowhere)).numpy()})
    close(torch.from_numpy(found[:3]), encoder(PLACES).detach())
    assert np.isnan(found[3:]).all()


@pytest.mark.parametrize("way", [traced, compiled, mapped])
def test_where_rows_cannot_be_looked_at_a_place_beyond_a_pole_is_nan(
    way: Callable[[nn.Module], Callable[[Tensor], Tensor]], small: LocationEncoder
) -> None:
    rows = torch.tensor([[0.0, 95.0], [np.nan, 1.0], [np.inf, 0.0], [5.0, np.nan], [1.0, 2.0]], dtype=torch.float64)
    found = way(small)(rows)
    assert found.isnan().all(-1).tolist() == [True, True, True, True, False]
    close(found[4:], small(rows[4:]))


@pytest.mark.parametrize("network", NETWORKS)
def test_nan_in_is_nan_out_and_touches_no_other_row(network: str) -> None:
    encoder = LocationEncoder(SphericalHarmonics(1), NETWORKS[network], 4).eval()  # whose one feature is a constant
    rows = torch.tensor([[np.nan, 1.0], [5.0, np.nan], [1.0, 2.0]], dtype=torch.float64)
    assert encoder(rows).isnan().all(-1).tolist() == [True, True, False]


@pytest.mark.parametrize("row", [[0.0, 95.0], [0.0, -np.inf], [np.inf, 0.0]])
def test_on_a_cpu_a_place_that_is_none_is_refused(row: list[float], small: LocationEncoder) -> None:
    with pytest.raises(ValueError, match=r"1 of 2 rows are not \(longitude, latitude\)"):
        small(torch.tensor([row, [1.0, 2.0]]))


def towers(encoder: LocationEncoder) -> TwoTowers:
    return TwoTowers(TinyCNN(width=8, in_channels=3, embedding_dim=8), encoder).eval()


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # the image tower looks at its images' size
@pytest.mark.parametrize("way", ["traced", pytest.param("compiled", marks=pytest.mark.slow)])
def test_inside_both_towers_it_is_the_same(way: str, small: LocationEncoder) -> None:
    model, images = towers(small), torch.rand(3, 3, 16, 16)
    torch._dynamo.reset()
    seen = (
        torch.jit.trace(model, (images[:2], EXAMPLE)) if way == "traced" else torch.compile(model, backend="aot_eager")
    )
    close(seen(images, PLACES)[0], model(images, PLACES)[0])


@pytest.mark.parametrize("wrap", [lambda encoder: encoder, towers])
def test_scripting_names_the_export(wrap: Callable[[LocationEncoder], nn.Module], small: LocationEncoder) -> None:
    with pytest.raises(TypeError, match="cannot be scripted: `satclip export`"):
        torch.jit.script(wrap(small))


def test_symbolic_tracing_names_the_export(small: LocationEncoder) -> None:
    with pytest.raises(TypeError, match=r"got Proxy; .*`satclip export`"):
        torch.fx.symbolic_trace(small)


class GridOf(nn.Module):
    def __init__(self, encoder: LocationEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, lons: Tensor, lats: Tensor) -> Tensor:
        return encode_grid(self.encoder, lons, lats)


@pytest.mark.parametrize("le_type", ["sphericalharmonics", pytest.param("wrap", marks=pytest.mark.slow)])
def test_a_grid_is_not_recorded_but_compiles(le_type: str) -> None:
    grid, lons, lats = GridOf(build(ENCODINGS[le_type]())), PLACES[:, 0], PLACES[:, 1]
    ways: tuple[Callable[[], object], ...] = (
        lambda: torch.jit.trace(grid, (lons, lats)),
        lambda: torch.export.export(grid, (lons, lats)),
        lambda: make_fx(grid)(lons, lats),
        lambda: vmap(lambda axis: grid(axis, lats))(torch.stack((lons, lons))),
        lambda: torch.onnx.export(grid, (lons, lats), io.BytesIO(), dynamo=False),
    )
    for way in ways:
        with pytest.raises(RuntimeError, match=r"encode_grid cannot be traced.*`satclip export`"):
            way()
    torch._dynamo.reset()
    seen = torch.compile(grid, backend="eager")
    for axes in ((lons, lats), (lats, lons[:2])):
        close(seen(*axes), grid(*axes))


def test_a_grid_beyond_a_pole_or_of_no_tensors_is_refused(small: LocationEncoder) -> None:
    with pytest.raises(ValueError, match=r"latitudes must lie in -90..90 .* from 0 to 95: are lons and lats exchanged"):
        encode_grid(small, torch.zeros(2), torch.tensor([0.0, 95.0]))
    with pytest.raises(ValueError, match="without NaN"):
        encode_grid(small, torch.tensor([np.nan]), torch.zeros(2))
    with pytest.raises(TypeError, match=r"tensors .* got ndarray and list; torch.linspace"):
        encode_grid(small, np.zeros(2), [1.0])  # type: ignore[arg-type]


def test_layers_quantised_while_they_run_work_also_on_a_grid(small: LocationEncoder, tmp_path: Any) -> None:
    quantised = torch.ao.quantization.quantize_dynamic(small, {nn.Linear})
    torch.testing.assert_close(quantised(PLACES), small(PLACES), atol=0.1, rtol=0)
    axes = (PLACES[:, 0], PLACES[:, 1])
    torch.testing.assert_close(encode_grid(quantised, *axes), encode_grid(small, *axes), atol=0.1, rtol=0)
    assert "sphericalharmonics" in repr(quantised)
    with pytest.raises(TypeError, match="quantised layers have no weights to save"):
        quantised.save_pretrained(tmp_path / "quantised")


@pytest.mark.parametrize("legendre_polys", [13, 14, 15])
def test_what_is_built_first_in_another_world_does_not_spoil_the_next(legendre_polys: int) -> None:
    """The tables of a degree are kept: not as tensors of no memory, of no numbers, or of no gradients."""
    worlds = (torch.device("meta"), FakeTensorMode(), torch.inference_mode())
    with worlds[legendre_polys - 13]:
        SphericalHarmonics(legendre_polys)
    encoder, places = build(SphericalHarmonics(legendre_polys)), PLACES.clone().requires_grad_()
    encoder(places).sum().backward()
    assert places.grad is not None
    assert places.grad.isfinite().all()


def test_the_default_device_is_none_of_the_encoders_business(small: LocationEncoder) -> None:
    wanted = small(PLACES)
    with torch.device("meta"):
        assert small.half().float().encoding.series.device.type == "cpu"
        assert small(PLACES).shape == wanted.shape


def _ask(encoder: LocationEncoder, answers: Any) -> None:
    with torch.no_grad():
        answers.put(encoder(MANY)[:3].numpy())


@pytest.fixture
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_two_threads")
@pytest.mark.parametrize("le_type", ["sphericalharmonics", "grid"])
def test_a_fork_gives_the_same_numbers(le_type: str) -> None:
    """After this one has used its threads: a fork has only one of them, and would wait for the others for ever."""
    encoder = build(ENCODINGS[le_type]()).share_memory()
    with torch.no_grad():
        wanted = encoder(MANY)[:3]
    context = torch.multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    process = context.Process(target=_ask, args=(encoder, answers))
    process.start()
    process.join(60)
    ended = process.exitcode
    process.kill()
    assert ended == 0
    close(torch.from_numpy(answers.get()), wanted)
