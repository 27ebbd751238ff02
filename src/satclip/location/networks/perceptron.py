"""Plain networks: affine, and layers of ReLU."""

import torch
from torch import Tensor, nn

BLOCKS = 4  # of the published networks


class Linear(nn.Module):
    """One affine layer. In the reference's checkpoints `first` is the network itself."""

    name = "linear"

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.first = nn.Linear(in_dim, out_dim)

    def options(self) -> dict[str, object]:
        """Return the constructor's arguments except the widths in and out: none."""
        return {}

    def rest(self, hidden: Tensor) -> Tensor:
        """Nothing is left to do: [..., out_dim] -> the same."""
        return hidden

    def forward(self, features: Tensor) -> Tensor:
        """[..., in_dim] -> [..., out_dim]."""
        return self.rest(self.first(features))


class MLP(nn.Module):
    """Linear, ReLU, then `hidden_layers` times (Linear, ReLU), then Linear.

    `shared_hidden` gives all hidden layers one weight: an accident of the reference, needed to load its checkpoints.
    There `first` is `features.0`, `hidden.i` is `features.(2 i + 2)` and `last` is the highest number.
    """

    name = "mlp"

    def __init__(
        self, in_dim: int, out_dim: int, *, hidden_dim: int = 512, hidden_layers: int = 2, shared_hidden: bool = False
    ) -> None:
        super().__init__()
        self.hidden_layers, self.shared_hidden = hidden_layers, shared_hidden
        self.first = nn.Linear(in_dim, hidden_dim)
        count = min(hidden_layers, 1) if shared_hidden else hidden_layers
        self.hidden = nn.ModuleList(nn.Linear(hidden_dim, hidden_dim) for _ in range(count))
        self.last = nn.Linear(hidden_dim, out_dim)

    def options(self) -> dict[str, object]:
        """Return the constructor's arguments except the widths in and out, ready for JSON."""
        return {
            "hidden_dim": self.first.out_features,
            "hidden_layers": self.hidden_layers,
            "shared_hidden": self.shared_hidden,
        }

    def rest(self, hidden: Tensor) -> Tensor:
        """From what `first` gave, [..., hidden_dim], to the embedding [..., out_dim]."""
        hidden = hidden.relu()
        for index in range(self.hidden_layers):
            hidden = self.hidden[0 if self.shared_hidden else index](hidden).relu()
        embedding: Tensor = self.last(hidden)
        return embedding

    def forward(self, features: Tensor) -> Tensor:
        """[..., in_dim] -> [..., out_dim]."""
        return self.rest(self.first(features))


class ResidualBlock(nn.Module):
    """x + ReLU(Linear(Dropout(ReLU(Linear x))))."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)
        self.outer = nn.Linear(dim, dim)

    def forward(self, hidden: Tensor) -> Tensor:
        """[..., dim] -> [..., dim]."""
        return hidden + torch.relu(self.outer(self.dropout(torch.relu(self.inner(hidden)))))


class FCNet(nn.Module):
    """Linear, ReLU, `residual_blocks` of them, then Linear without bias (Mac Aodha et al. 2019, arXiv 1906.05272).

    In the reference's checkpoints `first` is `feats.0`, `blocks.i.inner` and `.outer` are `feats.(i + 2).w1` and `.w2`,
    and `last` is `class_emb`.
    """

    name = "fcnet"

    def __init__(
        self, in_dim: int, out_dim: int, *, hidden_dim: int = 512, dropout: float = 0.5, residual_blocks: int = BLOCKS
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.first = nn.Linear(in_dim, hidden_dim)
        self.blocks = nn.Sequential(*(ResidualBlock(hidden_dim, dropout) for _ in range(residual_blocks)))
        self.last = nn.Linear(hidden_dim, out_dim, bias=False)

    def options(self) -> dict[str, object]:
        """Return the constructor's arguments except the widths in and out, ready for JSON."""
        blocks = {} if len(self.blocks) == BLOCKS else {"residual_blocks": len(self.blocks)}
        return {"hidden_dim": self.first.out_features, "dropout": self.dropout, **blocks}

    def rest(self, hidden: Tensor) -> Tensor:
        """From what `first` gave, [..., hidden_dim], to the embedding [..., out_dim]."""
        embedding: Tensor = self.last(self.blocks(hidden.relu()))
        return embedding

    def forward(self, features: Tensor) -> Tensor:
        """[..., in_dim] -> [..., out_dim]."""
        return self.rest(self.first(features))
