"""`make data` against a hub on this machine that answers as Hugging Face's does."""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub.hf_api import RepoFile

from satclip.data.datamodule import S2DataModule

MakeShards = Callable[..., Path]
NAME, COMMIT = "torchgeo/s2-100k", "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Serves a folder as one data set."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []
        self.lie_about: str | None = None
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Answers, self))
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def files(self) -> list[Path]:
        return sorted(path for path in self.root.rglob("*") if path.is_file())

    def about(self, path: Path) -> dict[str, Any]:
        data, name = path.read_bytes(), str(path.relative_to(self.root))
        digest = hashlib.sha256(data if name != self.lie_about else b"other").hexdigest()
        entry: dict[str, Any] = {"type": "file", "path": name, "size": len(data), "oid": digest[:40]}
        if path.suffix == ".tar":
            entry["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 134}
        return entry


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, hub: Hub, *args: Any) -> None:
        self.hub = hub
        super().__init__(*args)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/api/"):
            entries = [self.hub.about(file) for file in self.hub.files()]
            siblings = [{"rfilename": entry["path"]} for entry in entries]
            info = {"id": NAME, "sha": COMMIT, "siblings": siblings, "private": False, "tags": [], "downloads": 0}
            return self.send(
                json.dumps(entries if "/tree/" in path else info).encode(), {"Content-Type": "application/json"}, body
            )
        if "/resolve/" not in path:
            return self.send(b"", {}, body)
        file = self.hub.root / path.split("/resolve/")[1].split("/", 1)[1]
        if not file.is_file():
            return self.send(b"", {}, body, status=404)
        data, headers = (
            file.read_bytes(),
            {"ETag": f'"{hashlib.sha256(file.read_bytes()).hexdigest()}"', "X-Repo-Commit": COMMIT},
        )
        if body:
            self.hub.asked.append(file.name)
        return self.send(data, headers, body)

    def send(self, data: bytes, headers: dict[str, str], body: bool, status: int = 200) -> None:
        if status == 200 and (asked := self.headers.get("Range")):
            first, last = asked.removeprefix("bytes=").split("-")
            data, status = data[int(first) : int(last) + 1 if last else None], 206
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hub(tmp_path: Path, make_shards: MakeShards) -> Iterator[Hub]:
    local = make_shards((9, 11, 3, 17))
    (tmp_path / "hub" / "data").mkdir(parents=True)
    for path in local.glob("*.tar"):
        (tmp_path / "hub" / "data" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "hub" / "index.csv").write_bytes((local / "index.csv").read_bytes())
    (tmp_path / "hub" / "README.md").write_text("about")
    served = Hub(tmp_path / "hub")
    yield served
    served.http.shutdown()
    served.http.server_close()


