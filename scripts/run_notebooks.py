"""Run the notebooks and keep what they show.

    python scripts/run_notebooks.py [--check] [NOTEBOOK ...]
    python scripts/run_notebooks.py --repository OWNER/NAME     # runs nothing: where the Colab badges lead

Each runs from a fresh kernel in an empty folder of its own, offline, as a reader's would after "Restart and run all".
Without `--check` the outputs are kept in the file, with pictures of 256 colours, which halves the bytes, and one of the
pictures is written to docs/, where docs/notebooks.md shows it. A cell that fails ends the program with its traceback.
"""

import argparse
import io
import os
import re
import sys
import tempfile
import time
from base64 import b64decode, b64encode
from functools import partial
from pathlib import Path

from satclip.files import atomic_file
from satclip.optional_import import remedy

try:
    import nbformat
    from nbclient import NotebookClient
    from nbformat import NotebookNode
    from PIL import Image
except ModuleNotFoundError as error:
    sys.exit(f"error: {remedy(error) or error}")

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
DOCS = ROOT / "docs"
SHOWN = {
    "A01": 3,
    "A03": 1,
    "B01": 2,
    "B02": 3,
    "D01": 2,
}  # which of a notebook's pictures docs/ shows; others the first
TASKS = ROOT / "data" / "tasks"
SECONDS = 600  # that a cell may take, on a machine with much else to do
COLOURS = 256
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # of a progress bar
BADGE = re.compile(r"colab\.research\.google\.com/github/[^/]+/[^/]+/blob/main/notebooks/[^)]+")


def main() -> None:
    """Run them, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, help="by default all of notebooks/")
    parser.add_argument("--check", action="store_true", help="only run: leave the files as they are")
    parser.add_argument(
        "--repository", metavar="OWNER/NAME", help="on GitHub: point the Colab badges there, run nothing"
    )
    options = parser.parse_args()
    for path in options.notebooks or sorted(NOTEBOOKS.glob("*.ipynb")):
        start = time.monotonic()
        notebook = nbformat.read(path, as_version=4)
        if options.repository:
            lead_to(notebook, options.repository, path.name)
            write(notebook, path)
            continue
        executed(notebook)
        if not options.check:
            tidied(notebook)
            write(notebook, path)
            if path.resolve().parent == NOTEBOOKS:
                show(notebook, path.stem[:3])
        print(f"{path.name}: {time.monotonic() - start:.0f} s", flush=True)


def write(notebook: NotebookNode, path: Path) -> None:
    """Keep it, whole or not at all."""
    with atomic_file(path) as part:
        part.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


def executed(notebook: NotebookNode) -> None:
    """Fill in the outputs, in place.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; shows it and its traceback.
    """
    temporary = partial(tempfile.TemporaryDirectory, prefix="notebook-")
    with temporary() as folder, temporary() as sockets:
        kernel = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # `satclip` of this environment
            "HF_HUB_OFFLINE": "1",  # the same with and without a network
            "COLUMNS": "110",
            "PYTHONWARNINGS": "ignore:IProgress not found",  # tqdm's wish for ipywidgets
            **({"SATCLIP_DATA": str(TASKS)} if TASKS.is_dir() and "SATCLIP_DATA" not in os.environ else {}),
        }
        client = NotebookClient(
            notebook, timeout=SECONDS, coalesce_streams=True, resources={"metadata": {"path": folder}}
        )
        manager = client.create_kernel_manager()
        manager.transport, manager.ip = "ipc", f"{sockets}/kernel"  # on TCP, every user of the machine could listen
        client.execute(env=kernel)
        for output in outputs(notebook):
            if output.output_type == "stream":  # the folder is gone when a reader sees it
                text = output.text.replace(f"{os.path.realpath(folder)}/", "").replace(f"{folder}/", "")
                output.text = CONTROL.sub("", text)


def tidied(notebook: NotebookNode) -> None:
    """Leave out what differs from run to run and says nothing, and make the pictures small, in place."""
    notebook.metadata = NotebookNode(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    for number, cell in enumerate(notebook.cells, 1):
        cell.id, cell.metadata = f"cell-{number:02d}", NotebookNode()
    for cell in notebook.cells:
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if says_something(output)]
    for output in outputs(notebook):
        data = output.get("data", {})
        if "image/png" in data:
            data["image/png"] = b64encode(smaller(b64decode(data["image/png"]))).decode()


def show(notebook: NotebookNode, number: str) -> None:
    """Write the picture that docs/notebooks.md shows."""
    pictures = [output.data["image/png"] for output in outputs(notebook) if "image/png" in output.get("data", {})]
    with atomic_file(DOCS / f"notebook_{number}.png") as part:
        part.write_bytes(b64decode(pictures[SHOWN.get(number, 1) - 1]))


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    """Those of all cells."""
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def says_something(output: NotebookNode) -> bool:
    """A progress bar that is over leaves an empty output behind."""
    drawn = output.output_type != "display_data" or "image/png" in output.data
    return drawn or bool(output.data.get("text/plain", "").strip())


def smaller(png: bytes) -> bytes:
    """The picture with a palette, where that takes fewer bytes."""
    with Image.open(io.BytesIO(png)) as picture:
        flat = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA")).convert("RGB")
    file = io.BytesIO()
    flat.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return min(png, file.getvalue(), key=len)


def lead_to(notebook: NotebookNode, repository: str, name: str) -> None:
    """Let the badge open this notebook of the repository."""
    there = f"colab.research.google.com/github/{repository}/blob/main/notebooks/{name}"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = BADGE.sub(there, cell.source)


if __name__ == "__main__":
    main()
