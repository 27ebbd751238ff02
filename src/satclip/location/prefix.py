"""The first numbers of an embedding as an embedding of their own: for encoders trained on nested prefixes."""

import torch.nn.functional as F
from torch import Tensor

from satclip.location.encoder import LocationEncoder
from satclip.location.skip import Skip


class Prefix(Skip):
    """As another `Skip`, and of what that gives the first `dims` numbers, brought to length 1."""

    def __init__(self, whole: Skip, dims: int) -> None:
        super().__init__(whole.degrees, whole.scale, whole.damping, whole.zonal)
        self.dims = dims

    def beside(self, embedding: Tensor, features: Tensor) -> Tensor:
        """The prefix: [..., D - dim], [..., dim] -> [..., dims]."""
        return F.normalize(super().beside(embedding, features)[..., : self.dims], dim=-1)

    def config(self) -> dict[str, float]:
        """Refuse to describe it: the description would be that of another network.

        Raises:
            ValueError: always.
        """
        raise ValueError("a shortened encoder is not saved; save the whole one and shorten it where it is used")


def shorten(encoder: LocationEncoder, dims: int) -> LocationEncoder:
    """The same object, giving the first `dims` numbers of its embedding, brought to length 1.

    Those are an embedding where the training's loss was nested (`encoder.nested` has its prefixes, see
    `satclip.loss.NestedLoss`); elsewhere they are some numbers out of many.

    Raises:
        ValueError: there are not so many.
    """
    if not 1 <= dims <= encoder.embedding_dim:
        raise ValueError(f"the embedding has {encoder.embedding_dim} numbers, got dims={dims}; give 1 to as many")
    encoder.skip = Prefix(encoder.skip, dims).to(encoder.skip.mix.device)
    encoder.embedding_dim = dims
    return encoder
