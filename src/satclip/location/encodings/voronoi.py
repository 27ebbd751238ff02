"""Soft Voronoi cells on the sphere, around places that are learned."""

import math
from contextlib import nullcontext
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from satclip.geography.lattice import fibonacci, land_lattice
from satclip.location.encodings.protocol import feature_dtype, wide_degrees
from satclip.location.encodings.semantic_tokens import SemanticTokens
from satclip.sphere import unit_vectors

Start = Literal["land", "sphere"]
FIRST_SHARPNESS = 45.0  # tau: a standard deviation of 950 km
SOFTEST = -0.7  # of log tau
TINY = 1e-8  # in a logarithm
SHARPEST, PUBLISHED_SHARPEST = 9.2, 6.2  # 64 km, and 287 km, which is wider than the sites are apart


class Voronoi(nn.Module):
    """The encoder of TTE, "Tessellating the Earth" (2026, ECCV, arXiv 2606.27514), up to its residual network.

    K sites lie on the sphere as unit vectors s_k; a place x belongs to each of them by w = softmax over k of
    tau_k (<x, s_k> - 1) + b_k, and is e = w E, the mean of what the sites have learned. Semantic tokens make `width`
    features of it (`SemanticTokens`). Sites, sharpness tau, size b, E and tokens all learn. Under the network `fcnet`
    with two residual blocks and embedding_dim=512 it is TTE's encoder.

    Four things differ from the published one, unless `published`:

    - tau there is sharpness and size in one (its logits are tau_k <x, s_k>, so that a sharper site wins far away too);
      here b_k is the size. At the start, where all tau are equal, both are the same; b_k = tau_k gives theirs exactly.
    - log tau is bounded by 9.2 and not by 6.2: a kernel of 64 km instead of 287, where sites are 168 km apart.
    - `settle` brings directions and sharpness into bounds after an optimiser's step; there it runs before, so that the
      weights that are saved are out of them.
    - the temperature of the tokens is saved (see `SemanticTokens`).

    No seam at the date line, no dependence on longitude at the poles.

    Args:
        sites: K.
        site_dim: numbers that a site learns, d.
        width: features, D.
        tokens: R.
        start: sites begin on a lattice over the land without Antarctica, or over the whole sphere.
        token_dropout: see `SemanticTokens`.
        published: all four as in TTE.

    Raises:
        ValueError: a count is below 1, or `start` or the dropout is none.
    """

    name = "voronoi"
    auxiliary = ("reconstruction", "alignment")
    auxiliary_weights = ("semantics.of_pictures.weight", "semantics.of_pictures.bias")

    def __init__(
        self,
        sites: int = 4096,
        site_dim: int = 384,
        width: int = 512,
        tokens: int = 64,
        start: Start = "land",
        token_dropout: float = 0.1,
        published: bool = False,
    ) -> None:
        super().__init__()
        if min(sites, site_dim, width, tokens) < 1:
            raise ValueError(
                f"sites, site_dim, width and tokens must be at least 1, got {sites}, {site_dim}, {width} and {tokens}"
            )
        if start not in get_args(Start):
            raise ValueError(f"start must be one of {', '.join(get_args(Start))}, got {start!r}")
        if not 0 <= token_dropout < 1:
            raise ValueError(f"token_dropout must be from 0 to below 1, got {token_dropout}")
        self.start, self.published = start, published
        self.dim, self.working_dim = width, max(sites, width)
        self.directions = nn.Parameter(torch.empty(sites, 3))
        if self.directions.device.type != "meta":  # where sites begin takes a while to find
            places = torch.from_numpy((land_lattice if start == "land" else fibonacci)(sites).copy())
            self.directions.data.copy_(unit_vectors(places))
        self.log_sharpness = nn.Parameter(torch.full((sites,), math.log(FIRST_SHARPNESS)))
        self.size = None if published else nn.Parameter(torch.zeros(sites))
        self.sites = nn.Parameter(torch.empty(sites, site_dim).normal_(std=0.02))
        self.semantics = SemanticTokens(site_dim, width, tokens, dropout=token_dropout, published=published)

    def options(self) -> dict[str, object]:
        """Return the constructor's arguments, ready for JSON."""
        return {
            "sites": self.sites.shape[0],
            "site_dim": self.sites.shape[1],
            "width": self.dim,
            "tokens": self.semantics.tokens.shape[0],
            "start": self.start,
            "token_dropout": self.semantics.dropout,
            "published": self.published,
        }

    def cells(self, lonlat: Tensor) -> Tensor:
        """How much each place belongs to each site: [..., 2] degrees -> [..., K], rows of sum 1, in the weights' dtype.

        Angles are taken in the widest float: at tau = 10,000 a float32 cosine would move a logit by 6e-4.
        """
        places = unit_vectors(wide_degrees(lonlat))
        sites = F.normalize(self.directions.to(places.dtype), dim=-1)
        cosines = places @ sites.T
        sharpness = self.log_sharpness.to(places.dtype).exp()
        size = 0 if self.size is None else self.size.to(places.dtype)
        logits = sharpness * (cosines if self.size is None else cosines - 1) + size
        shifted = logits - logits.detach().amax(-1, keepdim=True)
        return torch.softmax(shifted.to(self.sites.dtype), -1)

    def forward(self, lonlat: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """[..., 2] degrees -> [..., width] in `dtype`, by default that of `lonlat`."""
        return self.attended(lonlat, dtype)[0]

    def attended(self, lonlat: Tensor, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
        """As `forward`, and what the places attend to among the tokens, [..., R]."""
        with self._without_autocast(lonlat):
            place = self.cells(lonlat) @ self.sites
            attention = self.semantics.attention(place)
            features = self.semantics.mix(place, attention)
        return features.to(feature_dtype(lonlat, dtype)), attention

    def with_auxiliary(
        self, lonlat: Tensor, image_embeddings: Tensor, dtype: torch.dtype | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """As `forward`, and TTE's two terms for its loss, a number a place.

        With v the unit image embedding, without gradient, a what the place attends to and b what the picture does:
        `reconstruction` is the mean square of b G - v, `alignment` the divergence of a from b, sum a (log a - log b), b
        without gradient, 1e-8 added to what a logarithm is taken of.

        Raises:
            ValueError: the image embeddings are not as wide as the tokens.
        """
        features, attention = self.attended(lonlat, dtype)
        if image_embeddings.shape[-1] != self.dim:
            raise ValueError(
                f"pictures cannot attend to tokens of {self.dim} numbers, they have {image_embeddings.shape[-1]}; give "
                "le_type.width=${embedding_dim}"
            )
        with self._without_autocast(lonlat):
            picture = F.normalize(image_embeddings.detach().to(self.sites.dtype), dim=-1)
            theirs = self.semantics.picture_attention(picture)
            reconstruction = (theirs @ self.semantics.tokens - picture).square().mean(-1)
            gap = (attention + TINY).log() - (theirs.detach() + TINY).log()
            alignment = (attention * gap).sum(-1)
        return features, {"reconstruction": reconstruction, "alignment": alignment}

    @property
    def settles_before(self) -> bool:
        """Whether `settle` is for the time before a step instead of right after it."""
        return self.published

    @torch.no_grad()
    def settle(self) -> None:
        """Directions of length one, sharpness in bounds; for the time right after a step (before it if `published`)."""
        self.directions.copy_(F.normalize(self.directions, dim=-1))
        self.log_sharpness.clamp_(SOFTEST, PUBLISHED_SHARPEST if self.published else SHARPEST)

    @torch.no_grad()
    def anneal(self, progress: float) -> None:
        """Say how much of the training is behind, from 0 to 1."""
        self.semantics.progress.fill_(min(max(progress, 0.0), 1.0))

    def _without_autocast(self, lonlat: Tensor) -> torch.autocast | nullcontext[None]:
        """Only where it is on: an exporter would write it down."""
        kind = lonlat.device.type
        on = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
        return torch.autocast(kind, enabled=False) if on else nullcontext()
