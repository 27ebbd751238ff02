"""One thread for every product: two on a busy machine of two cores are five times slower, and not always equal."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from satclip.downstream.evaluate.extra import from_extra


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, BLAS, OpenMP and torch use one thread each; afterwards as many as before.

    Raises:
        ModuleNotFoundError: without threadpoolctl; ends with what to install.
    """
    limits = from_extra("threadpoolctl").threadpool_limits
    before = torch.get_num_threads()
    with limits(limits=1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
