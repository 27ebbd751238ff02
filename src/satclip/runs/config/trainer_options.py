"""The options of `lightning.Trainer` that this training has no use for, each with what to do instead.

Every other one works as Lightning says. One that could be given and did nothing would make the saved config a lie.
"""

from collections.abc import Mapping
from typing import Any

NONE = object()

# name: (the only values that mean nothing else than what happens anyway, what to do instead)
REFUSED: dict[str, tuple[tuple[Any, ...], str]] = {
    "logger": ((), "loggers are chosen by the group: logger=none, csv, wandb, tensorboard or many"),
    "callbacks": ((), "callbacks are chosen by the group: callbacks=default or none, +callbacks.NAME._target_=CLASS"),
    "plugins": ((), "precision and strategy have options of their own; checkpoints and batch norms are written here"),
    "fast_dev_run": (
        (False, 0),
        "it would switch off checkpoints and loggers; trainer=smoke is a short run with all of them",
    ),
    "barebones": (
        (False,),
        "it would switch off checkpoints, loggers and every callback; trainer=smoke is a short run",
    ),
    "overfit_batches": (
        (0, 0.0),
        "it needs another loader; trainer.limit_train_batches=N callbacks=none trains on N batches",
    ),
    "limit_test_batches": ((None,), "nothing is tested here: the report works on validation places"),
    "limit_predict_batches": ((None,), "nothing is predicted here; `satclip embed` does"),
    "use_distributed_sampler": ((False,), "the batches are dealt out to the ranks by the data module itself"),
    "sync_batchnorm": ((None,), "batch norms are those of all ranks already"),
    "reload_dataloaders_every_n_epochs": ((0,), "every epoch is drawn anew already"),
    "enable_autolog_hparams": ((), "the config is logged whole, by the run itself"),
    "model_registry": ((None,), "checkpoints are written to the run's folder alone"),
}
STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true", "ddp_find_unused_parameters_false")


def refused(trainer: Mapping[str, Any]) -> str | None:
    """The message for the first option that is given and would have no effect or a wrong one."""
    for name, (harmless, instead) in REFUSED.items():
        value = trainer.get(name, NONE)
        if value is not NONE and not any(value == each and type(value) is type(each) for each in harmless):
            return f"trainer.{name} has no place here: {instead}"
    if trainer.get("max_epochs") is None:
        return "trainer.max_epochs is what `epochs` sets; leave it, and give epochs=NUMBER"
    if (strategy := trainer.get("strategy", "auto")) not in STRATEGIES:
        return f"trainer.strategy takes {', '.join(STRATEGIES)}, got {strategy}: others divide the model or the loss"
    if trainer.get("gradient_clip_algorithm") is not None and trainer.get("gradient_clip_val") is None:
        return "trainer.gradient_clip_algorithm needs trainer.gradient_clip_val=NUMBER"
    return None
