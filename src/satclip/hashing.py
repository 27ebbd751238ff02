"""Random numbers that are a function of their keys and of nothing else.

A generator's stream depends on how often it was asked before; these do not, so the number of workers or processes, and
a restart, change nothing. The mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable
pseudorandom number generators", OOPSLA 2014).
"""

from collections.abc import Iterable
from hashlib import blake2b

import torch
from torch import Tensor


def _signed(value: int) -> int:
    """A 64-bit pattern as the int64 that torch can hold."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


GOLDEN, FIRST, SECOND = _signed(0x9E3779B97F4A7C15), _signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB)


def _shift(state: Tensor, bits: int) -> Tensor:
    """Logical right shift; torch's own copies the sign."""
    return (state >> bits) & ((1 << (64 - bits)) - 1)


def hashed(*keys: int | Tensor) -> Tensor:
    """One int64 hash per element of the broadcast keys; every key counts, and so does their order."""
    state = torch.zeros((), dtype=torch.int64)
    for key in keys:
        # A tensor of no dimensions takes no part in the choice of device, so that keys may lie on any.
        state = state + GOLDEN + (key if isinstance(key, Tensor) else _signed(key))
        state = (state ^ _shift(state, 30)) * FIRST
        state = (state ^ _shift(state, 27)) * SECOND
        state = state ^ _shift(state, 31)
    return state


def uniform(*keys: int | Tensor) -> Tensor:
    """Float32 in [0, 1) from the upper 24 bits of the hash, the same on every device."""
    return _shift(hashed(*keys), 40).to(torch.float32) * 2.0**-24


def shuffled(count: int, *keys: int) -> Tensor:
    """A permutation of 0 .. count-1, int64 [count]."""
    return hashed(*keys, torch.arange(count)).argsort(stable=True)


def text_keys(texts: Iterable[str]) -> Tensor:
    """One int64 key per text, the same on every machine."""
    digests = (blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return torch.tensor([int.from_bytes(digest, "little", signed=True) for digest in digests], dtype=torch.int64)
