"""Every notebook runs from top to bottom, and what it shows is of such a run."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LARGEST_PICTURE, LARGEST_ALL = 150_000, 3_000_000
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def shown(path: Path) -> list[dict[str, Any]]:
    return [output for cell in cells(path, "code") for output in cell["outputs"]]


@pytest.mark.slow
@each
def test_it_runs_from_a_fresh_kernel_in_an_empty_folder(path: Path) -> None:
    pytest.importorskip("nbclient", reason="NEEDS pip install 'satclip[dev]'")
    run = [sys.executable, str(ROOT / "scripts" / "run_notebooks.py"), "--check", str(path)]
    done = subprocess.run(run, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


@each
def test_its_outputs_are_of_one_run_from_top_to_bottom(path: Path) -> None:
    assert [cell["execution_count"] for cell in cells(path, "code")] == list(range(1, len(cells(path, "code")) + 1))
    assert not [output for output in shown(path) if output["output_type"] == "error"]
    assert not [output["text"] for output in shown(path) if output.get("name") == "stderr"]


@each
def test_its_pictures_are_kept_and_small(path: Path) -> None:
    pictures = [output["data"]["image/png"] for output in shown(path) if "image/png" in output.get("data", {})]
    assert pictures
    sizes = [len(base64.b64decode("".join(picture))) for picture in pictures]
    assert max(sizes) < LARGEST_PICTURE, sizes
    assert sum(each.stat().st_size for each in NOTEBOOKS) < LARGEST_ALL


@each
def test_it_opens_in_colab_under_its_own_name(path: Path) -> None:
    badge = f"colab.research.google.com/github/OWNER/satclip/blob/main/notebooks/{path.name})"
    assert any(badge in "".join(cell["source"]) for cell in cells(path, "markdown"))


@each
def test_it_tells_nothing_of_the_machine_it_ran_on(path: Path) -> None:
    text = json.dumps(shown(path))
    assert not [word for word in (str(Path.home()), "/tmp/", "/work/", "site-packages") if word in text]


@each
def test_the_list_of_notebooks_names_it(path: Path) -> None:
    assert f"({path.name})" in (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
