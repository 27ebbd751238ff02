"""Each promise on both devices: on the CPU in every run of the tests, on a GPU where there is one."""

import pytest
import torch


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> torch.device:
    """Where the test computes; what it expects is computed on the CPU."""
    return torch.device(request.param)
