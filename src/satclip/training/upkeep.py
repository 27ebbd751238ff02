"""What an encoding asks of a training beside gradients: bounds after each step, a schedule, weights left alone."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from lightning import Trainer
from torch.optim import Optimizer

from satclip.location.encoder import LocationEncoder


@runtime_checkable
class Settling(Protocol):
    """An encoding with weights that must be brought back into bounds.

    Attributes:
        settles_before: between gradients and step, as some published trainings do it, instead of right after the step.
    """

    settles_before: bool

    def settle(self) -> None:
        """Into bounds."""
        ...


@runtime_checkable
class Annealed(Protocol):
    """An encoding that changes over a training."""

    def anneal(self, progress: float) -> None:
        """Say how much of the training is behind, from 0 to 1."""
        ...


def settle_after(optimizer: Optimizer, encoder: LocationEncoder) -> None:
    """Have an encoding that settles after steps do so at every one of the optimiser, whoever takes it."""
    encoding: Any = encoder.encoding
    if isinstance(encoding, Settling) and not encoding.settles_before:
        optimizer.register_step_post_hook(lambda *_: encoding.settle())


def settle_before(encoder: LocationEncoder) -> None:
    """Have an encoding that settles before steps do so: for the time between gradients and step."""
    encoding: Any = encoder.encoding
    if isinstance(encoding, Settling) and encoding.settles_before:
        encoding.settle()


def anneal(encoder: LocationEncoder, trainer: Trainer) -> None:
    """Tell the encoding how much of the training lies behind: by epochs, the last of which is the end.

    A training that is bounded by steps alone goes by these; one without end stays at its beginning.
    """
    encoding: Any = encoder.encoding
    if not isinstance(encoding, Annealed):
        return
    if trainer.max_epochs is not None and trainer.max_epochs > 0:
        encoding.anneal(trainer.current_epoch / max(1, trainer.max_epochs - 1))
    elif trainer.max_steps > 0:
        encoding.anneal(trainer.global_step / trainer.max_steps)


def leave_unasked(encoder: LocationEncoder, asked: Sequence[str]) -> None:
    """Freeze weights that only auxiliary terms reach, where no loss asks for these: DDP waits for every gradient."""
    encoding: Any = encoder.encoding
    if set(asked) & set(getattr(encoding, "auxiliary", ())):
        return
    for name in getattr(encoding, "auxiliary_weights", ()):
        encoding.get_parameter(name).requires_grad_(False)
