"""A trained encoder with its own training patches beside it, as a row of the benchmark (RANGE, arXiv 2502.19781)."""

from pathlib import Path

from satclip.downstream.rivals.frozen import Frozen
from satclip.downstream.rivals.trained import trained
from satclip.downstream.rivals.tuned import seen_together
from satclip.index import RangeEncoder, open_store
from satclip.location.encoder import LocationEncoder


def ranged(source: str, store: Path, form: str, exclude_within_km: float, *, name: str) -> Frozen:
    """What `satclip index` kept, retrieved for each place: [N, 2] -> [N, V + D].

    It has seen what the encoder has seen, and what lies in the store.

    Raises:
        FileNotFoundError, ConnectionError: the encoder or the store is not there.
        ValueError: the store is of another encoder, or damaged.
    """
    base = trained(source)
    assert isinstance(base.network, LocationEncoder)
    kept = open_store(store)
    network = RangeEncoder(
        base.network, kept, form="range+" if form == "range+" else "range", exclude_within_km=exclude_within_km
    )
    described = f"{base.described} {form} {exclude_within_km} {network.sharpness} {kept.fingerprint}"
    return Frozen(name, seen_together([base.seen, str(kept.manifest["seen"])]), network, described=described)
