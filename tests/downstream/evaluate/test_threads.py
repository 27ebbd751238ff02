"""One thread inside, as many as before outside; a missing package is named with its extra."""

import pytest
import torch

from satclip.downstream.evaluate.extra import from_extra
from satclip.downstream.evaluate.threads import one_thread

threadpoolctl = pytest.importorskip("threadpoolctl")


def threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}


def broken() -> None:
    with one_thread():
        assert threads() == {1}
        assert torch.get_num_threads() == 1
        raise ValueError("stop")


def test_everything_has_one_thread_inside_and_what_it_had_outside() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threadpoolctl.threadpool_limits(2):
            with pytest.raises(ValueError, match="stop"):
                broken()
            assert threads() == {2}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_missing_package_is_named_with_its_extra() -> None:
    with pytest.raises(
        ModuleNotFoundError, match=r"needs nosuchpackage, which is missing: pip install 'satclip\[evalu"
    ):
        from_extra("nosuchpackage.inside")
