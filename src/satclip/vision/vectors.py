"""A tower over vectors instead of images: what another encoder says of a place is one more sensor."""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

HEADS = ("linear", "standardised")


class VectorTower(nn.Module):
    """A head alone: vectors [B, K] of a teacher -> embeddings [B, D].

    Distillation: the teacher's vectors stand where images would, and the location encoder learns to agree with them.

    Args:
        in_dim: K.
        embedding_dim: D.
        teacher: whose vectors they are; the checkpoint says so.
        head: "linear" learns, for contrastive losses. "standardised" does not, for `loss=match`: each number with mean
            0 and deviation 1 over what was seen in training, and zeros behind them up to D.

    Raises:
        ValueError: the head is another one, or "standardised" has more numbers than the embedding.
    """

    frozen = True

    def __init__(self, *, in_dim: int, embedding_dim: int, teacher: str, head: str = "linear") -> None:
        super().__init__()
        if head not in HEADS:
            raise ValueError(f"vision.head takes one of {', '.join(HEADS)}, got {head!r}")
        if head == "standardised" and in_dim > embedding_dim:
            raise ValueError(
                f"vision.head=standardised hands on all {in_dim} numbers of the teacher, and embedding_dim is "
                f"{embedding_dim}; give embedding_dim={in_dim} or more, or vision.head=linear"
            )
        self.in_dim, self.embedding_dim, self.teacher = in_dim, embedding_dim, teacher
        self.head: nn.Module = (
            nn.Linear(in_dim, embedding_dim) if head == "linear" else _Standardised(in_dim, embedding_dim)
        )

    def features(self, vectors: Tensor) -> Tensor:
        """The vectors themselves, [B, K].

        Raises:
            ValueError: they have another shape.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.in_dim:
            raise ValueError(
                f"this tower takes vectors [B, {self.in_dim}] of {self.teacher}, got {list(vectors.shape)}; it was "
                "trained on those and has never seen an image"
            )
        return vectors

    def forward(self, vectors: Tensor) -> Tensor:
        """[B, K] -> [B, embedding_dim].

        Raises:
            ValueError: they have another shape.
        """
        embedding: Tensor = self.head(self.features(vectors))
        return embedding

    def features_name(self) -> str:
        """Their number: whose they are stands in the file that holds them."""
        return f"vectors of {self.in_dim} numbers"

    def features_weights(self) -> Mapping[str, Tensor]:
        """None."""
        return {}


class _Standardised(nn.Module):
    """By the mean and deviation of all batches so far, from the first one on.

    The usual running ones begin with a variance of 1, of which a thousandth is left after an epoch of 70 batches: more
    than the variance of GeoCLIP's numbers, 0.0002. `eps` is small for their sake as well.
    """

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.spare = out_dim - in_dim
        self.standardise = nn.BatchNorm1d(in_dim, affine=False, momentum=None, eps=1e-12)

    def forward(self, vectors: Tensor) -> Tensor:
        return F.pad(self.standardise(vectors), (0, self.spare))
