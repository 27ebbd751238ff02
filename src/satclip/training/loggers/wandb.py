"""A Weights & Biases logger that never prompts, blocks or stops the run."""

import logging
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import Logger, WandbLogger

from satclip import launch_environment
from satclip.better import higher_is_better

log = logging.getLogger(__name__)
PATIENCE = 8.0  # seconds in which the server must have begun the run; WANDB_INIT_TIMEOUT gives it another time
# Of these W&B's summary has the best value beside the last.
SUMMED_UP = (
    "val/loss", "train/loss", "probe/elevation/r2", "probe/climate_zone/accuracy",
    *(f"val/image_to_location/{figure}" for figure in ("top1", "top10", "median_km")),
    *(f"val/location_to_image/{figure}" for figure in ("top1", "top10", "median_km")),
)  # fmt: skip
RUN_ID = "run-id"  # file in the W&B folder


class TolerantWandbLogger(WandbLogger):
    """Lightning's; a W&B that fails in mid-run is logged as a warning, and the run continues."""

    _failed = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._wandb_init.pop("anonymous", None)  # Lightning 2.6 hands on what wandb 0.31 warns of

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log, unless W&B has failed before."""
        with self.tolerance():
            if not self._failed:
                super().log_metrics(metrics, step)

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Put facts about the run (commit, data) beside its options, unless W&B has failed before."""
        with self.tolerance():
            if not self._failed and launch_environment.rank() == 0:
                self.experiment.config.update(dict(facts), allow_val_change=True)

    def keep_model(self, checkpoint: Path, data: str, facts: Mapping[str, Any]) -> None:
        """Keep a checkpoint as an artifact that names the data it comes from.

        Online the data is an artifact as well, without its bytes, and the run is between the two. Offline, W&B can use
        none: the model's metadata says which data it was.
        """
        with self.tolerance():
            if self._failed or launch_environment.rank() > 0:
                return
            run = self.experiment
            if not run.offline:
                run.use_artifact(wandb.Artifact(f"data-{data}", type="dataset", metadata=dict(facts)))
            model = wandb.Artifact(f"model-{run.id}", type="model", metadata={"data": f"data-{data}", **facts})
            model.add_file(str(checkpoint))
            run.log_artifact(model)

    def log_hyperparams(self, params: Any) -> None:
        """Log, unless W&B has failed before."""
        with self.tolerance():
            if not self._failed:
                super().log_hyperparams(params)

    @contextmanager
    def tolerance(self) -> Iterator[None]:
        """Whatever W&B raises in the block is logged, once."""
        try:
            yield
        except Exception as error:
            if not self._failed:
                log.warning("W&B has failed (%s: %s); training continues without it", type(error).__name__, error)
            self._failed = True


def wandb_logger(*, save_dir: str, offline: bool | str = "auto", **options: Any) -> WandbLogger | None:
    """A W&B logger that is online where it can be and offline everywhere else, and says which.

    A run that is resumed in its folder is resumed in W&B. None where W&B is disabled, or, with a warning, where it
    cannot write.

    Args:
        save_dir: folder that takes the run's files; made if missing.
        offline: true, false, or "auto": online where W&B finds a key and its server begins the run within seconds.
        options: handed to `lightning.pytorch.loggers.WandbLogger`.

    Raises:
        ValueError: `offline` is none of the three.
    """
    if offline not in (True, False, "auto"):
        raise ValueError(f"logger.wandb.offline takes auto, true or false, got {offline!r}")
    os.environ.setdefault("WANDB_SILENT", "true")  # its banner would tear the progress bar
    if _mode() == "disabled":
        log.info("W&B is disabled; nothing is logged to it")
        return None
    reason = _why_offline() if offline == "auto" else "logger.wandb.offline=true" if offline else None
    settings = wandb.Settings() if "WANDB_INIT_TIMEOUT" in os.environ else wandb.Settings(init_timeout=PATIENCE)
    options = {"save_dir": save_dir, "settings": settings, "job_type": "train", **options}
    try:
        if not reason:
            try:
                return _begun(mode="online", **_identity(save_dir), **options)
            except (wandb.errors.Error, OSError) as error:
                if offline is False:
                    raise
                reason = str(error).splitlines()[0]
                forget_wandb_run(save_dir)  # the number of a run that failed to begin stays in use
        # The mode is said to wandb.init itself: it reads WANDB_MODE, which Lightning sets, only once in a process.
        logger = _begun(mode="offline", **_identity(save_dir), **options)
    except (wandb.errors.Error, OSError) as error:
        log.warning("W&B cannot begin a run in %s (%s); training continues without it", save_dir, error)
        return None
    log.info("W&B runs offline (%s); the run lies in %s, `wandb sync` uploads it", reason, Path(save_dir, "wandb"))
    return logger


def forget_wandb_run(save_dir: str | Path) -> None:
    """Have the next run in this folder begin a W&B run of its own."""
    with suppress(FileNotFoundError, NotADirectoryError):
        Path(save_dir, "wandb", RUN_ID).unlink()


@contextmanager
def closing_wandb(loggers: Sequence[Logger]) -> Iterator[None]:
    """End the W&B run with the block, as finished or as failed; else the next job of a sweep would append to it."""
    code = 1
    try:
        yield
        code = 0
    finally:
        for logger in loggers:
            if isinstance(logger, TolerantWandbLogger):
                with logger.tolerance():
                    logger.experiment.finish(exit_code=code)


def _begun(**options: Any) -> TolerantWandbLogger:
    """A logger whose W&B run has begun, which Lightning would put off to where it can no longer be helped."""
    logger = TolerantWandbLogger(**options)
    run = logger.experiment
    if launch_environment.rank() == 0:
        for name in SUMMED_UP:
            way = "max" if higher_is_better(name) else "min"
            run.define_metric(name, step_metric="trainer/global_step", summary=f"{way},last")
    return logger


def _identity(save_dir: str) -> dict[str, str]:
    """The W&B run of this folder, made up where it has none; nothing where a W&B sweep has given one.

    Raises:
        OSError: the folder cannot be written.
    """
    if launch_environment.rank() > 0:
        return {}
    folder = Path(save_dir, "wandb")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass
    if "WANDB_RUN_ID" in os.environ or "WANDB_SWEEP_ID" in os.environ:
        return {}
    file = folder / RUN_ID
    if not file.exists():
        file.write_text(secrets.token_hex(4))
    return {"id": file.read_text()}


def _mode() -> str:
    """What W&B was told to be, by the environment or by `wandb offline` and `wandb disabled`; "online" by default."""
    mode = wandb.setup().settings.mode
    return "offline" if mode == "dryrun" else str(mode)


def _why_offline() -> str | None:
    """Why a run cannot be online, or None where W&B itself would try: nothing is sent yet.

    The key may lie in the environment, in a netrc or in a settings file, and the server be one of your own behind a
    proxy: only W&B knows all of that.
    """
    if _mode() == "offline":
        return f"WANDB_MODE={os.environ['WANDB_MODE']}" if "WANDB_MODE" in os.environ else "`wandb offline`"
    try:
        has_key = wandb.login(prompt=False, verify=False)
    except wandb.errors.Error as error:
        return str(error).splitlines()[0]
    return None if has_key else "no API key; `wandb login` stores one"
