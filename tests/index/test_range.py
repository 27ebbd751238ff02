"""RANGE and RANGE+ against their formulas in plain form."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from satclip.index import RangeEncoder, Store
from satclip.index.choosing import choose
from satclip.index.range import Form, Sharpness, retrieve
from satclip.location.encoder import LocationEncoder
from satclip.location.grid import encode_grid
from satclip.sphere import EARTH_RADIUS_KM, great_circle_km, uniform_on_sphere

PLACES = uniform_on_sphere(40, torch.Generator().manual_seed(5))
SHARP = Sharpness(9.0, 30.0, 70.0)


def plain(queries: Any, lonlat: Any, store: Store, form: str, sharp: Sharpness, exclude: float = 0.0) -> Any:
    """The sums as they are written, float64, with all weights at once."""

    def unit(values: Any) -> Any:
        return values / np.linalg.norm(values, axis=1, keepdims=True)

    def xyz(places: Any) -> Any:
        lon, lat = np.radians(places).T
        return np.stack((np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)), 1)

    likeness = unit(queries) @ unit(store.keys.astype(np.float64)).T
    angles = np.arccos(np.clip(xyz(lonlat) @ xyz(store.lonlat).T, -1, 1))
    there = angles * EARTH_RADIUS_KM > exclude if exclude else np.ones_like(angles, dtype=bool)

    def weighted(logits: Any) -> Any:
        weights = np.exp(logits) * there
        return weights / weights.sum(1, keepdims=True) @ store.values.astype(np.float64)

    if form == "range":
        return weighted(sharp.alone * likeness)
    return 0.5 * weighted(sharp.beside * likeness) + 0.5 * weighted(sharp.geographic * np.cos(angles))


@pytest.mark.parametrize("form", ["range", "range+"])
@pytest.mark.parametrize("exclude", [0.0, 1500.0])
@pytest.mark.parametrize("chunk", [7, 499, 10_000])
def test_retrieval_in_pieces_is_the_sum_as_it_is_written(
    form: Form, exclude: float, chunk: int, encoder: LocationEncoder, make_store: Callable[..., Store]
) -> None:
    store = make_store(encoder)
    queries = torch.randn(40, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    asked: dict[str, Any] = {"form": form, "sharpness": SHARP, "exclude_within_km": exclude, "chunk": chunk}
    wanted = plain(queries.numpy(), PLACES.numpy(), store, form, SHARP, exclude)
    found = retrieve(queries, PLACES, store.lonlat, store.keys, store.values, **asked)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-12)
    single = retrieve(queries.float(), PLACES, store.lonlat, store.keys, store.values, **asked)
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.numpy(), wanted, atol=2e-5)


def test_the_sharpest_temperature_takes_the_nearest_patch_alone(
    encoder: LocationEncoder, make_store: Callable[..., Store]
) -> None:
    store = make_store(encoder)
    queries = torch.from_numpy(store.keys[:5].astype(np.float32))
    sharp = Sharpness(1e5, 1e5, 1e8)
    for form in ("range", "range+"):
        at = torch.from_numpy(store.lonlat[:5].copy())
        found = retrieve(queries, at, store.lonlat, store.keys, store.values, form=form, sharpness=sharp, chunk=50)
        np.testing.assert_allclose(found.numpy(), store.values[:5], atol=1e-5)


def test_patches_near_a_place_are_not_there_for_it(encoder: LocationEncoder, make_store: Callable[..., Store]) -> None:
    store = make_store(encoder)
    at = torch.from_numpy(store.lonlat.copy())
    distances = torch.stack([great_circle_km(place[None], at) for place in at[:20]])
    distances[torch.arange(20), torch.arange(20)] = torch.inf
    next_km, nearest = distances.min(1)
    sharp = Sharpness(geographic=1e8)
    found = retrieve(
        torch.ones(20, 8), at[:20], store.lonlat, store.keys, store.values, form="range+", sharpness=sharp,
        exclude_within_km=float(next_km.min()) / 2,
    )  # fmt: skip
    alone = retrieve(torch.ones(20, 8), at[:20], store.lonlat, store.keys, store.values, exclude_within_km=1)
    whole = retrieve(torch.ones(20, 8), at[:20], store.lonlat, store.keys, store.values)
    assert (alone - whole).abs().max() > 1e-4
    similar = retrieve(
        torch.ones(20, 8), at[:20], store.lonlat, store.keys, store.values,
        sharpness=Sharpness(alone=12.0), exclude_within_km=float(next_km.min()) / 2,
    )  # fmt: skip
    torch.testing.assert_close(2 * found - similar, torch.from_numpy(store.values[nearest]).float(), atol=1e-4, rtol=0)


def test_where_no_patch_is_left_it_says_so(encoder: LocationEncoder, make_store: Callable[..., Store]) -> None:
    with pytest.raises(
        ValueError, match="no stored patch is more than 20037 km away from 4 places, the first at longi"
    ):
        RangeEncoder(encoder, make_store(encoder), exclude_within_km=20_037)(PLACES[:4])


def test_the_embedding_is_what_is_retrieved_and_the_unit_embedding(
    encoder: LocationEncoder, make_store: Callable[..., Store]
) -> None:
    store = make_store(encoder)
    model = RangeEncoder(encoder, store, form="range+")
    found = model(PLACES)
    with torch.no_grad():
        queries = encoder(PLACES)
    assert found.shape == (40, 6 + 8)
    assert model.embedding_dim == 14
    wanted = plain(queries.double().numpy(), PLACES.numpy(), store, "range+", Sharpness())
    np.testing.assert_allclose(found[:, :6].numpy(), wanted, atol=1e-5)
    torch.testing.assert_close(found[:, 6:], torch.nn.functional.normalize(queries, dim=-1))
    assert torch.equal(model(PLACES), found)
    assert "range+ of 500 patches -> 14" in repr(model)
    nowhere = model(torch.tensor([[np.nan, 0.0], [1.0, 2.0]], dtype=torch.float64))
    assert nowhere.isnan().all(-1).tolist() == [True, False]


@pytest.mark.parametrize("form", ["range", "range+"])
def test_a_grid_is_what_its_places_are(form: Form, encoder: LocationEncoder, make_store: Callable[..., Store]) -> None:
    model = RangeEncoder(encoder, make_store(encoder), form=form, exclude_within_km=200)
    lons, lats = torch.linspace(-180, 180, 61).double(), torch.linspace(88, -88, 90).double()
    grid = torch.cat(list(model.rows(lons, lats)))
    places = model(torch.cartesian_prod(lats, lons).flip(-1)).reshape(90, 61, -1)
    torch.testing.assert_close(grid, places, atol=1e-4, rtol=0)
    assert encode_grid(encoder, lons, lats).shape == (90, 61, 8)


def test_another_encoder_s_store_and_what_cannot_be_are_refused(
    encoder: LocationEncoder, make_store: Callable[..., Store]
) -> None:
    store = make_store(encoder)
    with pytest.raises(ValueError, match=r"was built for another encoder \(best\.ckpt\); give that one, or build"):
        RangeEncoder(encoder.untrained(7), store)
    assert len(RangeEncoder(encoder.double(), store).store) == 500  # in whatever float it computes
    with pytest.raises(ValueError, match="retrieval must be one of range, range\\+"):
        RangeEncoder(encoder, store, form="rag")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="exclude_within_km must be 0 or more"):
        RangeEncoder(encoder, store, exclude_within_km=-1)
    with pytest.raises(ValueError, match="holds no patch"):
        RangeEncoder(encoder, make_store(encoder, 0, "empty"))
    with pytest.raises(ValueError, match="inverse temperature must be positive, got beside=0"):
        Sharpness(beside=0)


@pytest.mark.parametrize("truth", [8.0, 60.0])
def test_the_temperature_that_made_the_values_is_found_again(truth: float) -> None:
    """Features of validation patches that are RANGE's own at some temperature are best told at the next one tried."""
    generator = torch.Generator().manual_seed(0)
    keys = torch.nn.functional.normalize(torch.randn(600, 4, generator=generator), dim=-1).half().numpy()
    values = torch.randn(600, 5, generator=generator).half().numpy()
    lonlat = uniform_on_sphere(600, generator).numpy()
    queries, at = torch.randn(100, 4, generator=generator), uniform_on_sphere(100, generator)
    wanted = retrieve(queries, at, lonlat, keys, values, sharpness=Sharpness(alone=truth))
    chosen = choose(queries, at, wanted, lonlat, keys, values)
    assert chosen.sharpness.alone == pytest.approx(truth, rel=0.25)
    assert chosen.explained["range"] > 0.9
    assert chosen.places == 100
    assert choose(queries[:9], at[:9], wanted[:9], lonlat, keys, values).sharpness == Sharpness()
