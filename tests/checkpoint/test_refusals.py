"""Files that are no checkpoints, or spoilt ones: the error names what is wrong with them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from satclip.checkpoint import load_location_encoder, load_towers

Writer = Callable[..., Path]
NAME = "model.location.nnet."


def test_a_path_that_is_not_there_is_answered_with_what_a_source_may_be(tmp_path: Path) -> None:
    for source in (tmp_path / "no.ckpt", "no.ckpt", "some/folder/no.ckpt", "outputs/best.ckpt", Path("a/b")):
        with pytest.raises(
            FileNotFoundError, match=rf"no file or folder {source}; give a .* microsoft/SatCLIP-ViT16-L40"
        ):
            load_location_encoder(source)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"weight": torch.zeros(1)}, "holds the keys weight, and needs state_dict"),
        ({"state_dict": {}}, r"holds the keys state_dict, and needs state_dict with either satclip \(ours\)"),
        ([1, 2], "holds a list, and needs"),
        (torch.zeros(3), "holds a Tensor, and needs"),
    ],
)
def test_a_torch_file_of_something_else_is_refused(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=rf"no checkpoint of a location encoder: it {message}"):
        load_location_encoder(tmp_path / "other.pt")


def test_a_file_that_torch_cannot_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "places.csv"
    path.write_text("lon,lat\n13.4,52.5\n")
    with pytest.raises(ValueError, match=r"places\.csv is not a readable file of tensors"):
        load_location_encoder(path)


def test_hyper_parameters_that_are_missing_are_named(published: Writer) -> None:
    def drop(content: dict[str, Any]) -> None:
        del content["hyper_parameters"]["capacity"], content["hyper_parameters"]["le_type"]

    with pytest.raises(ValueError, match=r"lacks the hyper_parameters le_type, capacity; give a file"):
        load_location_encoder(published(drop))


def test_hyper_parameters_of_the_image_tower_are_needed_for_both_towers_only(published: Writer) -> None:
    path = published(lambda content: content["hyper_parameters"].pop("vision_width"))
    assert load_location_encoder(path).embedding_dim == 6
    with pytest.raises(ValueError, match="lacks the hyper_parameters vision_width"):
        load_towers(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop(NAME + "layers.1.bias"), r"layers\.1\.bias is missing"),
        (lambda state: state.update({NAME + "layers.9.bias": torch.zeros(1)}), r"layers\.9\.bias is not part"),
        (
            lambda state: state.update({NAME + "last_layer.weight": torch.zeros(4, 8)}),
            r"last_layer\.weight has shape \[4, 8\], not \[6, 8\]",
        ),
        (lambda state: state.update({"model.extra": torch.zeros(1)}), r"model\.extra \(1 in all\) are not part of"),
        (lambda state: state.clear(), r"model\.nnet\.\* is missing; its weights are none"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    published: Writer, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(ValueError, match=rf"published\.ckpt does not fit: .*{message}"):
        load_location_encoder(published(lambda content: change(content["state_dict"])))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.logit_scale", r"model\.logit_scale is missing"),
        ("model.visual.proj", "proj is missing"),
    ],
)
def test_both_towers_need_all_weights(published: Writer, name: str, message: str) -> None:
    path = published(lambda content: content["state_dict"].pop(name))
    assert load_location_encoder(path).embedding_dim == 6
    with pytest.raises(ValueError, match=rf"does not fit: {message}"):
        load_towers(path)


@pytest.mark.parametrize(
    ("hyper_parameters", "message"),
    [
        ({"le_type": "geohash"}, "le_type must be one of direct, cartesian3d, wrap, .*, got 'geohash'"),
        ({"harmonics_calculation": "discretized", "le_type": "sphericalharmonics"}, "discretized"),
    ],
)
def test_an_unknown_choice_is_answered_with_the_list(
    published: Writer, hyper_parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        load_location_encoder(published(**hyper_parameters))


def test_paths_of_other_peoples_machines_are_never_needed(published: Writer) -> None:
    path = published(lambda content: content["hyper_parameters"].update(air_temp_data_path="/x", eval_downstream=True))
    assert load_location_encoder(path).embedding_dim == 6
    assert load_location_encoder(published()).embedding_dim == 6
