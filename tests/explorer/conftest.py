"""A small encoder, its page, and a browser to open it in."""

import importlib.util
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from satclip.explorer.page import build_page
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren

DEGREES = 3.0


@pytest.fixture(scope="session", autouse=True)
def few_places() -> Iterator[None]:
    """Labels enough for five folds, and no more."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("satclip.explorer.probed.PLACES", 400)
        yield


@pytest.fixture(scope="session")
def encoder() -> LocationEncoder:
    """Not trained: its neighbours are alike, which is all that a page needs."""
    torch.manual_seed(0)
    return LocationEncoder(SphericalHarmonics(8), partial(Siren, hidden_dim=32), embedding_dim=24).eval()


@pytest.fixture(scope="session")
def chromium() -> ModuleType:
    """scripts/benchmarks/chromium.py, which drives the browser."""
    path = Path(__file__).parents[2] / "scripts" / "benchmarks" / "chromium.py"
    spec = importlib.util.spec_from_file_location("chromium", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if module.executable() is None:
        pytest.skip("no Chromium here: apt install chromium")
    return module


@pytest.fixture(scope="session")
def page(encoder: LocationEncoder, few_places: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    return build_page({"small": encoder}, degrees=DEGREES).write(folder / "explorer.html")


@pytest.fixture(scope="module")
def window(page: Path, chromium: ModuleType) -> Iterator[Any]:
    """The browser's page, with the small encoder's explorer open in it."""
    with chromium.browser() as opened:
        opened.open(page.as_uri())
        yield opened
