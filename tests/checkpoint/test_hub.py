"""Names on the hub, against a small hub of our own: the real client of huggingface_hub talks to it over HTTP."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from satclip.checkpoint.sources import RELEASED, locate
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import Cartesian3D
from satclip.location.networks import Linear

Files = dict[str, bytes]  # "owner/name/file" -> content
COMMIT = "0" * 40


class Hub(BaseHTTPRequestHandler):
    """Serves files, and takes the four requests of an upload."""

    files: Files
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        name = self.path.split("?")[0].lstrip("/").replace("/resolve/main/", "/")
        content = self.files.get(name)
        if content is None:
            self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        else:
            self.answer(200, content, {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'})

    def do_POST(self) -> None:
        body, here = self.rfile.read(int(self.headers["Content-Length"] or 0)), f"http://{self.headers['Host']}"
        if self.path.endswith("/preupload/main"):
            names = [file["path"] for file in json.loads(body)["files"]]
            reply = {"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]}
        elif self.path.endswith("/commit/main"):
            repository = self.path.removeprefix("/api/models/").removesuffix("/commit/main")
            for entry in map(json.loads, body.decode().splitlines()):
                if entry["key"] == "file":
                    file = entry["value"]
                    self.files[f"{repository}/{file['path']}"] = base64.b64decode(file["content"])
            reply = {"commitUrl": f"{here}/{repository}/commit/{COMMIT}", "commitOid": COMMIT}
        else:
            reply = {"url": f"{here}/me/mine", "name": "me/mine", "id": "1", "errors": [], "warnings": []}
        self.answer(200, json.dumps(reply).encode(), {"Content-Type": "application/json"})

    def answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def files() -> Files:
    return {}


@pytest.fixture
def hub(files: Files) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("ThisHub", (Hub,), {"files": files}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def run(script: str, endpoint: str, cache: Path) -> str:
    """What `script` prints in a fresh process that knows no hub but `endpoint`."""
    known = {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_TOKEN": "none", "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | known, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_released_model_is_fetched_once_and_then_loads_without_network(
    files: Files, hub: ThreadingHTTPServer, published: Callable[..., Path], tmp_path: Path
) -> None:
    files["microsoft/SatCLIP-ViT16-L40/satclip-vit16-l40.ckpt"] = published().read_bytes()
    script = (
        "from satclip import load_location_encoder\n"
        "print(load_location_encoder('microsoft/SatCLIP-ViT16-L40').embedding_dim)\n"
    )
    assert run(script, f"http://127.0.0.1:{hub.server_port}", tmp_path / "cache") == "6"
    another = (
        "try: load_location_encoder('microsoft/SatCLIP-ResNet18-L10')\nexcept ConnectionError as error: print(error)"
    )
    printed, refused = run(script + another, "http://127.0.0.1:9", tmp_path / "cache").split("\n", 1)  # nobody listens
    assert printed == "6"
    assert "satclip-resnet18-l10.ckpt cannot be fetched from the hub" in refused
    assert "fetch it elsewhere and give its path" in refused


def test_an_encoder_is_pushed_and_loaded_by_name(files: Files, hub: ThreadingHTTPServer, tmp_path: Path) -> None:
    encoder = LocationEncoder(Cartesian3D(), Linear, 4)
    encoder.save_pretrained(tmp_path / "mine")
    script = (
        "import torch\n"
        "from satclip import LocationEncoder, load_location_encoder\n"
        f"mine = load_location_encoder({str(tmp_path / 'mine')!r})\n"
        "mine.push_to_hub('me/mine')\n"
        "place = torch.tensor([[13.4, 52.5]])\n"
        "for again in (load_location_encoder('me/mine'), LocationEncoder.from_pretrained('me/mine')):\n"
        "    print(torch.equal(again(place), mine(place)))\n"
        "try: load_location_encoder('me/nothing')\n"
        "except ConnectionError as error: print(error)"
    )
    printed = run(script, f"http://127.0.0.1:{hub.server_port}", tmp_path / "cache").split("\n", 2)
    assert printed[:2] == ["True", "True"]
    assert "me/nothing is no file here, and config.json cannot be fetched" in printed[2]
    assert sorted(files) == ["me/mine/README.md", "me/mine/config.json", "me/mine/model.safetensors"]


@pytest.mark.slow
def test_a_card_on_the_hub_is_not_written_over(files: Files, hub: ThreadingHTTPServer, tmp_path: Path) -> None:
    LocationEncoder(Cartesian3D(), Linear, 4).save_pretrained(tmp_path / "mine")
    load = f"from satclip import load_location_encoder\nmine = load_location_encoder({str(tmp_path / 'mine')!r})\n"
    endpoint = f"http://127.0.0.1:{hub.server_port}"
    run(load + "mine.push_to_hub('me/mine')", endpoint, tmp_path / "cache")
    assert b'load_location_encoder("me/mine")' in files["me/mine/README.md"]
    files["me/mine/README.md"] = b"words of a person"
    run(load + "mine.push_to_hub('me/mine', ignore_patterns='*.txt')", endpoint, tmp_path / "cache")
    assert files["me/mine/README.md"] == b"words of a person"
    run(load + "mine.push_to_hub('me/mine', model_card_kwargs={'licence': 'CC0'})", endpoint, tmp_path / "cache")
    assert b"CC0" in files["me/mine/README.md"]


def test_there_are_six_released_models() -> None:
    assert sorted(RELEASED) == [
        f"microsoft/SatCLIP-{tower}-L{degrees}" for tower in ("ResNet18", "ResNet50", "ViT16") for degrees in (10, 40)
    ]


def test_a_file_beats_a_name_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "me").mkdir()
    (tmp_path / "me" / "mine").touch()
    assert locate("me/mine") == Path("me/mine")
