"""The row that matters most: the same architecture with fresh weights, as it is and with its bandwidth chosen."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from satclip.downstream.rivals import geoclip
from satclip.downstream.rivals.frozen import NOTHING, Frozen
from satclip.downstream.rivals.trained import placed
from satclip.downstream.rivals.tuned import Tuned
from satclip.location.encoder import LocationEncoder

SEEDS = (0, 1, 2)
POLYS = (5, 10, 20, 40)
OMEGAS = (1.0, 5.0, 30.0)
MIN_RADII = (0.1, 1.0, 10.0)  # degrees / 2 pi: wavelengths of 0.6, 6 and 63 degrees at the finest scale


def untrained(encoder: Frozen, seed: int = 0, name: str | None = None) -> Frozen:
    """The architecture of `encoder` with fresh weights drawn from `seed`; by default named after it.

    Raises:
        ValueError: it is not known how `encoder` was initialised.
    """
    if encoder.fresh is None:
        raise ValueError(
            f"how {encoder.name} was initialised is not known, so it has no untrained row; "
            "untrained: takes checkpoints of this project, the released models and geoclip"
        )
    return Frozen(
        f"{name or f'untrained {encoder.name}'}, seed {seed}",
        NOTHING,
        encoder.fresh(seed),
        latitude_first=encoder.latitude_first,
        blocks=getattr(encoder, "blocks", None),
        fresh=encoder.fresh,
        described=encoder.described,
    )


def tuned_bandwidth(encoder: Frozen, seed: int = 0) -> Tuned:
    """The architecture untrained at several bandwidths (L and w0, the finest radius, the capsules' sigma).

    Random features have one property that matters, their bandwidth: chosen by inner folds, they are often better than
    a trained encoder on smooth targets.

    Raises:
        ValueError: as `untrained`.
    """
    candidates = tuple(_candidates(encoder, seed))
    return Tuned(f"untrained {encoder.name}, bandwidth tuned", candidates)


def _candidates(encoder: Frozen, seed: int) -> Iterator[Frozen]:
    if isinstance(encoder.network, geoclip.GeoCLIP):
        state = encoder.network.state_dict()
        for sigma, network in zip(geoclip.SIGMAS, geoclip.bandwidths(state, seed), strict=True):
            yield Frozen(f"untrained, sigma {sigma}", NOTHING, network, latitude_first=encoder.latitude_first)
    elif isinstance(encoder.network, LocationEncoder):
        for label, config in variants(encoder.network.config()):
            yield placed(LocationEncoder.from_config(config).untrained(seed), f"untrained{label}")
    else:
        yield untrained(encoder, seed)


def variants(config: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Configs that differ in bandwidth alone, the given one among them: a label and a config each.

    A width has no meaning without its bandwidth, so everything else stays.
    """
    encodings: list[tuple[str, dict[str, Any]]] = [("", {})]
    if "legendre_polys" in config["encoding"]:
        polys = sorted({*POLYS, config["encoding"]["legendre_polys"]})
        polys = [each for each in polys if each >= config.get("skip_degrees", 0)]  # no other has what passes by it
        encodings = [(f", L = {each}", {"legendre_polys": each}) for each in polys]
    elif "min_radius" in config["encoding"]:
        radii = sorted({*MIN_RADII, config["encoding"]["min_radius"]})
        encodings = [(f", r = {each:g}", {"min_radius": each}) for each in radii]
    networks: list[tuple[str, dict[str, Any]]] = [("", {})]
    if "first_omega" in config["network"]:
        omegas = sorted({*OMEGAS, config["network"]["first_omega"]})
        networks = [(f", w0 = {each:g}", {"first_omega": each}) for each in omegas]
    for encoding_label, encoding in encodings:
        for network_label, network in networks:
            variant = deepcopy(config)
            variant["encoding"] |= encoding
            variant["network"] |= network
            yield encoding_label + network_label, variant
