"""Arrays and a description of them as text for an HTML page."""

import base64
import gzip
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEVEL = 6


class Arrays:
    """Named arrays, one after the other, each from a multiple of eight bytes."""

    def __init__(self) -> None:
        self._index: dict[str, dict[str, Any]] = {}
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, name: str, array: NDArray[Any]) -> str:
        """Append an array of one of the kinds that JavaScript has; returns its name."""
        data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        self._index[name] = {"kind": array.dtype.name, "shape": list(array.shape), "at": self._size}
        padded = data + bytes(-len(data) % 8)
        self._parts.append(padded)
        self._size += len(padded)
        return name

    def index(self) -> dict[str, dict[str, Any]]:
        """By name: kind, shape and first byte."""
        return self._index

    def text(self) -> str:
        """All of them, gzip in base64."""
        return base64.b64encode(gzip.compress(b"".join(self._parts), _LEVEL, mtime=0)).decode()


def embedded_json(value: Any) -> str:
    """JSON that nothing in a page can take for its own end, whatever names stand in it; NaN is null."""
    return json.dumps(_without_nan(value), ensure_ascii=True).replace("<", "\\u003c").replace(">", "\\u003e")


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return value
