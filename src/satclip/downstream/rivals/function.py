"""Somebody's own encoder: `package.module:name`."""

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module, invalidate_caches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from satclip.downstream.contract import Predictor
from satclip.downstream.rivals.frozen import UNKNOWN, Array, Vectors, checked

FEW = 8  # places that are asked about a second time


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
        vectors = self._answer(places)
        shaped = vectors.ndim == 2 and len(vectors) == len(places) and vectors.shape[1] > 0
        if not shaped or not np.issubdtype(vectors.dtype, np.floating):
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
        if len(places) > FEW:
            self._check_alone(places[:FEW], vectors[:FEW])
        return vectors

    def _check_alone(self, places: Array, before: Vectors) -> None:
        """Ask about a few places again, alone: what depends on its company would learn from the tested places."""
        after = self._answer(places)
        if after.shape != before.shape or not np.allclose(after, before, rtol=0.02, atol=0.02 * np.abs(before).max()):
            raise ValueError(
                f"{self.name} gives other vectors for the same places when they come alone; they must depend on the "
                "place and on nothing else: neither on the other rows nor on chance"
            )

    def _answer(self, places: Array) -> Vectors:
        """What the callable makes of places, as an array of any shape."""
        with named(self.name):
            answer = self.call(places.copy())
            if hasattr(answer, "detach"):
                answer = answer.detach().cpu()
                answer = answer.float() if str(answer.dtype) == "torch.bfloat16" else answer
            return np.asarray(answer)


@contextmanager
def named(name: str) -> Iterator[None]:
    """Turn whatever the code of somebody else raises into one line that names it and where it was raised.

    Raises:
        ValueError: that line.
    """
    try:
        yield
    except Exception as error:  # anything may come out of it, and a missing package is told as any other
        where = traceback.extract_tb(error.__traceback__)[-1]
        raise ValueError(
            f"{name} raised {type(error).__name__}: {' '.join(str(error).split())} "
            f"({Path(where.filename).name}, line {where.lineno}); mend it"
        ) from error


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
    if isinstance(found, type):
        with named(text):
            found = found()
    if isinstance(found, Predictor):
        return found
    if not callable(found):
        raise ValueError(f"{text} is a {type(found).__name__}; give a function of lonlat [N, 2] in degrees -> [N, D]")
    return Function(found, str(getattr(found, "name", text)))


def _imported(name: str) -> Any:
    here = str(Path.cwd())  # a console script does not look where it is started
    try:
        known = find_spec(name.split(".")[0]) is not None
        if not known:
            sys.path.insert(0, here)
            invalidate_caches()
        if not known and find_spec(name.split(".")[0]) is None:
            raise ValueError(f"no module {name} is installed or lies in {here}; check the name, or start beside it")
        with named(name):
            return import_module(name)
    finally:
        if here in sys.path[:1] and not known:
            sys.path.remove(here)
