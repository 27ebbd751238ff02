"""Somebody's own encoder: `package.module:name`."""

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from satclip.downstream.contract import Predictor
from satclip.downstream.rivals.frozen import UNKNOWN, Array, Vectors, checked


class Function:
    """A callable of places in degrees, [N, 2] -> [N, D], with its answers looked at.

    `seen`, `blocks`, `degrees` and `fingerprint` are taken from the callable where it has them; without a fingerprint
    its vectors are never kept from run to run.
    """

    def __init__(self, call: Callable[[Array], Any], name: str) -> None:
        self.call, self.name = call, name
        self.seen: str = getattr(call, "seen", UNKNOWN)
        for optional in ("blocks", "degrees", "fingerprint"):
            if hasattr(call, optional):
                setattr(self, optional, getattr(call, optional))

    def __call__(self, lonlat: Array) -> Vectors:
        """[N, 2] degrees -> [N, D].

        Raises:
            ValueError: places are none, or the callable's answer is not one finite vector per place.
        """
        places = checked(lonlat).numpy()
        answer = self.call(places.copy())
        answer = answer.detach().cpu() if hasattr(answer, "detach") else answer
        vectors = np.asarray(answer)
        if vectors.ndim != 2 or len(vectors) != len(places) or not np.issubdtype(vectors.dtype, np.floating):
            raise ValueError(
                f"{self.name} gave {vectors.dtype} {list(vectors.shape)} for {len(places)} places; "
                "it must return floats [N, D], one row per place in the same order"
            )
        bad = ~np.isfinite(vectors).all(1)
        if bad.any():
            row = int(bad.argmax())
            raise ValueError(
                f"{self.name} gave NaN or infinite numbers for {int(bad.sum())} of {len(places)} places, "
                f"the first at longitude {places[row, 0]:g}, latitude {places[row, 1]:g}; mend it, or leave them out"
            )
        return vectors


def function(text: str) -> Function | Predictor:
    """The object that `package.module:name` names; modules of the working folder can be named too.

    A class is called without arguments first. What has `fit_predict` is taken as a predictor.

    Raises:
        ValueError: there is no such module or name, or it cannot be called.
    """
    module_name, _, attribute = text.partition(":")
    module = _imported(module_name)
    found = getattr(module, attribute, None)
    if found is None:
        names = ", ".join(name for name in vars(module) if not name.startswith("_"))
        raise ValueError(f"{module_name} has no {attribute}; it has {names or 'nothing'}")
    found = found() if isinstance(found, type) else found
    if isinstance(found, Predictor):
        return found
    if not callable(found):
        raise ValueError(f"{text} is a {type(found).__name__}; give a function of lonlat [N, 2] in degrees -> [N, D]")
    return Function(found, str(getattr(found, "name", text)))


def _imported(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in (name, name.split(".")[0]):
            raise  # the module is there; what it imports is not
    here = str(Path.cwd())  # a console script does not look where it is started
    sys.path.insert(0, here)
    try:
        if find_spec(name.split(".")[0]) is None:
            raise ValueError(f"no module {name} is installed or lies in {here}; check the name, or start beside it")
        return import_module(name)
    finally:
        sys.path.remove(here)
