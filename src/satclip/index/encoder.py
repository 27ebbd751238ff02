"""A trained encoder with its own training patches beside it."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from satclip.index.range import Form, Sharpness, retrieve
from satclip.index.store import Store
from satclip.location.encoder import LocationEncoder
from satclip.location.grid import encode_rows

FORMS: tuple[Form, ...] = ("range", "range+")
ROWS = 1024  # places looked up at a time


class RangeEncoder(nn.Module):
    """Places in degrees [B, 2] to [r, q], [B, V + D]: what is retrieved for them, and the encoder's unit embedding.

    See `satclip.index.range` for the formulas. For use, not for training: no gradient passes through the store.

    Args:
        encoder: what the store was built for.
        store: its training patches.
        form: "range" or "range+".
        exclude_within_km: patches so near to a place are not there for it. What retrieval is worth where the nearest
            imagery lies so far away; 0 leaves none out.
        sharpness: inverse temperatures; those that were chosen when the store was built where it is None.

    Raises:
        ValueError: the store is of another encoder or empty, the form is none, or the distance is none.
    """

    def __init__(
        self,
        encoder: LocationEncoder,
        store: Store,
        *,
        form: Form = "range",
        exclude_within_km: float = 0.0,
        sharpness: Sharpness | None = None,
    ) -> None:
        super().__init__()
        if form not in FORMS:
            raise ValueError(f"retrieval must be one of {', '.join(FORMS)}, got {form!r}")
        if not 0 <= exclude_within_km < math.inf:
            raise ValueError(f"exclude_within_km must be 0 or more, got {exclude_within_km:g}")
        store.check_encoder(encoder)
        if not len(store):
            raise ValueError(f"{store.folder} holds no patch; build it of a data set that has training patches")
        self.encoder, self.store = encoder.eval(), store
        self.form, self.exclude_within_km = form, exclude_within_km
        self.sharpness = sharpness or Sharpness(**store.manifest["sharpness"])
        self.embedding_dim = store.values.shape[1] + encoder.embedding_dim
        self.source = encoder.source

    def extra_repr(self) -> str:
        """What a reader wants to know first."""
        excluded = f", without those within {self.exclude_within_km:g} km" if self.exclude_within_km else ""
        return f"{self.form} of {len(self.store):,} patches{excluded} -> {self.embedding_dim}"

    @torch.no_grad()
    def forward(self, lonlat: Tensor) -> Tensor:
        """[B, 2] degrees -> [B, V + D], in the encoder's dtype, float32 at least; as the encoder for rows of no place.

        Raises:
            TypeError, ValueError: as the encoder's; or no stored patch is left for a place.
        """
        parts = [self.beside(self.encoder(part), part) for part in torch.split(lonlat, ROWS)]
        return torch.cat(parts)

    def beside(self, queries: Tensor, lonlat: Tensor) -> Tensor:
        """The encoder's embeddings at some places, [B, D], to [B, V + D]."""
        store = self.store
        found = retrieve(
            queries,
            lonlat,
            store.lonlat,
            store.keys,
            store.values,
            form=self.form,
            sharpness=self.sharpness,
            exclude_within_km=self.exclude_within_km,
        )
        return torch.cat((found, F.normalize(queries.to(found.dtype), dim=-1)), -1)

    def rows(self, lons: Tensor, lats: Tensor) -> Iterator[Tensor]:
        """As `satclip.location.grid.encode_rows`: blocks [r, C, V + D] of crossings of `lats` [R] and `lons` [C]."""
        start = 0
        for block in encode_rows(self.encoder, lons, lats):
            rows = lats[start : start + len(block)]
            start += len(block)
            places = torch.cartesian_prod(rows.double(), lons.double()).flip(-1).to(block.device)
            flat = zip(torch.split(block.flatten(0, 1), ROWS), torch.split(places, ROWS), strict=True)
            found = torch.cat([self.beside(queries, at) for queries, at in flat])
            yield found.reshape(len(block), len(lons), -1)
