"""A teacher's vectors where images would be."""

import pytest
import torch

from satclip.vision import VectorTower


def test_a_standardised_head_learns_nothing_and_ends_in_zeros() -> None:
    tower = VectorTower(in_dim=6, embedding_dim=9, teacher="somebody", head="standardised")
    assert not list(tower.parameters())
    seen = tower(torch.randn(500, 6) * torch.arange(1, 7) + 5)
    torch.testing.assert_close(seen[:, :6].mean(0), torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[:, :6].std(0), torch.ones(6), atol=1e-2, rtol=0)
    assert not seen[:, 6:].any()


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_what_was_seen_once_is_standardised_whatever_its_scale(scale: float) -> None:
    tower = VectorTower(in_dim=6, embedding_dim=6, teacher="somebody", head="standardised")
    vectors = scale * (torch.randn(500, 6) + 3)
    trained = tower(vectors)
    torch.testing.assert_close(tower.eval()(vectors), trained, atol=1e-2, rtol=0)


def test_a_linear_head_learns() -> None:
    tower = VectorTower(in_dim=6, embedding_dim=4, teacher="somebody")
    assert tower(torch.randn(5, 6)).shape == (5, 4)
    assert sum(weight.numel() for weight in tower.parameters() if weight.requires_grad) == 28


@pytest.mark.parametrize("shape", [(5, 7), (5, 3, 16, 16)])
def test_images_and_vectors_of_others_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"takes vectors \[B, 6\] of somebody, got .* has never seen an image"):
        VectorTower(in_dim=6, embedding_dim=4, teacher="somebody")(torch.rand(*shape))


def test_all_numbers_of_the_teacher_have_to_fit() -> None:
    with pytest.raises(ValueError, match="give embedding_dim=6 or more, or"):
        VectorTower(in_dim=6, embedding_dim=4, teacher="somebody", head="standardised")
    with pytest.raises(ValueError, match="takes one of linear, standardised, got 'mlp'"):
        VectorTower(in_dim=6, embedding_dim=9, teacher="somebody", head="mlp")
