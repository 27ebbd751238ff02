"""Files that were made to harm: what they say is data, and what they ask for is compared with what they hold."""

import json
import os
import pickle
import resource
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from satclip.checkpoint import describe, load_location_encoder, load_towers
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren

Change = Callable[[dict[str, Any]], object]
FIRST = "model.location_encoder.network.first.weight"


def encoder() -> LocationEncoder:
    torch.manual_seed(0)
    return LocationEncoder(SphericalHarmonics(4), partial(Siren, hidden_dim=8), 5)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A checkpoint of ours; `change` edits its content first."""

    def _write(change: Change = lambda content: None, name: str = "x.ckpt", **options: Any) -> Path:
        model = encoder()
        content = {
            "state_dict": {f"model.location_encoder.{name}": tensor for name, tensor in model.state_dict().items()},
            "satclip": {
                "location_encoder": model.config(),
                "vision": {"_target_": "satclip.vision.TinyCNN", "width": 8, "in_channels": 3, "embedding_dim": 5},
            },
        }
        change(content)
        torch.save(content, tmp_path / name, **options)
        return tmp_path / name

    return _write


@pytest.fixture
def _little_memory() -> Iterator[None]:
    """Two gigabytes more than there are now: what takes memory for a claim fails."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + 2**31, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def option(part: str, name: str, value: Any) -> Change:
    return lambda content: content["satclip"]["location_encoder"][part].update({name: value})


def weight(value: Any) -> Change:
    return lambda content: content["state_dict"].update({FIRST: value})


@pytest.mark.usefixtures("_little_memory")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            option("encoding", "legendre_polys", 10**9),
            "asks for legendre_polys=1000000000, and its largest tensor has 16",
        ),
        (option("network", "hidden_dim", 10**12), "asks for hidden_dim=1000000000000"),
        (option("network", "hidden_dim", 1e12), "asks for hidden_dim=1000000000000"),
        (option("network", "hidden_layers", 10**9), "asks for hidden_layers=1000000000"),
        (option("network", "hidden_dim", 9000), r"first.weight has shape \[8, 16\], not \[9000, 16\]"),
        (option("network", "hidden_dim", -5), "describes no location encoder"),
        (option("network", "hidden_dim", float("nan")), "asks for hidden_dim=nan"),
        (lambda content: content["satclip"]["location_encoder"].update(embedding_dim=10**12), "asks for embedding_dim"),
        (
            lambda content: content["satclip"]["location_encoder"].update(
                encoding={"name": "grid", "frequencies": 10**11}
            ),
            "asks for frequencies=100000000000",
        ),
    ],
)
def test_sizes_beyond_the_tensors_are_refused_before_memory_is_taken(
    write: Callable[..., Path], change: Change, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        load_location_encoder(write(change))


@pytest.mark.filterwarnings("ignore")  # torch's, about kinds of tensors that it gives up
@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (torch.zeros(1).expand(8, 16), r"says \[8, 16\], and the file holds 4 bytes of it"),
        (torch.zeros(8, 16, dtype=torch.int64), "torch.int64 on cpu, not a dense tensor of floats"),
        (torch.zeros(8, 16, dtype=torch.complex64), "complex64"),
        (torch.zeros(8, 16).to(torch.float8_e4m3fn), "float8"),
        (torch.zeros(8, 16).to_sparse(), "sparse"),
        (torch.zeros(8, 16, device="meta"), "on meta"),
        ("os.system", "is a str, not a tensor"),
    ],
)
def test_a_weight_that_is_none_is_named(write: Callable[..., Path], tensor: Any, said: str) -> None:
    with pytest.raises(ValueError, match=rf"network\.first\.weight .*{said}"):
        load_location_encoder(write(weight(tensor)))


def test_a_tensor_that_is_larger_than_its_file_does_not_pass_for_its_description(write: Callable[..., Path]) -> None:
    def swell(content: dict[str, Any]) -> None:
        weight(torch.zeros(1).expand(10**9, 16))(content)
        option("network", "hidden_dim", 10**9)(content)

    with pytest.raises(ValueError, match="the file holds 4 bytes of it"):
        load_location_encoder(write(swell))


def test_mixed_widths_lose_no_digits(write: Callable[..., Path]) -> None:
    wide = torch.rand(8, 16, dtype=torch.float64)
    loaded = load_location_encoder(write(weight(wide)))
    assert torch.equal(loaded.network.first.weight, wide)


@pytest.mark.usefixtures("_little_memory")
@pytest.mark.parametrize(
    ("vision", "said"),
    [
        ({"width": 10**9}, "asks for width"),
        ({"width": 9000}, r"is missing|has shape"),
        ({"_target_": "os.system"}, "the image tower is os.system, none of"),
        ({"_target_": "satclip.vision.TimmBackbone", "name": "hf-hub:evil/x"}, "timm has no network"),
        ({"_target_": "satclip.vision.ClipResNet", "image_size": 64, "layers": [10**9, 1, 1, 1]}, "asks for layers"),
    ],
)
def test_an_image_tower_is_neither_huge_nor_anothers(
    write: Callable[..., Path], vision: dict[str, Any], said: str
) -> None:
    def change(content: dict[str, Any]) -> None:
        content["state_dict"]["model.vision.x"] = torch.zeros(1)
        node = content["satclip"]["vision"]
        content["satclip"]["vision"] = (
            (node | vision) if "width" in vision else vision | {"embedding_dim": 5, "in_channels": 3}
        )

    with pytest.raises(ValueError, match=said):
        load_towers(write(change))


