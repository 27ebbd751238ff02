"""Every notebook runs from top to bottom, and what it shows is of such a run."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RUN = [sys.executable, str(ROOT / "scripts" / "run_notebooks.py")]
LARGEST_PICTURE, LARGEST_ALL = 150_000, 3_000_000
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def shown(path: Path) -> list[dict[str, Any]]:
    return [output for cell in cells(path, "code") for output in cell["outputs"]]


def pictures(path: Path) -> list[bytes]:
    found = [output["data"]["image/png"] for output in shown(path) if "image/png" in output.get("data", {})]
    return [base64.b64decode("".join(picture)) for picture in found]


@pytest.mark.slow
@each
def test_it_runs_from_a_fresh_kernel_in_an_empty_folder(path: Path) -> None:
    pytest.importorskip("nbclient", reason="NEEDS pip install 'satclip[dev]'")
    done = subprocess.run(
        [*RUN, "--check", str(path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


@each
def test_its_outputs_are_of_one_run_from_top_to_bottom(path: Path) -> None:
    assert [cell["execution_count"] for cell in cells(path, "code")] == list(range(1, len(cells(path, "code")) + 1))
    assert not [output for output in shown(path) if output["output_type"] == "error"]
    assert not [output["text"] for output in shown(path) if output.get("name") == "stderr"]


@each
def test_its_pictures_are_kept_and_small(path: Path) -> None:
    sizes = [len(picture) for picture in pictures(path)]
    assert sizes
    assert max(sizes) < LARGEST_PICTURE, sizes
    assert sum(each.stat().st_size for each in NOTEBOOKS) < LARGEST_ALL


def badges(path: Path) -> list[tuple[str, str]]:
    """The repository and the file that its Colab badges lead to."""
    text = "".join(line for cell in cells(path, "markdown") for line in cell["source"])
    return re.findall(
        r"\(https://colab\.research\.google\.com/github/([^/]+/[^/]+)/blob/main/notebooks/([^)]+)\)", text
    )


@each
def test_it_opens_in_colab_under_its_own_name(path: Path) -> None:
    assert [name for _, name in badges(path)] == [path.name]


def test_all_badges_lead_to_one_repository(tmp_path: Path) -> None:
    pytest.importorskip("nbclient", reason="NEEDS pip install 'satclip[dev]'")
    assert len({repository for path in NOTEBOOKS for repository, _ in badges(path)}) == 1
    copies = [Path(shutil.copy(path, tmp_path)) for path in NOTEBOOKS]
    subprocess.run([*RUN, "--repository", "you/yours", *map(str, copies)], check=True, timeout=60)
    assert {badge for path in copies for badge in badges(path)} == {("you/yours", path.name) for path in NOTEBOOKS}
    assert [shown(path) for path in copies] == [shown(path) for path in NOTEBOOKS]


@each
def test_it_tells_nothing_of_the_machine_it_ran_on(path: Path) -> None:
    text = json.dumps(shown(path))
    assert not [word for word in (str(Path.home()), "/tmp/", "/work/", "site-packages") if word in text]


@each
def test_it_keeps_no_progress_bar(path: Path) -> None:
    assert not re.findall("━|it/s|\\[A", "".join(line for output in shown(path) for line in output.get("text", [])))


def test_both_lists_name_them_all_and_no_other() -> None:
    names = [path.name for path in NOTEBOOKS]
    assert re.findall(r"\((\w+\.ipynb)\)", (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")) == names
    page = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    assert re.findall(r"\(\.\./notebooks/(\S+\.ipynb)\)", page) == names
    assert re.findall(r"\((notebook_\w+\.png)\)", page) == [f"notebook_{name[:3]}.png" for name in names]


@each
def test_the_picture_of_the_docs_is_one_that_the_notebook_shows(path: Path) -> None:
    assert (ROOT / "docs" / f"notebook_{path.stem[:3]}.png").read_bytes() in pictures(path)


def test_the_pictures_of_the_docs_are_small() -> None:
    sizes = [path.stat().st_size for path in (ROOT / "docs").glob("notebook_*.png")]
    assert len(sizes) == len(NOTEBOOKS)
    assert max(sizes) < 120_000
    assert sum(sizes) < 900_000


def test_the_sensor_of_the_sampling_notebook_is_sentinel_2_but_for_its_pixels() -> None:
    (cell,) = (cell for cell in cells(NOTEBOOKS[2], "code") if cell["source"][0].startswith("%%writefile"))
    small = yaml.safe_load("".join(cell["source"][1:]))
    shipped = yaml.safe_load((ROOT / "scripts" / "sensors" / "sentinel2.yaml").read_text(encoding="utf-8"))
    assert small.pop("bands").items() <= shipped.pop("bands").items()
    assert small.pop("resolution") == 2000
    assert small.items() <= shipped.items()
