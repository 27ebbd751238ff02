"""Reading somebody else's file of weights, and saying what in it does not fit."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SHOWN = 6


def read_torch_file(path: Path) -> Any:
    """What `torch.save` wrote to `path`, on the CPU: tensors and plain types only, so that no file can run code.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a torch file, it is cut short, or it holds objects that are neither.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; give the path of a file that torch.save wrote")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file of another kind fails anywhere in the unpickler: KeyError, EOFError, ...
        raise ValueError(
            f"{path} is not a readable file of tensors ({type(error).__name__}: {_reason(error)}); "
            "give a file that torch.save wrote, whole, with tensors and plain types in it"
        ) from error


def _reason(error: Exception) -> str:
    """What was met in the file, or the first line: torch's begins with how to load it all the same, code and all."""
    met = re.search(r"Unsupported (operand \d+|global: GLOBAL \S+)", str(error))
    return met.group() if met else next(iter(str(error).splitlines()), type(error).__name__)


def mismatches(mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> list[str]:
    """One phrase for every name that is missing, unknown or of another shape in `theirs`; empty where it fits."""
    return [
        *(f"{name} is missing" for name in mine if name not in theirs),
        *(f"{name} is not part of the model" for name in theirs if name not in mine),
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
