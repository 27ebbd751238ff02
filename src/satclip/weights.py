"""Reading somebody else's file of weights, and saying what in it does not fit.

Whatever the file says is data: no code in it is run, and what it asks for is compared with what lies in it before
memory is taken.
"""

import re
import reprlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SHOWN = 6
_PICKLE = b"\x80"  # begins what torch.save wrote before it wrote zip archives
_ANY_SIZE = 10_000  # a description may ask for this much of anything: layers and frequencies are no sizes of tensors
_NO_SIZES = ("radius", "omega", "bandwidth", "seed")
_NAME_LENGTH = 200
_FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def read_torch_file(path: Path) -> Any:
    """What `torch.save` wrote to `path`, on the CPU: tensors and plain types only, so that no file can run code.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a torch file, it is cut short, it is compressed (torch never does, and a small file could
            become a huge one), or it holds objects that are neither.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; give the path of a file that torch.save wrote")
    try:
        _check_container(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file of another kind fails anywhere in the unpickler: KeyError, EOFError, ...
        raise ValueError(
            f"{path} is not a readable file of tensors ({type(error).__name__}: {_reason(error)}); "
            "give a file that torch.save wrote, whole, with tensors and plain types in it"
        ) from error


def _check_container(path: Path) -> None:
    """Refuse what torch.load would unpack unseen: archives that grow, and tar files, which may name other files."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            if file.read(1) != _PICKLE:
                raise ValueError("neither an archive nor a pickle")
        return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("the archive is compressed")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise ValueError("the archive says that it holds more than its own size")


def _reason(error: Exception) -> str:
    """What was met in the file, or the first line; torch's begins with how to run the code all the same."""
    met = re.search(r"unsupported (operand \d+|(global: )?GLOBAL \S+)", str(error), re.IGNORECASE)
    if met is None and "weights_only" in str(error):
        return "it holds more than tensors and plain types"
    return printable(met.group() if met else next(iter(str(error).splitlines()), type(error).__name__))


def printable(value: Any) -> str:
    """A value out of a file for a line of text: short, and without terminal control characters."""
    text = value if isinstance(value, str) else reprlib.repr(value)
    shown = text if text.isprintable() else ascii(text[: _NAME_LENGTH + 1])[1:-1]
    return shown if len(shown) <= _NAME_LENGTH else f"{shown[:_NAME_LENGTH]}..."


def real_weights(weights: Mapping[Any, Any], *, source: str, counters: bool = False) -> dict[str, Tensor]:
    """The same weights, known to be names and dense tensors of floats that lie in the file as large as they say.

    `counters` lets whole numbers pass, which batch normalisation counts in.

    Raises:
        ValueError: naming the first that is not so.
    """
    for name, tensor in weights.items():
        fault = _fault(tensor, counters=counters) if isinstance(name, str) else "is no name"
        if fault:
            raise ValueError(f"{source} does not fit: {printable(name)} {fault}. Give the file as it was saved")
    return dict(weights)


def _fault(tensor: Any, *, counters: bool) -> str | None:
    if not isinstance(tensor, Tensor):
        return f"is a {type(tensor).__name__}, not a tensor"
    kind = tensor.dtype in _FLOATS or (counters and tensor.dtype == torch.int64)
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or not kind:
        return f"is {tensor.layout} of {tensor.dtype} on {tensor.device}, not a dense tensor of floats"
    if tensor.numel() * tensor.itemsize > tensor.untyped_storage().nbytes():
        return f"says {list(tensor.shape)}, and the file holds {tensor.untyped_storage().nbytes():,} bytes of it"
    return None


def check_sizes(options: Mapping[str, Any], weights: Mapping[str, Tensor], *, source: str) -> None:
    """Refuse a description that asks for far more than the weights beside it have, before anything is built from it.

    Raises:
        ValueError: naming the first such option.
    """
    largest = max((max(tensor.shape, default=0) for tensor in weights.values()), default=0)
    allowed = max(largest, len(weights), _ANY_SIZE)
    for name, value in options.items():
        if isinstance(value, Mapping):
            check_sizes(value, weights, source=source)
        for number in value if isinstance(value, (list, tuple)) else (value,):
            known = any(part in str(name) for part in _NO_SIZES)
            if isinstance(number, (int, float)) and not known and not -allowed <= number <= allowed:
                raise ValueError(
                    f"{source} does not fit: it asks for {printable(name)}={printable(value)}, and its largest tensor "
                    f"has {largest} on a side. Give the file as it was saved"
                )


def mismatches(mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> list[str]:
    """One phrase for every name that is missing, unknown or of another shape in `theirs`; empty where it fits."""
    return [
        *(f"{name} is missing" for name in mine if name not in theirs),
        *(f"{printable(name)} is not part of the model" for name in theirs if name not in mine),
        *(
            f"{name} has shape {list(tensor.shape)}, not {list(mine[name].shape)}"
            for name, tensor in theirs.items()
            if name in mine and tensor.shape != mine[name].shape
        ),
    ]


def check_fit(mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor], *, source: str, remedy: str) -> None:
    """Refuse weights that do not fit exactly.

    Raises:
        ValueError: `source` does not fit: the first names that differ, how many more do, and the `remedy`.
    """
    wrong = mismatches(mine, theirs)
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise ValueError(f"{source} does not fit: {'; '.join(wrong[:SHOWN])}{more}. {remedy}")


def widest(weights: Mapping[str, Tensor]) -> torch.dtype:
    """The dtype that holds all of these without rounding any."""
    dtype = torch.float16
    for number, tensor in enumerate(weights.values()):
        dtype = torch.promote_types(dtype, tensor.dtype) if number else tensor.dtype
    return dtype
