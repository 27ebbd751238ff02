"""`satclip models`: what can be had by name, and whether it is here."""

import json
from pathlib import Path
from typing import Any

import pytest


def test_all_names_are_listed_with_where_they_come_from(
    satclip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    told = satclip("models")
    assert told.code == 0
    assert "blue-marble" in told.out
    assert "in the package" in told.out
    found = {model["name"]: model for model in json.loads(satclip("models", "--json").out)}
    assert len(found) == 7
    assert found["microsoft/SatCLIP-ViT16-L40"]["url"].startswith("https://huggingface.co/microsoft/SatCLIP-ViT16-L40/")
    assert Path(found["blue-marble"]["here"]).is_dir()


def test_a_cached_model_is_said_to_be(satclip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "satclip-vit16-l40.ckpt"
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache",
        lambda repository, name: str(file) if "ViT16-L40" in repository else None,
    )
    lines = satclip("models").out.splitlines()
    assert [str(file) in line for line in lines] == [line.startswith("microsoft/SatCLIP-ViT16-L40") for line in lines]


def test_a_name_that_is_none_has_the_nearest(satclip: Any) -> None:
    outcome = satclip("models", "satclip-vit16-l4")
    assert outcome.code == 1
    assert "did you mean microsoft/SatCLIP-ViT16-L40?" in outcome.err
    assert satclip("models", "blue-marble").out.count("\n") == 1


def test_a_plain_table_is_embedded_by_the_packaged_model(satclip: Any, tmp_path: Path) -> None:
    (tmp_path / "places.csv").write_text("name,lon,lat\nParis,2.35,48.86\n")
    outcome = satclip("embed", tmp_path / "places.csv", "--model", "blue-marble", "-o", tmp_path / "out.parquet")
    assert outcome.code == 0
    assert "1 places, 512 numbers each" in outcome.err
