"""Retrieval, checked against counting by hand and a sort."""

import numpy as np
import pytest
import torch

from satclip.retrieval import chance, retrieval_metrics
from satclip.sphere import great_circle_km, uniform_on_sphere


def places(count: int, seed: int = 0) -> torch.Tensor:
    return uniform_on_sphere(count, torch.Generator().manual_seed(seed))


def noisy_pair(count: int, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(count, 16, generator=generator)
    return images, images + noise * torch.randn(count, 16, generator=generator)


def test_a_perfect_model_finds_every_place() -> None:
    images, _ = noisy_pair(50, 0.0)
    metrics = retrieval_metrics(images, 3 * images, places(50))
    for way in ("image_to_location", "location_to_image"):
        assert [metrics[f"{way}/top{k}"] for k in (1, 5, 10)] == [1.0, 1.0, 1.0]
        assert metrics[f"{way}/median_km"] == pytest.approx(0.0, abs=1e-9)


def test_the_figures_equal_a_stable_sort_of_the_whole_similarity_matrix() -> None:
    images, locations = noisy_pair(301, 1.2)
    lonlat = places(301)
    metrics = retrieval_metrics(images, locations, lonlat, rows=64)
    x, y = (t.numpy() / np.linalg.norm(t.numpy(), axis=1, keepdims=True) for t in (images, locations))
    for way, similarity in (("image_to_location", x @ y.T), ("location_to_image", y @ x.T)):
        order = np.argsort(-similarity, axis=1, kind="stable")
        rank = np.argmax(order == np.arange(301)[:, None], axis=1)
        for k in (1, 5, 10):
            assert metrics[f"{way}/top{k}"] == pytest.approx((rank < k).mean())
        error = great_circle_km(lonlat, lonlat[order[:, 0].copy()])
        assert metrics[f"{way}/median_km"] == pytest.approx(float(error.median()))
    assert 0.2 < metrics["image_to_location/top1"] < 0.9
    assert metrics["image_to_location/top1"] != metrics["location_to_image/top1"]


def test_the_number_of_rows_at_a_time_changes_nothing() -> None:
    images, locations = noisy_pair(100, 1.0)
    whole = retrieval_metrics(images, locations, places(100), rows=1000)
    for rows in (1, 7, 99):
        assert retrieval_metrics(images, locations, places(100), rows=rows) == whole


def test_a_model_that_answers_everything_alike_scores_by_chance() -> None:
    same = torch.ones(200, 8)
    metrics = retrieval_metrics(same, same, places(200))
    assert metrics["image_to_location/top1"] == 1 / 200
    assert metrics["location_to_image/top10"] == 10 / 200
    assert metrics["image_to_location/median_km"] > 1000


def test_a_diverged_model_scores_nothing() -> None:
    broken = torch.full((20, 4), torch.nan)
    metrics = retrieval_metrics(broken, broken, places(20))
    assert metrics["image_to_location/top10"] == 0.0
    assert metrics["location_to_image/top10"] == 0.0


def test_the_error_in_kilometres_is_from_the_true_place_to_the_found_one() -> None:
    lonlat = torch.tensor([[0.0, 0.0], [90.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    images = torch.eye(3)
    locations = images[[1, 0, 2]]  # the first two are mistaken for one another, a quarter of the equator apart
    quarter = np.pi / 2 * 6371.0088
    assert retrieval_metrics(images, locations, lonlat)["image_to_location/median_km"] == pytest.approx(quarter)


def test_fewer_than_ten_places_are_all_among_the_first_ten() -> None:
    images = torch.eye(3)
    assert retrieval_metrics(images, images.flip(0), places(3))["image_to_location/top10"] == 1.0


def test_chance_is_what_random_embeddings_score() -> None:
    lonlat = places(1000)
    expected = chance(lonlat)
    assert expected["chance/top10"] == 0.01
    # Two points uniform on a sphere are a quarter of the circumference apart in the median.
    assert expected["chance/median_km"] == pytest.approx(np.pi / 2 * 6371.0088, rel=0.02)
    a, b = torch.randn(2, 1000, 16, generator=torch.Generator().manual_seed(2))
    metrics = retrieval_metrics(a, b, lonlat)
    assert metrics["image_to_location/top10"] == pytest.approx(0.01, abs=0.01)
    assert metrics["image_to_location/median_km"] == pytest.approx(expected["chance/median_km"], rel=0.1)
    assert chance(lonlat) == expected


def test_what_does_not_match_is_refused() -> None:
    with pytest.raises(ValueError, match="as many images as locations"):
        retrieval_metrics(torch.ones(3, 2), torch.ones(2, 2), places(3))
    with pytest.raises(ValueError, match="at least one"):
        retrieval_metrics(torch.ones(0, 2), torch.ones(0, 2), places(0))
