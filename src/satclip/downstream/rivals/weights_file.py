"""Files of weights as other projects publish them: torch archives and safetensors, read without running any code."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from satclip.weights import check_fit, read_torch_file

WRAPPERS = ("state_dict", "model_state_dict")
_GENERATOR = RLock()  # the benchmark works on several draws at a time, and torch has one generator for all threads
Network = TypeVar("Network", bound=nn.Module)


def read_content(path: Path) -> Mapping[str, Any]:
    """What lies in the file at `path`: names to tensors, and whatever stands beside them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no file of weights.
    """
    if path.suffix == ".safetensors":
        if not path.is_file():
            raise FileNotFoundError(f"no file {path}; give the path of the weights")
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path} cannot be read ({error}); fetch it again") from error
    content = read_torch_file(path)
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} holds a {type(content).__name__} and no named tensors; give a file of weights")
    return content


def read_state(path: Path, *, prefix: str = "", ignored: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """The tensors in the file at `path`, under `state_dict` or bare.

    Args:
        path: .safetensors, or anything that `torch.save` wrote.
        prefix: stripped from the names that carry it; other names are left out where any carries it.
        ignored: names that start so are not part of the encoder (heads of a former task) and are left out.

    Raises:
        FileNotFoundError, ValueError: as `read_content`.
        ValueError: there are no tensors in it.
    """
    content = read_content(path)
    inner: Mapping[str, Any] = next((content[name] for name in WRAPPERS if name in content), content)
    state = {name: value for name, value in inner.items() if isinstance(value, Tensor)}
    below = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    kept = {name: value for name, value in (below or state).items() if not name.startswith(ignored or ("\0",))}
    if not kept:
        raise ValueError(f"{path} holds no tensors of an encoder; give the file of weights as it was published")
    return kept


def fitted(network: Network, state: Mapping[str, Tensor], *, source: str, remedy: str) -> Network:
    """`network` with exactly these weights, in evaluation mode.

    Raises:
        ValueError: tensors are missing, unknown or of another shape; names them and `source`.
    """
    check_fit(network.state_dict(), state, source=source, remedy=remedy)
    network.load_state_dict(dict(state))
    return network.eval()


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Torch's own generator begins at `seed`, and is put back afterwards; other threads that ask for it wait."""
    with _GENERATOR, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def seeded(build: Callable[[], Network], seed: int) -> Network:
    """What `build` makes, its weights drawn from `seed` and from nothing that came before."""
    with drawing_from(seed):
        return build()
