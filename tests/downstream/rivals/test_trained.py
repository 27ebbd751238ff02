"""Encoders of this project: what they have seen stands in their recipe; their shape untrained and from scratch."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray

from satclip.data.split.rule import block_split
from satclip.downstream.contract import Predictor
from satclip.downstream.rivals import Tuned, tuned, tuned_bandwidth, untrained
from satclip.downstream.rivals.from_scratch import FromScratch, from_scratch
from satclip.downstream.rivals.geoclip import GeoCLIP, taxabind
from satclip.downstream.rivals.plain import raw, sincos
from satclip.downstream.rivals.trained import held_out_by, seen_by, trained
from satclip.downstream.rivals.tuned import Joined
from satclip.downstream.rivals.untrained import variants
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren
from satclip.sphere import uniform_on_sphere

Array = NDArray[np.float64]
Write = Callable[..., Path]
BLUE_MARBLE = "satclip.data.blue_marble_datamodule.BlueMarbleDataModule"  # of conf/dataset/blue_marble.yaml
MOVED = "satclip.data.datamodule.BlueMarbleDataModule"  # where it was once
FOLDER = "satclip.data.datamodule.S2DataModule"


@pytest.mark.parametrize(
    ("dataset", "seen"),
    [
        ({"_target_": BLUE_MARBLE, "split": "block"}, "held-out blocks left out (inductive)"),
        ({"_target_": FOLDER, "hub": None, "split": "block"}, "held-out blocks left out (inductive)"),
        ({"_target_": BLUE_MARBLE, "split": "random"}, "whole globe"),
        ({"_target_": BLUE_MARBLE, "split": "all"}, "whole globe"),
        ({"_target_": MOVED, "split": "all"}, "whole globe"),
        ({"_target_": FOLDER, "hub": None, "split": "all"}, "unknown"),
        ({"_target_": FOLDER, "hub": "torchgeo/s2-100k", "split": "random"}, "whole globe"),
        ({"_target_": FOLDER, "hub": None, "split": "random"}, "unknown"),
        ({"_target_": BLUE_MARBLE, "split": "random", "bounds": [0, 40, 20, 60]}, "unknown"),
        ({"_target_": BLUE_MARBLE, "split": "another"}, "unknown"),
        ({}, "unknown"),
        (None, "unknown"),
    ],
)
def test_what_an_encoder_has_seen_is_read_from_its_recipe(
    checkpoint: Write, dataset: Mapping[str, Any] | None, seen: str
) -> None:
    assert trained(checkpoint(dataset)).seen == seen


def test_a_checkpoint_without_a_recipe_has_seen_what_nobody_knows() -> None:
    assert seen_by({}) == seen_by({"config": None}) == seen_by({"config": {"dataset": "x"}}) == "unknown"


def test_a_checkpoint_a_run_folder_and_a_saved_folder_give_the_same_vectors(
    checkpoint: Write, encoder: LocationEncoder, places: Array, tmp_path: Path
) -> None:
    best = checkpoint(name="run/checkpoints/best.ckpt")
    encoder.save_pretrained(tmp_path / "saved")
    with torch.no_grad():
        expected = encoder(torch.from_numpy(places)).numpy()
    rows = [trained(source) for source in (best, tmp_path / "run", tmp_path / "saved")]
    for row in rows:
        np.testing.assert_array_equal(row(places), expected)
    assert [row.seen for row in rows] == ["held-out blocks left out (inductive)"] * 2 + ["unknown"]
    assert len({row.fingerprint for row in rows}) == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"neither checkpoints/best\.ckpt"):
        trained(tmp_path / "empty")


def test_an_untrained_row_is_the_same_shape_with_fresh_weights(checkpoint: Write, places: Array) -> None:
    encoder = trained(checkpoint(), name="ours")
    first, again, other = untrained(encoder, 0), untrained(encoder, 0), untrained(encoder, 1)
    assert (first.name, first.seen) == ("untrained ours, seed 0", "nothing")
    assert np.array_equal(first(places), again(places))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert not np.allclose(first(places), other(places))
    assert not np.allclose(first(places), encoder(places))
    assert first(places).shape == encoder(places).shape


def test_what_is_drawn_elsewhere_does_not_change_an_untrained_row(checkpoint: Write, places: Array) -> None:
    encoder = trained(checkpoint())
    before = torch.random.get_rng_state()
    first = untrained(encoder, 0)(places)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(7)
    assert np.array_equal(first, untrained(encoder, 0)(places))


def test_the_bandwidth_is_tuned_over_degrees_and_frequencies(checkpoint: Write, places: Array) -> None:
    group = tuned_bandwidth(trained(checkpoint(), name="ours"))
    names = [each.name for each in group.candidates]
    assert len(names) == len(set(names)) == 5 * 3  # L = 5, 6 (its own), 10, 20, 40; w0 = 1, 5 (its own), 30
    assert "untrained, L = 6, w0 = 5" in names
    assert (group.name, group.seen) == ("untrained ours, bandwidth tuned", "nothing")
    spread = {each.name: float(np.ptp(each(places), axis=0).mean()) for each in group.candidates}
    assert len(set(spread.values())) == len(names)


def test_geoclip_untrained_keeps_its_frequencies_and_is_tuned_by_capsule(places: Array, tmp_path: Path) -> None:
    torch.save(GeoCLIP().state_dict(), tmp_path / "w.pth")
    encoder = taxabind(tmp_path / "w.pth")
    fresh = untrained(encoder, 0)
    mine, theirs = fresh.network.state_dict(), encoder.network.state_dict()
    kept = [name for name in mine if torch.equal(mine[name], theirs[name])]
    assert kept == [f"LocEnc{number}.capsule.0.b" for number in (0, 1, 2)]
    assert fresh.latitude_first
    group = tuned_bandwidth(encoder)
    assert [each.name for each in group.candidates] == [f"untrained, sigma {sigma}" for sigma in (1, 16, 256)]
    assert group.candidates[0](places).shape == (len(places), 512)


def test_a_bandwidth_below_the_degrees_that_pass_by_the_network_is_no_candidate() -> None:
    encoder = LocationEncoder(
        SphericalHarmonics(16), partial(Siren, hidden_dim=16), 100, skip_degrees=8, skip_damping=1.0
    )
    labels = [label for label, _ in variants(encoder.config())]
    assert not any("L = 5" in label for label in labels)
    assert all(f", L = {polys}, w0 = 1" in labels for polys in (10, 16, 20, 40))


def test_what_joined_or_tuned_encoders_have_seen_is_the_most_that_any_has(checkpoint: Write, places: Array) -> None:
    blocks, globe = trained(checkpoint()), trained(checkpoint({"_target_": BLUE_MARBLE, "split": "random"}, "b.ckpt"))
    unknown = trained(checkpoint(None, "c.ckpt"))
    assert Joined([blocks, raw()]).seen == "held-out blocks left out (inductive)"
    assert Joined([blocks, unknown]).seen == "unknown"
    assert tuned([unknown, globe, raw()]).seen == "whole globe"
    assert tuned([raw(), sincos()]).seen == "nothing"
    joined = Joined([raw(), blocks])
    np.testing.assert_array_equal(joined(places), np.hstack([places, blocks(places)]))
    with pytest.raises(ValueError, match="two encoders or more"):
        Joined([raw()])
    with pytest.raises(ValueError, match="no candidates"):
        Tuned("none", ())


def smooth(lonlat: Array) -> Array:
    return 20 * np.cos(np.radians(lonlat[:, 1])) + 5 * np.sin(np.radians(lonlat[:, 0]))


@pytest.fixture
def scratch(checkpoint: Write) -> FromScratch:
    row = from_scratch(trained(checkpoint()))
    row.most_steps = 200
    return row


def draws(count: int, seed: int) -> Array:
    random = np.random.default_rng(seed)
    return np.stack([random.uniform(-180, 180, count), np.degrees(np.arcsin(random.uniform(-1, 1, count)))], 1)


def test_from_scratch_learns_a_smooth_field_and_says_the_same_again(scratch: FromScratch) -> None:
    train, test = draws(300, 0), draws(200, 1)
    folds = np.arange(300) % 3
    answer = scratch.fit_predict(train, smooth(train), test, None, folds)
    truth = smooth(test)
    assert answer.shape == (200,)
    assert 1 - ((answer - truth) ** 2).mean() / truth.var() > 0.9
    torch.rand(3)
    assert np.array_equal(answer, scratch.fit_predict(train, smooth(train), test, None, folds))
    assert isinstance(scratch, Predictor)
    assert scratch.seen == "nothing"


def test_dropout_of_the_network_is_drawn_from_the_seed_too(checkpoint: Write) -> None:
    row = from_scratch(trained(checkpoint()))
    row.config["network"]["dropout"], row.most_steps = 0.2, 20
    train, folds = draws(30, 0), np.arange(30) % 3
    first = row.fit_predict(train, smooth(train), draws(5, 1), None, folds)
    torch.rand(3)
    assert np.array_equal(first, row.fit_predict(train, smooth(train), draws(5, 1), None, folds))


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_several_draws_at_a_time_give_what_one_after_the_other_gives(checkpoint: Write, dropout: float) -> None:
    row = from_scratch(trained(checkpoint()))
    row.config["network"]["dropout"], row.most_steps = dropout, 60
    sets = [draws(40, seed) for seed in range(6)]

    def answer(train: Array) -> Array:
        return row.fit_predict(train, smooth(train), draws(5, 99), None, np.arange(40) % 3)

    with ThreadPoolExecutor(6) as threads:
        together = list(threads.map(answer, sets))
    for train, found in zip(sets, together, strict=True):
        np.testing.assert_array_equal(found, answer(train))


def test_from_scratch_scores_classes(scratch: FromScratch) -> None:
    train, test = draws(300, 0), draws(200, 1)
    codes = np.digitize(train[:, 1], [-20, 20])
    scores = scratch.fit_predict(train, codes, test, ("south", "middle", "north", "never seen"), np.arange(300) % 3)
    assert scores.shape == (200, 4)
    assert (scores.argmax(1) == np.digitize(test[:, 1], [-20, 20])).mean() > 0.9


@pytest.mark.parametrize("count", [1, 4, 12])
def test_from_scratch_answers_with_very_few_labels_and_no_folds(scratch: FromScratch, count: int) -> None:
    train = draws(count, 0)
    answer = scratch.fit_predict(train, np.full(count, 3.0), draws(5, 1), None, np.zeros(count, np.int64))
    np.testing.assert_allclose(answer, 3.0, atol=2.0)


def test_an_encoding_alone_cannot_be_untrained_or_from_scratch() -> None:
    with pytest.raises(ValueError, match="raw was initialised is not known"):
        untrained(raw())
    with pytest.raises(ValueError, match="raw cannot be trained from scratch here"):
        from_scratch(raw())


def test_the_shipped_data_set_is_known_by_the_class_that_its_options_name(project: Path) -> None:
    options = yaml.safe_load((project / "conf" / "dataset" / "blue_marble.yaml").read_text())
    assert seen_by({"config": {"dataset": options | {"split": "random"}}}) == "whole globe"


def test_the_blocks_left_out_are_those_of_the_recipe_and_none_where_it_left_out_none() -> None:
    told = {"split": "block", "val_fraction": 0.1, "split_degrees": 5.0}
    rule = held_out_by({"config": {"dataset": told}})
    assert rule is not None
    lonlat = uniform_on_sphere(4000, torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(rule.holds(lonlat.numpy()), block_split(lonlat, 0.1, 5.0).numpy())
    assert held_out_by({"config": {"dataset": told | {"split": "random"}}}) is None
    assert held_out_by({}) is None
    inside = lonlat[~block_split(lonlat, 0.1, 5.0)][:1]  # a training holds out one block of its own; here is none
    assert not rule.holds(inside.numpy()).any()
    assert block_split(inside, 0.1, 5.0).all()
