"""The page's data against NumPy and torch: what is kept, what it costs, what is refused."""

import base64
import gzip
import hashlib
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import satclip.explorer
from satclip.downstream.evaluate.holdouts import cell_draws
from satclip.downstream.places import labelled_places
from satclip.embedding import embed
from satclip.explorer.cells import cells
from satclip.explorer.page import build_page, explorer_page
from satclip.explorer.probed import probed
from satclip.explorer.quantise import cosines, quantise
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren
from satclip.region import Region

DEGREES = 3.0  # of the fixture's page
WEB = Path(satclip.explorer.__file__).parent / "web"


@pytest.fixture
def one_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """The map that is read fastest, where no test is of the predictions."""
    monkeypatch.setattr("satclip.explorer.probed.TASKS", ("elevation",))


def small_encoder(dims: int) -> LocationEncoder:
    torch.manual_seed(0)
    return LocationEncoder(SphericalHarmonics(8), partial(Siren, hidden_dim=32), embedding_dim=dims).eval()


def read(text: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What a page holds, by a reader that shares no line with the writer."""
    header = json.loads(re.findall(r'id="header">(.*?)</script>', text, re.DOTALL)[0])
    data = gzip.decompress(base64.b64decode(re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)[0]))
    arrays = {
        name: np.frombuffer(data, each["kind"], int(np.prod(each["shape"])), each["at"]).reshape(each["shape"])
        for name, each in header["arrays"].items()
    }
    return header, arrays


def true_cosines(encoder: LocationEncoder, lonlat: torch.Tensor) -> NDArray[np.float64]:
    x = embed(encoder, lonlat).double().numpy()
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x @ x.T)


@pytest.mark.parametrize("dims", [1, 2, 24, 1088])
def test_int8_rows_give_the_cosines_of_any_width(dims: int) -> None:
    generator = torch.Generator().manual_seed(dims)
    smooth = torch.randn(40, dims, generator=generator, dtype=torch.float64) / (1 + torch.arange(40)[:, None])
    x = torch.randn(500, 40, generator=generator, dtype=torch.float64) @ smooth + 0.1
    small = quantise(x)
    assert small.rows.shape == (500, min(dims, 96))
    unit = x / x.norm(dim=1, keepdim=True)
    every = torch.arange(500)
    errors = (cosines(torch.from_numpy(small.rows), torch.from_numpy(small.steps), every) - unit @ unit.T).abs()
    assert float(errors.max()) < 0.02
    assert small.mean_error == pytest.approx(float(errors.mean()), rel=0.3, abs=1e-6)
    assert small.largest_error <= float(errors.max()) + 1e-6


def test_what_is_dropped_still_tells_near_places_apart() -> None:
    x = torch.randn(300, 400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    small = quantise(x)  # as many directions as there are, of which 96 are kept
    itself = cosines(torch.from_numpy(small.rows), torch.from_numpy(small.steps), torch.arange(300)).diagonal()
    assert torch.allclose(itself, torch.ones(300, dtype=torch.float64))
    assert small.largest_error > 0.05  # and it is said what it costs


def test_a_nan_in_an_embedding_is_refused_by_count() -> None:
    x = torch.ones(10, 4)
    x[3, 1] = float("nan")
    with pytest.raises(ValueError, match="1 of 10 embeddings are NaN or infinite: the training diverged"):
        quantise(x)


def test_the_page_holds_the_encoder_s_own_cosines(encoder: LocationEncoder, page: Path) -> None:
    header, arrays = read(page.read_text())
    grid = cells(DEGREES)
    assert header["grid"] == {"rows": 60, "columns": 120, "west": -180, "north": 90, "width": 360, "height": 180}
    row, column = np.divmod(arrays["cells"].astype(int), 120)
    np.testing.assert_allclose(np.stack((column * 3 - 178.5, 88.5 - row * 3), 1), grid.lonlat.numpy())
    kept = arrays["0/rows"] * arrays["0/steps"]
    np.testing.assert_allclose(kept @ kept.T, true_cosines(encoder, grid.lonlat), atol=0.03)
    assert header["encoders"][0]["note"].startswith(f"{len(grid):,} cells, 24 of 24 components as int8: cosine off by")


@pytest.mark.usefixtures("one_task")
def test_a_page_asks_no_network_and_believes_no_name() -> None:
    name = "</script><script>alert(1)</script>&\u2028"
    text = build_page({name: small_encoder(3)}, degrees=30).text
    assert text.count("<script") == text.count("</script>") == 3
    assert read(text)[0]["encoders"][0]["name"] == name
    assert "default-src 'none'" in text
    assert not re.search(r"""(src|href)\s*=\s*["']?https?:|@import|url\(""", text.split("<script", 1)[0])


@pytest.mark.usefixtures("one_task")
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_few_dimensions_have_the_colours_that_they_can(dims: int) -> None:
    _, arrays = read(build_page({"narrow": small_encoder(dims)}, degrees=10).text)
    assert ("0/colours" in arrays) == (dims >= 3)
    assert arrays["0/two"].shape == (len(arrays["cells"]), 2)
    assert np.ptp(arrays["0/two"], axis=0)[0] > 200


@pytest.mark.usefixtures("one_task")
def test_the_whole_sphere_has_every_cell_and_a_region_only_its_own(encoder: LocationEncoder) -> None:
    _, arrays = read(build_page({"small": encoder}, degrees=10, sea=True).text)
    assert len(arrays["cells"]) == 18 * 36
    header, arrays = read(build_page({"small": encoder}, degrees=10, region=Region.of([170, -50, -170, -30])).text)
    assert header["grid"]["width"] == 20  # across the date line
    assert 100 < len(arrays["cells"]) <= header["grid"]["rows"] * header["grid"]["columns"]
    assert 50 < header["elsewhere_km"] < 400
    with pytest.raises(ValueError, match="leave one of --bounds and --sea"):
        cells(10, sea=True, region=Region.of([0, 0, 10, 10]))


def test_a_cell_is_predicted_by_a_probe_that_saw_no_label_near_it(encoder: LocationEncoder) -> None:
    def encode(places: NDArray[np.float64]) -> NDArray[np.floating]:
        return embed(encoder, torch.from_numpy(places)).numpy()

    places = torch.from_numpy(labelled_places(400)[0].lonlat)  # the cells of this page are the labelled places
    for task in probed(encode, embed(encoder, places), places):
        regression = task.labels.classes is None
        scores = []
        for draw in cell_draws(task.labels, 10.0, 5, seed=0):  # whose own labels have not taught what answers for them
            predicted, truth = task.predicted[draw.test], task.labels.target[draw.test]
            spread = ((truth - truth.mean()) ** 2).mean()
            scores.append(1 - ((predicted - truth) ** 2).mean() / spread if regression else (predicted == truth).mean())
        assert task.score.value == pytest.approx(np.mean(np.maximum(scores, -1.0)), abs=1e-5)
        assert task.score.low < task.score.value < task.score.high
        np.testing.assert_allclose(task.truth, task.labels.target)


@pytest.mark.usefixtures("one_task")
def test_a_page_is_written_whole_or_not_at_all(
    encoder: LocationEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "run" / "explorer.html"
    target.parent.mkdir()
    target.write_text("the last one")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        explorer_page(encoder, target, degrees=30)
    assert target.read_text() == "the last one"
    assert [path.name for path in target.parent.iterdir()] == ["explorer.html"]
    monkeypatch.undo()
    explorer_page(encoder, target, degrees=30)
    assert read(target.read_text())[0]["encoders"][0]["name"].endswith("/run")


def test_the_script_in_the_package_is_built_from_the_sources_beside_it() -> None:
    digest = hashlib.sha256()
    for path in [*sorted((WEB / "src").iterdir()), WEB / "package-lock.json"]:
        digest.update(f"{path.relative_to(WEB).as_posix()}\n".encode() + path.read_bytes())
    assert (WEB / "dist" / "sources.sha256").read_text().strip() == digest.hexdigest(), (
        "the explorer's script is stale: cd src/satclip/explorer/web && npm ci && npm run build"
    )
    assert "MIT License" in (WEB / "dist" / "three.LICENSE.txt").read_text()
    assert 300_000 < (WEB / "dist" / "explorer.js").stat().st_size < 700_000