def nested(kind: type) -> Any:
    """2^60 leaves in sixty objects."""
    value: Any = kind()
    for _ in range(60):
        value = kind((value, value))
    return value


@pytest.mark.parametrize("kind", [list, tuple])
def test_what_would_take_for_ever_to_print_is_cut(write: Callable[..., Path], kind: type) -> None:
    with pytest.raises(ValueError, match="encoding must be a dictionary with a name"):
        load_location_encoder(write(option("encoding", "name", nested(kind))))
    described = describe(write(lambda content: content["satclip"]["vision"].update(extra=nested(kind))))
    assert len(json.dumps(described)) < 5000


def test_facts_of_a_file_are_json_and_obey_no_terminal(write: Callable[..., Path]) -> None:
    def change(content: dict[str, Any]) -> None:
        content["satclip"]["version"] = "\x1b]0;owned\x07"
        content["epoch"], content["global_step"] = float("nan"), torch.zeros(3)
        content["state_dict"]["model.logit_scale"] = torch.zeros(3)

    text = json.dumps(describe(write(change)), allow_nan=False)
    assert "\\u001b" not in text
    assert "x1b]0;owned" in text


@pytest.mark.parametrize(
    ("key", "value"), [("state_dict", [1]), ("satclip", [1]), ("state_dict", {5: torch.zeros(1)}), ("satclip", None)]
)
def test_parts_of_another_kind_are_named(write: Callable[..., Path], key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{key} is no dictionary of names"):
        load_location_encoder(write(lambda content: content.update({key: value})))


class Order:
    """Runs a command when it is unpickled by anything that runs commands."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.filterwarnings("ignore")
def test_no_checkpoint_runs_a_command(write: Callable[..., Path], tmp_path: Path) -> None:
    done = tmp_path / "done"
    (tmp_path / "bare.ckpt").write_bytes(pickle.dumps(Order(done)))
    files = [
        tmp_path / "bare.ckpt",
        write(lambda content: content.update(extra=Order(done)), "zip.ckpt"),
        write(lambda content: content.update(extra=Order(done)), "old.ckpt", _use_new_zipfile_serialization=False),
    ]
    for file in files:
        with pytest.raises(ValueError, match="not a readable file of tensors") as caught:
            load_location_encoder(file)
        assert "weights_only" not in str(caught.value)  # torch's advice is to run it all the same
    assert not done.exists()


def test_archives_that_grow_and_tar_files_are_refused_unread(write: Callable[..., Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(write()) as plain, zipfile.ZipFile(tmp_path / "z", "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))
    with pytest.raises(ValueError, match="the archive is compressed"):
        load_location_encoder(tmp_path / "z")
    with tarfile.open(tmp_path / "t", "w") as archive:
        link = tarfile.TarInfo("storages")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(ValueError, match="neither an archive nor a pickle"):
        load_location_encoder(tmp_path / "t")


def test_an_old_checkpoint_still_loads(write: Callable[..., Path]) -> None:
    path = write(_use_new_zipfile_serialization=False)
    assert torch.equal(load_location_encoder(path).network.first.weight, encoder().network.first.weight)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_file_that_is_cut_short_is_refused(write: Callable[..., Path], share: float) -> None:
    path = write()
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match="not a readable file of tensors"):
        load_location_encoder(path)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"embedding_dim": ' + "9" * 5000 + "}",
        '{"embedding_dim": 1e999}',
        "null",
        "5",
        "\udcff",
        " " * 2**21,
    ],
    ids=["deep", "digits", "infinite", "null", "number", "latin", "long"],
)
def test_a_description_of_anything_is_one_line(text: str, tmp_path: Path) -> None:
    encoder().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    for load in (load_location_encoder, LocationEncoder.from_pretrained):
        with pytest.raises(ValueError, match=r"save it again|describes no|does not fit") as caught:
            load(tmp_path)
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: content[:20],
        lambda content: content[:-4],
        lambda content: (2**40).to_bytes(8, "little") + content[8:],
        lambda content: content.replace(b'"data_offsets":[0', b'"data_offsets":[9'),
        lambda content: content.replace(b'"F32"', b'"F99"'),
    ],
    ids=["empty", "header", "cut", "huge", "offsets", "type"],
)
def test_a_safetensors_file_of_anything_is_one_line(spoil: Callable[[bytes], bytes], tmp_path: Path) -> None:
    encoder().save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ValueError, match=r"cannot be read .*save it again"):
        load_location_encoder(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(FileNotFoundError, match=r"no model\.safetensors"):
        load_location_encoder(tmp_path)
