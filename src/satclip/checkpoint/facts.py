"""What a file says of itself, made fit to be shown: plain, short and finite, whatever lies in it."""

import math
from collections.abc import Mapping
from typing import Any

from satclip.weights import printable

_DEEPEST, _LONGEST = 3, 50


def plain_facts(value: Any, depth: int = 0) -> Any:
    """`value` as JSON can hold it: of every list and dictionary the start, and only so many inside each other."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else printable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth < _DEEPEST and isinstance(value, Mapping):
        items = list(value.items())[:_LONGEST]
        return {printable(key): plain_facts(item, depth + 1) for key, item in items}
    if depth < _DEEPEST and isinstance(value, (list, tuple)):
        return [plain_facts(item, depth + 1) for item in value[:_LONGEST]]
    return printable(value)
