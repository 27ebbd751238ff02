"""The checkpoint of the best validation, which stays the best when its run is moved, copied, extended or branched."""

import logging
import pickle
import shutil
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor

from satclip import ranks
from satclip.files import atomic_file

log = logging.getLogger(__name__)


class BestCheckpoint(ModelCheckpoint):
    """Lightning's, whose paths are relative to its folder, and whose score is restored wherever that lies now.

    Where a run begins in a new folder with the checkpoint of another one, the best checkpoint beside that one is copied
    into the new folder. Lightning would forget the score and overwrite a better checkpoint by a worse one.
    """

    _loaded_from: Path | None = None
    _ahead: int | None = None  # the step of the best checkpoint, where that may come again

    @property
    def state_key(self) -> str:
        """As Lightning's, so that checkpoints that were made with that are understood."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__)

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note where the checkpoint lies, beside which the best one is."""
        self._loaded_from = Path(str(trainer.ckpt_path)).resolve().parent

    def state_dict(self) -> dict[str, Any]:
        """As Lightning's, with names instead of paths."""
        state = super().state_dict()
        for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
            state[name] = self._name(state[name], self.dirpath)
        state["best_k_models"] = {self._name(path, self.dirpath): score for path, score in self.best_k_models.items()}
        return {**state, "dirpath": "", "last_global_step_saved": self._last_global_step_saved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the scores of the checkpoints that are still there."""
        before = state_dict.get("dirpath")
        names = {self._name(path, before): score for path, score in state_dict.get("best_k_models", {}).items()}
        best, kth = (self._name(state_dict.get(key, ""), before) for key in ("best_model_path", "kth_best_model_path"))
        here = {path: noted for name, noted in names.items() if (path := self._fetched(name)) is not None}
        scores = {path: score for path, noted in here.items() if (score := self._score(path, noted)) is not None}
        self.current_score = state_dict.get("current_score")
        self._last_global_step_saved = int(state_dict.get("last_global_step_saved", 0))
        if best and str(self._here / best) not in scores:
            log.warning("%s is not beside the checkpoint, or damaged: the best of this run begins anew", best)
            return
        paths = {"best_model_path": best, "kth_best_model_path": kth}
        paths = {key: str(self._here / name) if name else "" for key, name in paths.items()}
        best_score = scores.get(paths["best_model_path"])
        restored = {"best_model_score": best_score, "best_k_models": scores, "kth_value": state_dict.get("kth_value")}
        if paths["kth_best_model_path"] in scores:
            restored["kth_value"] = scores[paths["kth_best_model_path"]]
        super().load_state_dict({**state_dict, **paths, **restored, "dirpath": self.dirpath, "last_model_path": ""})

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the best, and have W&B know `best/val/loss` so far: what its sweeps compare, and end poor runs by."""
        super().on_validation_end(trainer, pl_module)
        if self.best_model_score is not None and self.monitor is not None and not trainer.sanity_checking:
            for logger in trainer.loggers:
                if isinstance(logger, WandbLogger):
                    logger.log_metrics({f"best/{self.monitor}": float(self.best_model_score)}, trainer.global_step)

    def check_monitor_top_k(self, trainer: L.Trainer, current: Tensor | None = None) -> bool:
        """Whether a score is the best; the one that a run which was killed had saved already counts again."""
        again = trainer.global_step == self._ahead and current is not None and bool(current == self.best_model_score)
        return again or bool(super().check_monitor_top_k(trainer, current))

    @property
    def _here(self) -> Path:
        return Path(str(self.dirpath))

    def _name(self, path: str, folder: Any) -> str:
        """`path` from `folder` on; its last part where it lies elsewhere."""
        if folder and Path(path).is_relative_to(str(folder)):
            return str(Path(path).relative_to(str(folder)))
        return Path(path).name if Path(path).is_absolute() else path

    def _fetched(self, name: str) -> str | None:
        """A checkpoint in this folder, copied from beside the one that was loaded where that lies elsewhere."""
        target, source = self._here / name, (self._loaded_from or self._here) / name
        if source.resolve() != target.resolve() and source.exists() and ranks.rank() == 0:
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(target) as part:
                shutil.copyfile(source, part)
        ranks.total(0)  # the other ranks wait for the copy
        return str(target) if target.exists() else None

    def _score(self, path: str, noted: Tensor) -> Tensor | None:
        """What the checkpoint says of itself, since it may be newer than the one that was loaded; None if damaged."""
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError):
            return None
        self._ahead = int(saved["global_step"])
        own: Tensor | None = saved.get("callbacks", {}).get(self.state_key, {}).get("current_score")
        return noted if own is None else own.to(noted.device)
