"""Penalties by degree and by block."""

import numpy as np
import pytest

from satclip.downstream.evaluate.answers import Candidate, Goal
from satclip.downstream.evaluate.inner_folds import plain_folds
from satclip.downstream.evaluate.penalties import BLOCK_BETAS, DEGREE_BETAS, block_penalty, degree_penalty, penalties_of
from satclip.downstream.evaluate.ridge_probe import RidgeProbe


class Encoder:
    name, seen = "harmonics", "nothing"

    def __init__(self, **told: object) -> None:
        self.__dict__.update(told)

    def __call__(self, lonlat: np.ndarray) -> np.ndarray:
        return lonlat


def test_a_penalty_grows_with_the_degree() -> None:
    assert degree_penalty(np.array([0, 1, 1, 3]), 1.0).tolist() == [1, 4, 4, 16]
    assert degree_penalty(np.array([0, 1, 3]), 0.5).tolist() == [1, 2, 4]


def test_a_block_is_what_a_wider_embedding_adds() -> None:
    assert block_penalty((2, 3, 6), 10.0).tolist() == [1, 1, 10, 100, 100, 100]
    for wrong in ((), (3, 2), (0, 4), (2, 2)):
        with pytest.raises(ValueError, match="must ascend"):
            block_penalty(wrong, 3.0)


def test_an_encoder_that_tells_nothing_has_the_plain_penalty_alone() -> None:
    assert penalties_of(Encoder(), 7) == {0.0: None}


def test_degrees_and_blocks_offer_their_betas_and_the_plain_penalty() -> None:
    by_degree = penalties_of(Encoder(degrees=np.array([0, 1, 1, 1])), 4)
    assert tuple(by_degree) == DEGREE_BETAS
    assert by_degree[0.0] is None
    by_block = penalties_of(Encoder(blocks=(1, 4)), 4)
    assert tuple(by_block) == BLOCK_BETAS
    assert by_block[1.0] is None
    assert by_block[10.0] is not None
    assert by_block[10.0].tolist() == [1, 10, 10, 10]


@pytest.mark.parametrize("told", [{"degrees": np.arange(3)}, {"blocks": (1, 3)}])
def test_degrees_of_another_width_are_refused(told: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="told for 3 columns, its vectors have 4"):
        penalties_of(Encoder(**told), 4)


def test_a_smooth_target_is_found_from_fewer_labels_with_a_penalty_by_degree() -> None:
    generator = np.random.default_rng(0)
    degrees = np.repeat(np.arange(12), 2 * np.arange(12) + 1)
    x = generator.normal(size=(700, len(degrees)))
    y = x @ (generator.normal(size=len(degrees)) / (1.0 + degrees) ** 3)
    train, test, folds = np.arange(100), np.arange(100, 700), plain_folds(np.arange(100) % 3)
    errors = {}
    for name, encoder in (("plain", Encoder()), ("by degree", Encoder(degrees=degrees))):
        candidate = Candidate(name, x, penalties_of(encoder, len(degrees)))
        answer = RidgeProbe().answers([candidate], [Goal(y, None)], train, test, folds)[0]
        errors[name] = float(((answer.predicted - y[test]) ** 2).mean())
    assert answer.choice.beta > 0
    assert errors["by degree"] < 0.2 * errors["plain"]
