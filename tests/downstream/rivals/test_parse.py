"""One line names an encoder, and a line that names none says what was meant."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from satclip.checkpoint.sources import RELEASED
from satclip.downstream.contract import Predictor
from satclip.downstream.rivals import Joined, Tuned, source
from satclip.downstream.rivals.frozen import Frozen
from satclip.downstream.rivals.sinr import SINR

Array = NDArray[np.float64]
Write = Callable[..., Path]
MODULE = """
import numpy as np

def encode(lonlat):
    lonlat += 1  # one's own copy
    return np.stack([lonlat[:, 0], lonlat[:, 1], lonlat.sum(1)], 1)

def flat(lonlat):
    return lonlat[:, 0]

def whole(lonlat):
    return lonlat.astype(int)

def holes(lonlat):
    answer = np.where(lonlat > 50, np.nan, lonlat)
    lonlat[:] = 0
    return answer

class Named:
    name, seen, blocks = "mine", "whole globe", (1, 2)
    def __call__(self, lonlat):
        return lonlat

class Nearest:
    name, seen = "nearest", "nothing"
    def fit_predict(self, train_lonlat, train_target, test_lonlat, classes, inner_folds):
        return np.zeros(len(test_lonlat))

number = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the folder that one works in."""
    name = f"rival_{os.getpid()}_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    yield name
    assert sys.path == path
    sys.modules.pop(name, None)


def test_encodings_by_name(places: Array) -> None:
    for text, width in (("raw", 2), ("sincos", 4), ("wrap", 4), ("harmonics:7", 49), ("grid:frequencies=3", 12)):
        row = source(text)
        assert isinstance(row, Frozen)
        assert row(places).shape == (len(places), width)
    group = source("harmonics:tuned")
    assert isinstance(group, Tuned)
    assert source("theory:min_radius=0.5").name == "theory:min_radius=0.5"


def test_a_checkpoint_untrained_tuned_and_from_scratch(checkpoint: Write, places: Array) -> None:
    path = checkpoint()
    whole, fresh = source(str(path)), source(f"untrained:{path}:seed=2")
    assert isinstance(whole, Frozen)
    assert isinstance(fresh, Frozen)
    assert whole(places).shape == fresh(places).shape
    assert fresh.name == f"untrained {path}, seed 2"
    assert isinstance(source(f"untrained:{path}:tuned"), Tuned)
    assert isinstance(source(f"from_scratch:{path}:seed=1"), Predictor)
    assert source(f"untrained:{path}").name.endswith("seed 0")


def test_joined_by_plus_unless_the_plus_is_in_the_name_of_a_file(
    checkpoint: Write, places: Array, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    checkpoint(name="a+b.ckpt")
    monkeypatch.chdir(tmp_path)
    single, joined = source("a+b.ckpt"), source("raw+a+b.ckpt+sincos")
    assert isinstance(single, Frozen)
    assert isinstance(joined, Joined)
    assert [part.name for part in joined.parts] == ["raw", "a+b.ckpt", "sincos"]
    assert joined(places).shape == (len(places), 2 + 8 + 4)
    assert len(joined.fingerprint) == 64


def test_files_of_other_authors_by_their_prefix(tmp_path: Path, places: Array) -> None:
    torch.manual_seed(0)
    torch.save({"state_dict": SINR(8, 1).state_dict()}, tmp_path / "m.pt")
    row = source(f"sinr:{tmp_path}/m.pt")
    assert isinstance(row, Frozen)
    assert row.name == f"sinr:{tmp_path}/m.pt"
    assert row(places).shape == (len(places), 8)


def test_a_function_of_one_s_own(module: str, places: Array) -> None:
    row = source(f"{module}:encode")
    assert callable(row)
    before = places.copy()
    np.testing.assert_allclose(row(places), np.stack([places[:, 0] + 1, places[:, 1] + 1, places.sum(1) + 2], 1))
    assert np.array_equal(before, places)
    assert (row.name, row.seen) == (f"{module}:encode", "unknown")
    assert not hasattr(row, "fingerprint")


def test_a_class_says_its_name_what_it_has_seen_and_its_blocks(module: str) -> None:
    named = source(f"{module}:Named")
    assert (named.name, named.seen, named.blocks) == ("mine", "whole globe", (1, 2))
    nearest = source(f"{module}:Nearest")
    assert isinstance(nearest, Predictor)
    assert nearest.name == "nearest"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("flat", r"gave float64 \[6\] for 6 places; it must return floats \[N, D\]"),
        ("whole", r"gave int64 \[6, 2\]"),
        ("holes", "gave NaN or infinite numbers for 4 of 6 places, the first at longitude 13.4, latitude 52.5"),
    ],
)
def test_an_answer_that_is_no_vector_per_place_is_refused(module: str, places: Array, name: str, why: str) -> None:
    row = source(f"{module}:{name}")
    assert callable(row)
    with pytest.raises(ValueError, match=why):
        row(places)


def test_a_module_or_name_that_is_not_there_is_said(module: str) -> None:
    with pytest.raises(ValueError, match=r"has no encod; it has .*encode"):
        source(f"{module}:encod")
    with pytest.raises(ValueError, match="is a int; give a function"):
        source(f"{module}:number")
    with pytest.raises(ValueError, match="no module nobody_has_this is installed or lies in"):
        source("nobody_has_this:encode")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("geocilp", "did you mean geoclip?"),
        ("harmonic:10", "did you mean harmonics?"),
        ("cartesian", "did you mean cartesian3d?"),
        ("microsoft/SatCLIP-ViT16-L20", f"did you mean {RELEASED[-1]}?"),
        ("microsoft/satclip-vit16-l40", f"did you mean {RELEASED[-1]}?"),
        ("from_scrach:best.ckpt", "did you mean from_scratch?"),
    ],
)
def test_a_slip_of_the_pen_is_answered_with_what_was_meant(text: str, meant: str) -> None:
    with pytest.raises(ValueError, match=meant.replace("?", r"\?")):
        source(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "names nothing"),
        ("raw+", "names nothing beside a plus sign"),
        ("raw+harmonics:tuned", "harmonics:tuned gives no fixed vectors"),
        ("raw:3", "raw takes nothing after the colon"),
        ("wrap:3", "write options of wrap as name=value"),
        ("harmonics:x", "give a whole number L"),
        ("harmonics:101", "legendre_polys must be 1 to 100, got 101"),
        ("grid:min_radius=x", "'x' is no number"),
        ("untrained:raw", "raw was initialised is not known"),
        ("untrained:", "give one encoder with an architecture"),
        ("untrained:harmonics:tuned:seed=1", "give one encoder|takes checkpoints|whole number L"),
        ("mind:dim=x", "dim must be a whole number, mind:dim=6"),
        ("tte:gate=1", "tte has no option gate; it has none"),
        ("a b c", "names no encoder; give a checkpoint"),
    ],
)
def test_a_line_that_names_nothing_is_refused_with_a_way_on(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        source(text)


@pytest.mark.parametrize("kind", ["csp", "sinr", "taxabind", "torchspatial", "gps2vec"])
def test_an_encoder_without_its_file_says_where_to_get_it(kind: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"{kind} needs the file that its authors publish: {kind}:PATH"):
        source(kind)


@pytest.mark.parametrize("kind", ["tte", "climplicit", "mind"])
def test_an_encoder_on_the_hub_says_what_to_do_without_network(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(repository: str, file: str) -> Path:
        raise ConnectionError("no network") from OSError("refused")

    monkeypatch.setattr("satclip.downstream.rivals.published.fetched", unreachable)
    with pytest.raises(ConnectionError, match=f"{kind} lies at the hub's .*refused.* give {kind}:PATH"):
        source(kind)


def test_a_missing_checkpoint_is_missing_and_no_name_on_the_hub() -> None:
    with pytest.raises(FileNotFoundError, match=r"no file or folder nowhere/best\.ckpt"):
        source("nowhere/best.ckpt")


@pytest.mark.slow  # torchgeo takes seconds to import
def test_torchgeo_without_a_location_encoder_says_which_has_one() -> None:
    import torchgeo.models

    if hasattr(torchgeo.models, "SatCLIP_Weights"):
        with pytest.raises(ValueError, match="torchgeo has no location weights NONE; it has SATCLIP"):
            source("torchgeo:NONE")
    else:
        with pytest.raises(ModuleNotFoundError, match=r"has no location encoder; 0\.10 has"):
            source("torchgeo")
