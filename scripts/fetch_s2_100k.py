"""Fetch S2-100K, 100,000 Sentinel-2 patches (about 100 GB), from the Hugging Face hub.

    python scripts/fetch_s2_100k.py                      # to data/s2_100k
    python scripts/fetch_s2_100k.py --root /scratch/s2 --workers 16

Interrupted, it resumes where it stopped. Every shard is checked against the hub's checksum, and the data appear under
ROOT only when all of them are there and right.
"""

import argparse
import glob
import hashlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.hf_api import RepoFile
from rich.progress import track

from satclip.optional_import import remedy

try:
    from satclip.data.sources.huggingface import check_file_name, require_hub
    from satclip.data.sources.index_csv import INDEX
    from satclip.data.sources.shards import members
    from satclip.data.sources.tar_index import INDEX_SUFFIX
    from satclip.files import atomic_file, move
except ModuleNotFoundError as error:
    sys.exit(f"error: {remedy(error) or error}")


REPOSITORY = "torchgeo/s2-100k"
UNFINISHED = ".fetching"
CHECKED = "checked.json"


def fetch(root: Path, repository: str, workers: int) -> int:
    """Bring the data set to `root`; returns the number of patches.

    Raises:
        ValueError: a shard does not have the hub's checksum; it is removed, and the next call fetches it again.
        OSError: the hub does not answer, or lists no shards or names that are no files, or no patch is in the shards.
    """
    require_hub()
    folder = root / UNFINISHED
    listed = HfApi().list_repo_tree(repository, repo_type="dataset", recursive=True)
    files = [
        file for file in listed if isinstance(file, RepoFile) and (file.path.endswith(".tar") or file.path == INDEX)
    ]
    names = [check_file_name(file.path) for file in files]
    tars = [file for file in files if file.path.endswith(".tar")]
    if not tars:
        raise OSError(f"{repository} holds no *.tar")
    if len({Path(file.path).name for file in tars}) < len(tars):
        raise OSError(f"{repository} holds several *.tar of one name in different folders; fetch one folder by hand")
    folder.mkdir(parents=True, exist_ok=True)
    # By name, as they were checked: a server that lists others when it is asked again does not get to write them.
    wanted = [glob.escape(name) for name in names]
    snapshot_download(repository, repo_type="dataset", local_dir=folder, allow_patterns=wanted, max_workers=workers)
    check(tars, folder, workers)
    paths = [folder / file.path for file in tars]
    patches = sum(len(members(path).names) for path in track(paths, "Indexing shards", transient=True))
    if patches == 0:
        raise OSError(f"{len(paths)} *.tar of {repository} hold no patch (*.tif); nothing was put into {root}")
    show(paths, folder, root)
    return patches


def show(paths: list[Path], folder: Path, root: Path) -> None:
    """Bring all shards into view by one rename: a run never sees some of them."""
    whole = folder / "data.whole"
    whole.mkdir(exist_ok=True)
    for path in paths:
        for part in (path, path.with_name(path.name + INDEX_SUFFIX)):
            if part.exists():
                part.replace(whole / part.name)
    if (folder / INDEX).exists():
        (folder / INDEX).replace(root / INDEX)
    move(whole, root / "data")


def check(files: list[RepoFile], folder: Path, workers: int) -> None:
    """Compare every file with the hub's checksum, once.

    Raises:
        ValueError: some do not have it.
    """
    noted = folder / CHECKED
    done: dict[str, str] = json.loads(noted.read_text()) if noted.exists() else {}
    todo = [file for file in files if file.lfs is not None and done.get(file.path) != file.lfs.sha256]
    wrong = []
    with ThreadPoolExecutor(workers) as threads:
        digests = threads.map(lambda file: digest(folder / file.path), todo)
        for file, found in zip(todo, track(digests, "Checking", total=len(todo), transient=True), strict=True):
            assert file.lfs is not None
            if found == file.lfs.sha256:
                done[file.path] = found
            else:
                wrong.append(file.path)
                (folder / file.path).unlink()
    with atomic_file(noted) as part:
        part.write_text(json.dumps(done))
    if wrong:
        raise ValueError(f"damaged on the way and removed: {', '.join(wrong)}; run this again to fetch them again")


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    """Read the options and fetch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("data/s2_100k"))
    parser.add_argument("--repository", default=REPOSITORY, help="on the hub")
    parser.add_argument("--workers", type=int, default=8, help="files that are fetched at a time")
    options = parser.parse_args()
    if any((options.root / "data").glob("*.tar")):
        print(f"{options.root} is complete already")
        return
    try:
        patches = fetch(options.root, options.repository, options.workers)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"{options.root}: {patches} patches; next: python train.py dataset=s2_100k dataset.root={options.root}")


if __name__ == "__main__":
    main()
