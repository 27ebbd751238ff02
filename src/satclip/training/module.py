"""The training step: two towers, one loss, and what is logged of them."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from satclip import __version__, ranks
from satclip.location.encoder import LocationEncoder
from satclip.loss.nested import prefixes_of
from satclip.model import TwoTowers
from satclip.retrieval import retrieval_metrics
from satclip.training.changes import report_changes
from satclip.training.loss_inputs import LossInputs, Seen
from satclip.training.optim import names_in, with_new_options
from satclip.training.upkeep import anneal, leave_unasked, settle_after, settle_before
from satclip.weights import mismatches

CHECKPOINT_FORMAT = 1


class ContrastiveModule(L.LightningModule):
    """Trains a location encoder and an image tower until a place and its picture agree.

    Args:
        location_encoder: (longitude, latitude) [B, 2] -> [B, D].
        vision: reflectance [B, C, H, W] -> [B, D].
        loss: (image [B, D], location [B, D], logit_scale) -> scalar, over the batch of all ranks, or a mapping of named
            scalars whose sum is the loss and each of which is logged; given by name what else its `inputs` ask for (see
            `satclip.loss.inputs`). Where its `sees_images` is false the image tower does not learn.
        optimizer: makes the optimiser from this module.
        scheduler: makes the schedule from the optimiser and `total_steps`; stepped after every optimiser step.
        temperature: where the temperature starts.
        learn_temperature: false keeps it there.
        cached_batches: in how many parts the training step sends a batch through the towers (see
            `satclip.training.gradcache`); the loss always sees the whole.
        seed: dropout draws follow from it, the epoch, the batch and the rank, so that a resumed run repeats them.
        retrieval_places: validation places among which the logged retrieval searches.

    Raises:
        ValueError: `cached_batches` is below 1, or the loss asks for what the towers do not have.
    """

    def __init__(
        self,
        location_encoder: LocationEncoder,
        vision: nn.Module,
        loss: nn.Module,
        optimizer: Callable[[nn.Module], Optimizer],
        scheduler: Callable[..., LRScheduler] | None = None,
        *,
        temperature: float = 0.07,
        learn_temperature: bool = True,
        cached_batches: int = 1,
        seed: int = 0,
        retrieval_places: int = 2000,
    ) -> None:
        super().__init__()
        self.model = TwoTowers(vision, location_encoder, temperature=temperature)
        self.model.logit_scale.requires_grad_(learn_temperature)
        self.loss = loss
        location_encoder.nested = prefixes_of(loss)
        if cached_batches < 1:
            raise ValueError(f"cached_batches must be at least 1, got {cached_batches}")
        self.cached_batches = cached_batches
        self._inputs = LossInputs(self.model, loss)
        if not self._inputs.sees_images:  # nothing would reach them, and DDP waits for every gradient
            self.model.vision.requires_grad_(False)
            self.model.logit_scale.requires_grad_(False)
        leave_unasked(location_encoder, self._inputs.auxiliary)
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.seed = seed
        self.retrieval_places = retrieval_places
        self.recipe: Mapping[str, Any] = {}  # the resolved config, kept in every checkpoint
        self._learned: list[str] | None = None  # names, in the order of the optimiser's state
        self._seen: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def forward(self, images: Tensor, lonlat: Tensor) -> tuple[Tensor, Tensor]:
        """Logits per image and per location, [B, B] each."""
        logits: tuple[Tensor, Tensor] = self.model(images, lonlat)
        return logits

    def compile_towers(self) -> None:
        """Have both towers compiled where they are first called; the names of their weights stay as they are."""
        self.model.vision.compile()
        self.model.location_encoder.compile()
        self._inputs.compile()

    def on_train_epoch_start(self) -> None:
        """Tell an encoding that changes over a training how much of it lies behind."""
        anneal(self.model.location_encoder, self.trainer)

    def on_train_batch_start(self, batch: Mapping[str, Tensor], batch_idx: int) -> None:
        """Seed the draws of this step, so that they depend on nothing that came before."""
        entropy = np.random.SeedSequence([self.seed, self.current_epoch, batch_idx, self.global_rank])
        torch.manual_seed(int(entropy.generate_state(1)[0]))

    def training_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> Tensor:
        """The contrastive loss of one batch."""
        terms = self._terms(self._inputs(batch, self.cached_batches))
        loss, count = sum_of(terms), len(batch["id"]) * ranks.world_size()
        self.log("train/loss", loss, prog_bar=True, batch_size=count)  # the same on every rank
        self._log_parts("train", terms, batch_size=count)
        self.log("train/temperature", torch.exp(-self.model.logit_scale.detach()), batch_size=count)
        self.log("train/learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"], batch_size=count)
        return loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Bring an encoding into bounds that wants it before a step."""
        settle_before(self.model.location_encoder)

    def validation_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> Tensor:
        """The loss of one batch; its embeddings are put by for retrieval."""
        seen = self._inputs(batch, images=True)
        terms = self._terms(seen)
        images, locations = seen.images, seen.locations
        assert images is not None
        loss, count = sum_of(terms), int(ranks.total(len(images)))
        self.log("val/loss", loss, prog_bar=True, on_epoch=True, batch_size=count)
        self._log_parts("val", terms, on_epoch=True, batch_size=count)
        self._seen.append((batch["id"], batch["lonlat"], images.float(), locations.float()))
        return loss

    def _terms(self, seen: Seen) -> Mapping[str, Tensor]:
        """The loss, or the terms that it is the sum of."""
        found = self.loss(seen.images, seen.locations, self.model.logit_scale, **seen.asked)
        return found if isinstance(found, Mapping) else {"": found}

    def _log_parts(self, stage: str, terms: Mapping[str, Tensor], **options: Any) -> None:
        for name, term in terms.items():
            if name:
                self.log(f"{stage}/loss/{name}", term.detach(), **options)

    def on_validation_epoch_end(self) -> None:
        """Retrieval among the first `retrieval_places` validation places, counted by id over all ranks."""
        columns = [ranks.gather(torch.cat(column)) for column in zip(*self._seen, strict=True)]
        self._seen.clear()
        order = columns[0].argsort()[: self.retrieval_places]
        _, lonlat, images, locations = (column[order] for column in columns)
        for name, value in retrieval_metrics(images, locations, lonlat).items():
            self.log(f"val/{name}", value, prog_bar=name == "image_to_location/top10", batch_size=1)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser over everything that learns, its schedule in optimiser steps."""
        optimizer = self.optimizer(self)
        self._learned = names_in(optimizer, self)
        settle_after(optimizer, self.model.location_encoder)
        if self.scheduler is None:
            return optimizer
        steps = self.trainer.estimated_stepping_batches
        schedule = self.scheduler(optimizer, total_steps=int(steps) if math.isfinite(steps) else None)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what it takes to build the towers again without Hydra."""
        checkpoint["satclip"] = {
            "format": CHECKPOINT_FORMAT,
            "version": __version__,
            "location_encoder": self.model.location_encoder.config(),
            "learned": self._learned,
            **self.recipe,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another architecture before anything of it is loaded; take the options given now.

        Raises:
            ValueError: names the weights that are missing, unknown or of another shape, or the optimiser's state cannot
                be told apart.
        """
        differences = mismatches(self.state_dict(), checkpoint["state_dict"])
        if differences:
            shown = "\n  ".join(sorted(differences)[:10])
            raise ValueError(
                f"the checkpoint is of another architecture ({len(differences)} weights differ):\n  {shown}\n"
                "give the options it was trained with (they lie in .hydra/overrides.yaml beside it), or drop ckpt_path"
            )
        then, now = checkpoint.get("satclip", {}).get("config"), self.recipe.get("config")
        if then and now and self.trainer.is_global_zero:
            report_changes(then, now)
        if checkpoint.get("optimizer_states"):
            (saved,) = checkpoint["optimizer_states"]
            optimizer = self.optimizer(self)
            then = checkpoint.get("satclip", {}).get("learned")
            checkpoint["optimizer_states"] = [with_new_options(saved, then, optimizer, names_in(optimizer, self))]


def sum_of(terms: Mapping[str, Tensor]) -> Tensor:
    """The sum of the terms of a loss."""
    return torch.stack([*terms.values()]).sum() if len(terms) > 1 else next(iter(terms.values()))
