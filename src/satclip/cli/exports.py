"""A location encoder as a file for other programs, and that file run again."""

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from satclip.checkpoint import load_location_encoder
from satclip.location.encoder import LocationEncoder
from satclip.sphere import uniform_on_sphere

TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}


@dataclass(frozen=True)
class Format:
    """A way to write an encoder, and to run what was written: float64 degrees [N, 2] -> [N, D]."""

    write: Callable[[LocationEncoder, Path], None]
    run: Callable[[Path, Tensor], Tensor]


def write_onnx(encoder: LocationEncoder, path: Path) -> None:
    """One ONNX file: `lonlat`, float64 degrees [N, 2], to `embedding` [N, D] in the encoder's dtype."""
    with _quiet():
        program = torch.onnx.export(
            encoder,
            (_example(),),
            dynamo=True,
            dynamic_shapes=_any_number(),
            custom_translation_table=_exact_numbers(),
            input_names=["lonlat"],
            output_names=["embedding"],
            verbose=False,
        )
        assert program is not None  # so it is with dynamo
        program.model.graph.inputs[0].doc_string = "longitude, latitude in degrees"
        program.save(path, external_data=False)


def run_onnx(path: Path, lonlat: Tensor) -> Tensor:
    """What the ONNX file computes, in onnxruntime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (embedding,) = session.run(["embedding"], {"lonlat": lonlat.numpy()})
    return torch.from_numpy(np.asarray(embedding))


def write_pt2(encoder: LocationEncoder, path: Path) -> None:
    """A program of torch.export: `torch.export.load(path).module()(lonlat)`."""
    with _quiet():
        program = torch.export.export(encoder, (_example(),), dynamic_shapes=_any_number())
    written = io.BytesIO()  # and not the file: where a disk is full torch would abort the process
    torch.export.save(program, written)
    path.write_bytes(written.getbuffer())


def run_pt2(path: Path, lonlat: Tensor) -> Tensor:
    """What the exported program computes."""
    with path.open("rb") as file:
        module: Callable[[Tensor], Tensor] = torch.export.load(file).module()
    return module(lonlat)


def write_safetensors(encoder: LocationEncoder, path: Path) -> None:
    """A folder that `load_location_encoder` reads and `push_to_hub` would send."""
    encoder.save_pretrained(path)


def run_safetensors(path: Path, lonlat: Tensor) -> Tensor:
    """What the folder's encoder computes."""
    return load_location_encoder(path)(lonlat)


FORMATS = {
    "onnx": Format(write_onnx, run_onnx),
    "pt2": Format(write_pt2, run_pt2),
    "safetensors": Format(write_safetensors, run_safetensors),
}


@torch.no_grad()
def difference(encoder: LocationEncoder, format_: Format, path: Path) -> float:
    """Largest difference between the encoder and its file, relative to the largest embedding, at 1,000 places of the
    world, the poles and the date line, and at one place alone.
    """
    drawn = uniform_on_sphere(1000, torch.Generator().manual_seed(0))
    edges = torch.tensor([[0.0, 90.0], [0.0, -90.0], [180.0, 0.0], [-180.0, 0.0], [360.0, 45.0]], dtype=torch.float64)
    lonlat = torch.cat((drawn, edges))
    mine = encoder(lonlat)
    theirs = torch.cat((format_.run(path, lonlat[:-1]), format_.run(path, lonlat[-1:])))
    return float((mine - theirs).abs().max() / mine.abs().max())


def _exact_numbers() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Rules for the exporter, whose own ones round every number of a program to float32 before they widen it: pi / 180
    is then off by a metre on the ground.
    """
    import onnx_ir
    from onnxscript import opset18

    def number(value: float, dtype: int = 1, **layout: object) -> Any:
        return opset18.Constant(value=onnx_ir.tensor(value, dtype=onnx_ir.DataType(dtype)))

    return {torch.ops.aten.scalar_tensor.default: number}


def _example() -> Tensor:
    return torch.tensor([[13.4, 52.5], [-58.4, -34.6], [0.0, 0.0]], dtype=torch.float64)


def _any_number() -> dict[str, dict[int, torch.export.Dim]]:
    return {"lonlat": {0: torch.export.Dim("places")}}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes on its own insides."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