def run(hub: Hub, root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A Python program that takes this machine for the hub."""
    settings = {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(root.parent / "hf"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    return subprocess.run(
        [sys.executable, *command],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def fetch(hub: Hub, project: Path, root: Path) -> subprocess.CompletedProcess[str]:
    return run(hub, root, str(project / "scripts" / "fetch_s2_100k.py"), "--root", str(root), "--workers", "2")


@pytest.mark.slow
def test_the_data_set_is_fetched_checked_and_trained_on(hub: Hub, project: Path, tmp_path: Path) -> None:
    root = tmp_path / "s2_100k"
    hub.lie_about = "data/shard-001.tar"
    failed = fetch(hub, project, root)
    assert failed.returncode == 1, failed.stderr
    assert "damaged on the way and removed: data/shard-001.tar; run this again" in failed.stderr
    assert not (root / "data").exists()
    assert not list(root.glob("*.tar"))
    hub.lie_about = None
    hub.asked.clear()
    done = fetch(hub, project, root)
    assert done.returncode == 0, done.stderr
    assert f"{root}: 40 patches" in done.stdout
    assert hub.asked == ["shard-001.tar"]
    names = ["a", "b", "c"]
    data = S2DataModule(root, bands=names, file_bands=names, image_size=4, batch_size=6, num_workers=0, split="random")
    data.setup()
    assert len(data.train_lonlat) + len(data.val_lonlat) == 40


@pytest.mark.slow
def test_without_local_shards_those_of_the_hub_are_streamed(hub: Hub, tmp_path: Path) -> None:
    program = f"""
from satclip.data.datamodule import S2DataModule
data = S2DataModule({str(tmp_path / "here")!r}, hub={NAME!r}, bands=["a", "b", "c"], file_bands=["a", "b", "c"],
                    image_size=4, batch_size=6, num_workers=0, split="random")
data.prepare_data()
data.setup()
for batch in data.train_dataloader():
    assert batch["image"][:, 0, 0, 0].tolist() == [row + 1 for row in batch["id"].tolist()]
print(len(data.train_lonlat) + len(data.val_lonlat))
"""
    done = run(hub, tmp_path / "here", "-c", program)
    assert done.stdout.split() == ["40"], done.stderr
    assert len(list((tmp_path / "here" / "cache").glob("*.tar"))) == 4


class Listing:
    """A hub in this process: a folder, and what it lists of it."""

    def __init__(self, root: Path, more: tuple[str, ...] = ()) -> None:
        self.root, self.more = root, more
        self.asked: list[str] = []

    def list_repo_tree(self, *_: Any, **__: Any) -> list[RepoFile]:
        paths = [path.relative_to(self.root).as_posix() for path in sorted(self.root.rglob("*")) if path.is_file()]
        return [RepoFile(path=path, size=1, oid="0" * 40) for path in (*paths, *self.more)]

    def download(self, _: str, *, local_dir: Path, allow_patterns: list[str], **__: Any) -> None:
        self.asked = allow_patterns
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if path.is_file() and any(fnmatch(name, pattern) for pattern in allow_patterns):
                (local_dir / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, local_dir / name)


def script(project: Path, listing: Listing, monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location("fetch_s2_100k", project / "scripts" / "fetch_s2_100k.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, value in (
        ("HfApi", lambda: listing),
        ("snapshot_download", listing.download),
        ("require_hub", lambda: None),
    ):
        monkeypatch.setattr(module, name, value)
    return module


def test_shards_from_several_folders_all_come(
    project: Path, make_shards: MakeShards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = make_shards((5, 6, 7))
    hub = tmp_path / "hub"
    for folder, path in zip(("", "train", "test/deep"), sorted(local.glob("*.tar")), strict=True):
        (hub / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, hub / folder / path.name)
    shutil.copy(local / "index.csv", hub / "index.csv")
    module = script(project, Listing(hub), monkeypatch)
    assert module.fetch(tmp_path / "root", NAME, 2) == 18
    assert len(list((tmp_path / "root" / "data").glob("*.tar"))) == 3
    assert (tmp_path / "root" / "index.csv").exists()


def test_shards_without_patches_leave_nothing_that_looks_fetched(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = tmp_path / "hub"
    hub.mkdir()
    module = script(project, Listing(hub), monkeypatch)
    with pytest.raises(OSError, match=r"holds no \*.tar"):
        module.fetch(tmp_path / "root", NAME, 2)
    with tarfile.open(hub / "a.tar", "w") as tar:
        tar.add(__file__, "notes.txt")
    (hub / "index.csv").write_text("lat,lon,fn\n")
    for _ in range(3):
        with pytest.raises(OSError, match=r"1 \*.tar of torchgeo/s2-100k hold no patch"):
            module.fetch(tmp_path / "root", NAME, 2)
        assert not (tmp_path / "root" / "data").exists()
        assert not (tmp_path / "root" / "index.csv").exists()


@pytest.mark.parametrize("name", ["../../out.tar", "/out.tar", "a/../../out.tar", "http://elsewhere/out.tar"])
def test_a_listing_that_leads_out_of_the_folder_is_refused_before_anything_comes(
    project: Path, make_shards: MakeShards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    listing = Listing(make_shards((5,)), (name,))
    with pytest.raises(OSError, match="is no name of a file in a folder"):
        script(project, listing, monkeypatch).fetch(tmp_path / "root", NAME, 2)
    assert not (tmp_path / "root").exists()
    assert not listing.asked


def test_names_with_wild_cards_ask_for_themselves_alone(
    project: Path, make_shards: MakeShards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = make_shards((5,))
    next(hub.glob("*.tar")).rename(hub / "[a-z]*.tar")
    listing = Listing(hub)
    assert script(project, listing, monkeypatch).fetch(tmp_path / "root", NAME, 2) == 5
    assert not any(fnmatch("abc.tar", pattern) for pattern in listing.asked)
