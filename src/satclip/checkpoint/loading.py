"""The public ways to a trained model; whatever the source, it comes back in evaluation mode."""

from pathlib import Path
from typing import Any

import torch

from satclip.checkpoint.sources import UNTRAINED, locate
from satclip.checkpoint.stored import read_checkpoint
from satclip.location.encoder import COMPUTED, LocationEncoder
from satclip.model import TwoTowers
from satclip.sphere import angle_dtype

Device = str | torch.device


def load_location_encoder(
    source: str | Path, *, device: Device = "cpu", dtype: torch.dtype | None = None
) -> LocationEncoder:
    """The location encoder of a trained model, in evaluation mode; nothing else of the model is built.

    Args:
        source: a checkpoint of ours or of the published system, a run's folder (its checkpoints/best.ckpt, else
            last.ckpt), a folder that `save_pretrained` wrote, `blue-marble`, which the package carries, or a name on
            the hub: `microsoft/SatCLIP-ViT16-L40`, the
            other five released models, or whatever `push_to_hub` put there. `untrained:SOURCE` is the same architecture
            with fresh weights, always the same ones. `encoder.source` says what was taken.
        device: where to put it.
        dtype: what to turn its weights into; by default they stay as they were saved, float64 in the released models
            (float32 on MPS, which has no float64).

    Raises:
        FileNotFoundError: there is no such file or folder.
        ConnectionError: it may be a name on the hub, but is neither cached nor can it be fetched.
        ValueError: the file holds no such model; names the keys that are missing, unknown or of another shape. Or the
            device is not there.
        TypeError: `dtype` is none that a network computes in.
    """
    if dtype is not None and dtype not in COMPUTED:
        raise TypeError(f"dtype must be one of {', '.join(map(str, COMPUTED))}, got {dtype!r}")
    name, fresh = _trained(source)
    path = locate(name)
    encoder = LocationEncoder.from_folder(path) if path.is_dir() else read_checkpoint(path).location_encoder()
    encoder.source = str(path)
    if fresh:
        encoder = encoder.untrained()
        encoder.source = f"{UNTRAINED}{path}"
    return _placed(encoder, device, dtype)


def get_satclip(path: str | Path, device: Device = "cpu", return_all: bool = False) -> LocationEncoder | TwoTowers:
    """The published system's loader: the location encoder, or both towers with `return_all`, without fetching weights.

    Raises:
        FileNotFoundError, ConnectionError, ValueError: as `load_location_encoder` and `load_towers`.
    """
    return load_towers(path, device=device) if return_all else load_location_encoder(path, device=device)


def load_towers(source: str | Path, *, device: Device = "cpu") -> TwoTowers:
    """Both towers of a checkpoint, ours or published, in evaluation mode, the location tower in the dtype it was saved.

    For fine-tuning: `mine.load_state_dict(load_towers(source).state_dict())` fills towers of the same shape.

    Raises:
        FileNotFoundError, ConnectionError, ValueError: as `load_location_encoder`.
        ValueError: the source holds a location encoder alone.
    """
    if _trained(source)[1]:
        raise ValueError(f"{source}: an untrained model is a location encoder alone; load_location_encoder gives it")
    path = locate(source)
    if path.is_dir():
        raise ValueError(
            f"{source} holds a location encoder alone; give the checkpoint of a training run for both towers"
        )
    towers = read_checkpoint(path).towers()
    towers.location_encoder = _placed(towers.location_encoder, device, None)
    return towers.to(device).eval()


def describe(source: str | Path) -> dict[str, Any]:
    """What `source` holds, ready for JSON: its kind, the location encoder, and what is known of the training.

    Raises:
        FileNotFoundError, ConnectionError, ValueError: as `load_location_encoder`.
    """
    name, fresh = _trained(source)
    path = locate(name)
    file = None if path.is_dir() else read_checkpoint(path)
    encoder = LocationEncoder.from_folder(path) if file is None else file.location_encoder()
    weights = list(encoder.parameters())
    kind = "safetensors folder" if file is None else file.kind
    if fresh:
        kind, file = f"untrained encoder of the architecture of a {kind}", None
    return {
        "source": str(source),
        **({} if str(path) == str(name) else {"file": str(path)}),
        "kind": kind,
        **encoder.config(),
        "parameters": sum(weight.numel() for weight in weights),
        "dtype": str(weights[0].dtype).removeprefix("torch."),
        **({} if file is None else file.training()),
    }


def _trained(source: str | Path) -> tuple[str | Path, bool]:
    """`source` without `untrained:`, and whether that stood before it. A file of that very name is a file."""
    if isinstance(source, str) and source.startswith(UNTRAINED) and not Path(source).exists():
        return source.removeprefix(UNTRAINED), True
    return source, False


def _placed(encoder: LocationEncoder, device: Device, dtype: torch.dtype | None) -> LocationEncoder:
    saved = next(encoder.parameters()).dtype
    try:
        widest = angle_dtype(torch.device(device))
        narrowed = widest if saved == torch.float64 else saved
        return encoder.to(device=device, dtype=dtype or narrowed).eval()
    except (RuntimeError, AssertionError, TypeError) as error:  # torch raises each, depending on how it was built
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"there is no device {device} here ({reason}); device='cpu' always works") from error
