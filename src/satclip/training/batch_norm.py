"""Batch norms that see the batch of all ranks, so that a run is the same on one device and on many."""

from typing import Any

from lightning.pytorch.plugins import TorchSyncBatchNorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from satclip import ranks


class GlobalBatchNorm(TorchSyncBatchNorm):
    """Converts a model's batch norms when it is spread over ranks (a Lightning plugin).

    On GPUs they become torch's `SyncBatchNorm`. That refuses a CPU, where they keep their kind and take their
    statistics over ranks.
    """

    def apply(self, model: nn.Module) -> nn.Module:
        """Convert, in place on a CPU."""
        if next(model.parameters()).device.type != "cpu":
            converted: nn.Module = super().apply(model)
            return converted
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.__class__ = _over_ranks(type(module))
        return model


class _OverRanks(_BatchNorm):
    """A batch norm whose mean and variance are those of all ranks' rows; gradients flow between ranks."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        if not self.training or ranks.world_size() == 1:
            return super().forward(input)
        axes = [axis for axis in range(input.ndim) if axis != 1]
        here = input.new_tensor(input.numel() // input.shape[1])
        count = ranks.total(here)
        # Two rounds instead of the mean of squares, which loses digits where the mean is large.
        mean = _sum_over_ranks(input.sum(axes)) / count
        centred = input - _along_channels(mean, input)
        variance = _sum_over_ranks(centred.square().sum(axes)) / count
        self._note(mean.detach(), variance.detach() * (count / (count - 1)))
        scale = (variance + self.eps).rsqrt()
        if self.weight is not None:
            scale = scale * self.weight
        normal = centred * _along_channels(scale, input)
        return normal if self.bias is None else normal + _along_channels(self.bias, input)

    def _note(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), momentum)


def _over_ranks(kind: type[Any]) -> type[Any]:
    return kind if issubclass(kind, _OverRanks) else type(kind.__name__, (_OverRanks, kind), {})


def _sum_over_ranks(channels: Tensor) -> Tensor:
    return ranks.gather(channels[None], [1] * ranks.world_size()).sum(0)


def _along_channels(values: Tensor, like: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (like.ndim - 2))
