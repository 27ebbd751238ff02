"""What SECURITY.md promises: commands are run for whom they are run, and what others give is data."""

import ast
import io
import json
import os
import pickle
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from satclip import load_location_encoder
from satclip.data.batches.streamed import patches_of
from satclip.data.datamodule import S2DataModule
from satclip.data.prepare.rewrite_shards import Rewriting, rewrite
from satclip.data.sources import download, web
from satclip.data.sources.cached_shards import CachedShards, local_name
from satclip.data.sources.download import Command, fetch, opened
from satclip.data.sources.far_index import index_of
from satclip.data.sources.index_csv import read_index
from satclip.data.sources.locate import DataLocation, expanded
from satclip.data.sources.shards import INDEX_SUFFIX, Shards, members, write_shard
from satclip.data.sources.tar_index import MOST_BYTES, VERSION, members_of
from satclip.vision.restore import described_tower

MakeShards = Callable[..., Path]
Encode = Callable[..., bytes]
Server = Any  # see conftest.py
HERE = Path(__file__)
BANDS = ["a", "b", "c"]

# Beginnings of the sentences of SECURITY.md, and the tests that hold them, here or in another file.
HELD = {
    "A `pipe:` address in `dataset.urls`": ["test_a_command_of_ones_own_is_run"],
    "A configuration names Python classes": ["test_what_a_configuration_names_is_called"],
    "No file of a data set runs a command": [
        "test_no_file_of_a_data_set_runs_a_command", "test_a_pipe_that_no_person_gave_is_refused",
        "test_caches.py::test_a_list_of_another_data_set_or_of_no_names_is_not_used",
    ],
    "Nothing in a data set's folder is read as configuration": ["test_no_text_in_a_data_set_is_evaluated"],
    "Files of a data set are read as CSV": ["test_no_module_of_the_data_unpickles"],
    "An `s3://`, `gs://` or `az://` address": ["test_the_address_of_a_bucket_reaches_no_shell"],
    "Keys of buckets": ["test_bucket.py::test_no_key_is_told"],
    "A member of a tar is never written to disk": ["test_no_member_of_a_tar_leads_anywhere"],
    "A patch is opened as a GeoTIFF": ["test_pixels.py::test_a_text_that_names_other_files_is_no_patch"],
    "Sizes, offsets and counts": [
        "test_an_index_that_lies_is_not_believed", "test_a_tar_that_lies_is_refused",
        "test_pixels.py::test_a_file_of_a_hundred_thousand_pixels_a_side_is_refused_before_it_is_read",
    ],
    "A name that a server lists": ["test_caches.py::test_a_listing_leads_to_no_other_place"],
    "A redirect is followed": ["test_a_redirect_leads_to_the_web_or_nowhere"],
    "What a server announces or sends": ["test_a_server_does_not_fill_the_disk"],
    "The token of the Hugging Face hub": ["test_the_token_is_for_the_hub_alone"],
    "A checkpoint is read as tensors": ["test_a_checkpoint_runs_nothing"],
    "A `_target_` in a checkpoint": ["test_a_target_in_a_checkpoint_is_not_imported"],
    "No checkpoint runs a command": ["test_hostile.py::test_no_checkpoint_runs_a_command"],
    "A description in it asks": [
        "test_hostile.py::test_sizes_beyond_the_tensors_are_refused_before_memory_is_taken",
        "test_hostile.py::test_an_image_tower_is_neither_huge_nor_anothers",
    ],
    "A compressed archive and a tar": ["test_hostile.py::test_archives_that_grow_and_tar_files_are_refused_unread"],
    "A file that is cut short": [
        "test_hostile.py::test_a_file_that_is_cut_short_is_refused",
        "test_hostile.py::test_a_description_of_anything_is_one_line",
        "test_hostile.py::test_facts_of_a_file_are_json_and_obey_no_terminal",
    ],
    "A model's folder is JSON": ["test_folder.py::test_a_folder_needs_no_card"],
}  # fmt: skip


def test_every_sentence_of_security_md_is_held_by_a_test(project: Path) -> None:
    sentences = re.findall(r"^- (.+)$", (project / "SECURITY.md").read_text(), re.MULTILINE)
    for sentence in sentences:
        assert sum(sentence.startswith(beginning) for beginning in HELD) == 1, f"no test holds: {sentence}"
    assert len(sentences) == len(HELD)
    for test in (test for tests in HELD.values() for test in tests):
        file, name = test.split("::") if "::" in test else (HERE.name, test)
        tree = ast.parse(next(HERE.parents[1].rglob(file)).read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, test


@pytest.fixture
def pwned(tmp_path: Path) -> Iterator[Path]:
    """A file that would be there if a command had been run."""
    path = tmp_path / "pwned"
    yield path
    assert not path.exists()


def test_a_command_of_ones_own_is_run(make_shards: MakeShards, tmp_path: Path) -> None:
    local = make_shards((5, 6))
    data = S2DataModule(
        tmp_path / "far", urls=f"pipe:touch {tmp_path}/ran; cat {local}/shard-{{000..001}}.tar", bands=BANDS,
        file_bands=BANDS, image_size=4, batch_size=2, num_workers=0, split="random",
    )  # fmt: skip
    data.setup()
    assert (tmp_path / "ran").exists()


def test_what_a_configuration_names_is_called(tmp_path: Path) -> None:
    instantiate({"_target_": "os.mkdir", "path": str(tmp_path / "called")})
    assert (tmp_path / "called").is_dir()


def test_no_file_of_a_data_set_runs_a_command(
    server: Server, make_shards: MakeShards, tmp_path: Path, pwned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = f"pipe:touch {pwned}; cat /dev/null"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    root = tmp_path / "given"
    (root / "cache").mkdir(parents=True)
    lists: list[Any] = [[command], {"urls": [command]}, {"endpoint": "http://127.0.0.1:9", "repository": "me/x",
        "revision": command, "names": [command], "digests": [command]}]  # fmt: skip
    for kept in lists:
        (root / "cache" / "hub.json").write_text(json.dumps(kept))
        for cache in (0.0, 1.0):
            with pytest.raises(FileNotFoundError, match="does not answer"):
                DataLocation(root, hub="me/x", cache_gib=cache).find()
    # An index beside a shard on a server, and one in the cache, that name commands where names and addresses could be.
    local = make_shards((5,))
    shard = server.root / "a.tar"
    shard.write_bytes(next(local.glob("*.tar")).read_bytes())
    lie = {"version": VERSION, "shard": {"url": command}, "url": command, "members": {"names": [command]}}
    (server.root / f"a.tar{INDEX_SUFFIX}").write_text(json.dumps(lie))
    url = f"{server.url}/a.tar"
    (root / "cache" / (local_name(url) + INDEX_SUFFIX)).write_text(json.dumps(lie))
    assert len(CachedShards([url], root / "cache", 1.0).names) == 5
    (root / "manifest.json").write_text(json.dumps({"shards": [{"name": command, "url": command, "sha256": ""}]}))
    (root / "index.csv").write_text(f"lat,lon,fn,url\n1,2,{command.replace(',', '')}.tif,{command}\n")
    assert read_index(root / "index.csv").names


@pytest.mark.parametrize(
    "address", ["pipe:{}", "PIPE:{}", "pipe://{}", "file:|{}", "file://|{}", "|{}", "http:{}", "ssh://{}"]
)
def test_a_pipe_that_no_person_gave_is_refused(tmp_path: Path, pwned: Path, address: str) -> None:
    url = address.format(f"touch {pwned}")
    is_pipe = url.lower().startswith("pipe:")
    why = "is a command, and those are run" if is_pipe else "No such file|nothing here reads"
    with pytest.raises(OSError, match=why):
        fetch(url, tmp_path / "out")
    with pytest.raises(OSError, match=why), opened(url):
        pass
    with pytest.raises(OSError, match=why):
        index_of(url, tmp_path / "x.tar")
    with pytest.raises(OSError, match=why):
        list(patches_of(url))
    assert not (tmp_path / "out").exists()


def test_a_command_is_told_from_text_also_in_a_worker_and_not_beside_itself() -> None:
    (command,) = expanded(["pipe:echo {a}"])
    assert type(pickle.loads(pickle.dumps(command))) is Command
    assert type(command + INDEX_SUFFIX) is str
    assert [type(address) for address in expanded(["http://h/{a,b}.tar"])] == [str, str]


def test_no_text_in_a_data_set_is_evaluated(encode: Encode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "told")
    root = tmp_path / "given"
    name = "${oc.env:SECRET}.tif"
    for text in ("config.yaml", "dataset.yaml", ".hydra/config.yaml", "conf/config.yaml"):
        (root / text).parent.mkdir(parents=True, exist_ok=True)
        (root / text).write_text("_target_: os.abort\nroot: ${oc.env:SECRET}\n")
    names = [name, *(f"p{number}.tif" for number in range(9))]
    data = encode(np.ones((3, 8, 8), np.uint16))
    write_shard(root / "a.tar", [(each, data, 1.0, float(number)) for number, each in enumerate(names)])
    module = S2DataModule(
        root, bands=BANDS, file_bands=BANDS, image_size=4, batch_size=2, num_workers=0, split="random"
    )
    module.prepare_data()
    module.setup()
    assert module.collection.source.names == names


def test_no_module_of_the_data_unpickles(project: Path) -> None:
    for path in (project / "src" / "satclip" / "data").glob("*.py"):
        words = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        imported = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not {"pickle", "joblib", "yaml", "omegaconf", "eval", "exec", "gopen", "shlex"} & (words | imported), (
            path
        )
        assert "torch.load" not in path.read_text()
        assert "np.load" not in path.read_text()


@pytest.mark.parametrize(
    "url", ["s3://bucket/a.tar; touch {}", "s3://b/$(touch {})", "s3://b/`touch {}`", "s3://b/'; touch {}; '"]
)
def test_the_address_of_a_bucket_reaches_no_shell(
    server: Server, pwned: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    address = url.format(pwned)
    server.marks = True
    path = server.root / address.removeprefix("s3://")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"as named")
    with opened(address) as stream:
        assert stream.read() == b"as named"


def hostile_tar(path: Path, data: bytes, target: Path) -> None:
    with tarfile.open(path, "w") as tar:

        def add(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", content: bytes = b"") -> None:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, link, len(content)
            tar.addfile(info, io.BytesIO(content))

        add("../../outside.tif", content=data)
        add(f"{target}/absolute.tif", content=data)
        add("link.tif", tarfile.SYMTYPE, "/etc/passwd")
        add("hard.tif", tarfile.LNKTYPE, "/etc/passwd")
        add("device.tif", tarfile.CHRTYPE)
        add("pipe.tif", tarfile.FIFOTYPE)
        add("folder.tif", tarfile.DIRTYPE)
        add("good.tif", content=data)


def test_no_member_of_a_tar_leads_anywhere(tmp_path: Path, encode: Encode) -> None:
    root = tmp_path / "a" / "b" / "given"
    root.mkdir(parents=True)
    data = encode(np.ones((3, 8, 8), np.uint16))
    hostile_tar(root / "a.tar", data, tmp_path)
    absolute = f"{tmp_path}/absolute.tif"[1:]
    names = ["outside.tif", absolute, "good.tif"]
    source = Shards([root / "a.tar"])
    assert source.names == names
    assert [name for name, _ in patches_of(str(root / "a.tar"))] == names
    before = set(tmp_path.rglob("*"))
    lonlat = torch.tensor([[1.0, 2.0]] * 3, dtype=torch.float64)
    rows = torch.arange(3)
    rewrite(source, lonlat, rows, rows < 1, root / "new", Rewriting({}, BANDS))
    new = set(tmp_path.rglob("*")) - before
    assert all(root / "new" == path or root / "new" in path.parents for path in new)
    assert sorted(Shards(sorted((root / "new").glob("*.tar"))).names) == sorted(names)


def lying(change: Callable[[dict[str, Any]], Any], beside: Path) -> None:
    kept = json.loads(beside.read_text())
    change(kept["members"])
    beside.write_text(json.dumps(kept))


LIES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "an offset beyond the end": lambda m: m["offsets"].__setitem__(0, 10**15),
    "an offset before the beginning": lambda m: m["offsets"].__setitem__(0, -512),
    "a size of terabytes": lambda m: m["sizes"].__setitem__(0, 10**13),
    "a size just beyond the end": lambda m: m["sizes"].__setitem__(-1, 10**6),
    "a negative size": lambda m: m["sizes"].__setitem__(0, -1),
    "a size that is no number": lambda m: m["sizes"].__setitem__(0, "9"),
    "a fraction": lambda m: m["offsets"].__setitem__(0, 512.5),
    "a truth": lambda m: m["sizes"].__setitem__(0, True),
    "columns of other lengths": lambda m: m["names"].append("x.tif"),
    "a name that leads out": lambda m: m["names"].__setitem__(0, "../x.tif"),
    "a name that is none": lambda m: m["names"].__setitem__(0, 5),
    "a place that is none": lambda m: m["longitudes"].__setitem__(0, "here"),
    "another column": lambda m: m.__setitem__("url", "x"),
    "no columns": lambda m: m.clear(),
    "text for a column": lambda m: m.__setitem__("names", "abcde"),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_index_that_lies_is_not_believed(server: Server, make_shards: MakeShards, tmp_path: Path, lie: str) -> None:
    local = make_shards((5,))
    path = next(local.glob("*.tar"))
    beside, truth = path.with_name(path.name + INDEX_SUFFIX), members(path)
    lying(LIES[lie], beside)
    assert members(path) == truth
    lying(LIES[lie], beside)
    server.marks = True
    for served in (path, beside):
        (server.root / served.name).write_bytes(served.read_bytes())
    cached = CachedShards([f"{server.url}/{path.name}"], tmp_path / "cache", 1.0)
    assert cached.names == truth.names
    assert cached.read(4) == Shards([path]).read(4)
    with pytest.raises(ValueError, match="index"):
        members_of(json.dumps({"version": VERSION, "members": ["[" * 100]}))


def header(name: str, size: int, **fields: Any) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(format=tarfile.GNU_FORMAT)


def pax(name: str, records: dict[str, str], body: bytes = b"") -> bytes:
    info = tarfile.TarInfo(name)
    info.size = len(body)
    info.pax_headers = records
    return info.tobuf(format=tarfile.PAX_FORMAT) + body


END = bytes(1024)
TARS = {
    "a size beyond the end": header("a.tif", 10**9) + b"x" * 512 + END,
    "a size of terabytes": header("a.tif", 10**13) + b"x" * 512 + END,
    "a size just too large for a patch": header("a.tif", MOST_BYTES + 1) + END,
    "a negative size": header("a.tif", -(2**40)) + END,
    "a size in pax that is not there": pax("a.tif", {"size": str(10**13)}) + b"x" * 512 + END,
    "a negative size in pax": pax("a.tif", {"size": "-5"}) + b"x" * 512 + END,
    "a long pax header that is not there": header("x", 10**12, type=b"x") + END,
    "a long name that is not there": header("x", 10**12, type=b"L") + END,
    "a sparse file": pax("a.tif", {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a.tif",
                                   "GNU.sparse.realsize": "512"}, b"1\n0\n512\n".ljust(512, b"\0") + b"x" * 512) + END,
    "a name that is not UTF-8": header("caf\udce9.tif", 3) + b"abc".ljust(512, b"\0") + END,
}  # fmt: skip


@pytest.mark.parametrize("kind", TARS)
def test_a_tar_that_lies_is_refused(server: Server, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(TARS[kind])
    (server.root / "a.tar").write_bytes(TARS[kind])
    server.marks = True
    with pytest.raises(ValueError, match=r"a.tar is (not a readable tar|cut short)"):
        Shards([path])
    with pytest.raises(ValueError, match=r"a.tar is (not a readable tar|cut short)"):
        CachedShards([f"{server.url}/a.tar"], tmp_path / "cache", 1.0)
    with pytest.raises((ValueError, OSError)):
        list(patches_of(str(path)))


def test_a_redirect_leads_to_the_web_or_nowhere(server: Server, blob: bytes, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    server.leads = {"there": f"{server.url}/blob", "round": f"{server.url}/round"}
    fetch(f"{server.url}/there", tmp_path / "there")
    assert (tmp_path / "there").read_bytes() == blob
    for target in (f"file://{tmp_path}/secret", f"file:{tmp_path}/secret", "pipe:id", "ftp://127.0.0.1/x", "round"):
        server.leads["away"] = target if target != "round" else f"{server.url}/round"
        with pytest.raises(OSError, match=r"not http|answers 30\d|no answer|broke off|no such file"):
            fetch(f"{server.url}/away", tmp_path / "away")
        assert not (tmp_path / "away").exists()


def test_a_server_does_not_fill_the_disk(
    server: Server, blob: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = os.statvfs(tmp_path)
    monkeypatch.setattr(
        download.shutil, "disk_usage", lambda _: download.shutil._ntuple_diskusage(room.f_blocks, 0, len(blob) - 1)
    )
    with pytest.raises(OSError, match="the server announces 1024000 bytes where 1023999 have room"):
        fetch(f"{server.url}/blob", tmp_path / "here")
    (tmp_path / "local").write_bytes(blob)
    with pytest.raises(OSError, match="longer than 1023999 bytes, all that is free on the disk"):
        fetch(str(tmp_path / "local"), tmp_path / "here")
    with pytest.raises(OSError, match="longer than 10 bytes, what such a file may have"):
        fetch(str(tmp_path / "local"), tmp_path / "here", 10)
    assert not (tmp_path / "here").exists()
    assert not list(tmp_path.glob(".here*"))


def test_a_server_that_sends_other_bytes_than_asked_is_not_believed(server: Server, blob: bytes) -> None:
    server.says = {"Content-Range": "bytes 0-19/1024000"}
    with pytest.raises(OSError, match="asked for bytes from 500, the server sends 'bytes 0-19/1024000'"):
        web.fetch_part(f"{server.url}/blob", 500, 20)


def test_the_token_is_for_the_hub_alone(
    server: Server, make_shards: MakeShards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub on `localhost` redirects shards to another host, 127.0.0.1, as its CDN is."""
    local = make_shards((5,))
    path = next(local.glob("*.tar"))
    (server.root / "cdn.tar").write_bytes(path.read_bytes())
    hub = server.url.replace("127.0.0.1", "localhost")
    server.leads = {"a.tar": f"{server.url}/cdn.tar"}
    server.marks = True
    monkeypatch.setenv("HF_ENDPOINT", hub)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    cached = CachedShards([f"{hub}/datasets/me/private/resolve/main/a.tar"], tmp_path / "cache", 1.0)
    assert cached.read(4) == Shards([path]).read(4)
    with opened(f"{hub}/a.tar") as stream:
        assert stream.read() == path.read_bytes()
    given = dict(zip(server.paths, server.tokens, strict=True))
    assert {given[name] for name in given if name.startswith("localhost")} == {"Bearer hf_secret"}
    assert {given[name] for name in given if name.startswith("127.0.0.1")} == {None}
    assert len(given) > 2
    for url in (
        f"{server.url}/a.tar",
        hub.replace("http", "https") + "/a.tar",
        f"http://localhost@127.0.0.1:{server.http.server_port}/a",
    ):
        assert web._credentials(url) == {}
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    assert web._credentials(f"{hub}/a.tar") == {}


def test_what_the_hub_does_not_give_names_the_token(server: Server, tmp_path: Path) -> None:
    server.refuse = 401
    with pytest.raises(PermissionError, match=r"\(401\); .*HF_TOKEN, or `hf auth login`"):
        fetch(f"{server.url}/a.tar", tmp_path / "a.tar")


class Runs:
    """Something that runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_runs_nothing(tmp_path: Path, pwned: Path) -> None:
    torch.save({"state_dict": {}, "hyper_parameters": Runs(pwned)}, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match="tensors and plain types"):
        load_location_encoder(tmp_path / "a.ckpt")
    (tmp_path / "b.ckpt").write_bytes(pickle.dumps(Runs(pwned)))
    with pytest.raises(ValueError, match="tensors and plain types"):
        load_location_encoder(tmp_path / "b.ckpt")


def test_a_target_in_a_checkpoint_is_not_imported(tmp_path: Path, pwned: Path) -> None:
    for target in ("os.mkdir", "satclip.vision.os.mkdir", "satclip.vision.restore.described_tower", None):
        with pytest.raises(ValueError, match=r"the image tower is .*, none of "):
            described_tower({"_target_": target, "path": str(pwned)})
