"""The study of a sweep: where its trials are kept, and what a trial's own process tells it."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate

from satclip.better import higher_is_better, is_loss
from satclip.runs import run_folder
from satclip.runs.reports.scoring import CHANGES_THE_LOSS
from satclip.runs.sweeping import trial as trials
from satclip.training.callbacks.pruning import Pruning

if TYPE_CHECKING:
    from optuna.study import Study

log = logging.getLogger(__name__)
FILE = "study.db"  # in the folder of the sweep
WAIT = 60  # seconds in which another process that writes to the file must have done so
DIRECTIONS = {True: "maximize", False: "minimize"}


def directions_of(given: str | Sequence[str], metrics: Sequence[str]) -> list[str]:
    """For each objective, minimize or maximize: as given, or, for "auto", as the name of the figure tells.

    Raises:
        ValueError: there are not as many, one is none of the two, or contradicts the name of its figure.
    """
    asked = [given] * len(metrics) if isinstance(given, str) else list(given)
    if len(asked) != len(metrics):
        raise ValueError(f"hydra.sweeper.direction has {len(asked)} entries for {len(metrics)} of optimized_metric")
    found = []
    for name, direction in zip(metrics, asked, strict=True):
        higher = higher_is_better(name)
        if direction not in ("auto", *DIRECTIONS.values()) or (direction == "auto" and higher is None):
            raise ValueError(f"hydra.sweeper.direction takes minimize or maximize for {name}, got {direction}")
        if higher is not None and direction not in ("auto", DIRECTIONS[higher]):
            raise ValueError(f"{name} gets better the other way: give hydra.sweeper.direction={DIRECTIONS[higher]}")
        found.append(DIRECTIONS[bool(higher)] if direction == "auto" else direction)
    return found


def warn_of_losses(metrics: Sequence[str], varied: Sequence[str]) -> None:
    """Warn where an objective is a loss, and something varies that changes what losses mean."""
    culprit = next((name for name in varied if name.startswith(CHANGES_THE_LOSS)), None)
    for name in (each for each in metrics if culprit and is_loss(each)):
        log.warning(
            "losses are not comparable where %s differs, and %s is one; optimized_metric=best/probe/mean or "
            "best/val/image_to_location/top10 can be", culprit, name,
        )  # fmt: skip


def sign_of(prune_by: str, directions: Sequence[str]) -> int:
    """What the figure is to be multiplied by, so that it gets better as the objective does.

    Raises:
        ValueError: the name does not tell, or there are several objectives, among which nothing can be pruned.
    """
    if len(directions) > 1:
        raise ValueError("with several objectives no trial can be pruned; drop hydra.sweeper.prune_by or all but one")
    higher = higher_is_better(prune_by)
    if higher is None:
        raise ValueError(f"hydra.sweeper.prune_by={prune_by} does not tell which way is better; val/loss, .../r2 do")
    return 1 if DIRECTIONS[higher] == directions[0] else -1


def open_study(name: str, storage: str, directions: Sequence[str], pruner: Mapping[str, Any] | None) -> "Study":
    """The study of that name, begun where there is none.

    Raises:
        ValueError: it was begun with other directions.
    """
    import optuna

    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=connected(storage),
        study_name=name,
        directions=[optuna.study.StudyDirection[each.upper()] for each in directions],
        pruner=optuna.pruners.NopPruner() if pruner is None else instantiate(pruner),
        load_if_exists=True,
    )
    before = [each.name.lower() for each in study.directions]
    if before != list(directions):
        raise ValueError(f"the study {name} in {storage} was begun with direction {before}, not {list(directions)}")
    return study


def connected(storage: str) -> Any:
    """The storage behind a URL; a file waits for other writers instead of failing."""
    import optuna

    options = {"connect_args": {"timeout": WAIT}} if storage.startswith("sqlite") else {}
    return optuna.storages.RDBStorage(storage, engine_kwargs=options)


def pruning_in(folder: Path) -> Pruning | None:
    """The callback that reports to the study of the trial that `folder` is of; None where none waits for a report."""
    trial = trials.trial_of(folder)
    if trial is None or trial.prune_by is None:
        return None
    return Pruning(trial.prune_by, Reports(trial).unpromising)


class Reports:
    """What one trial tells its study. A storage that fails is warned of once, and the run continues unpruned."""

    def __init__(self, trial: trials.Trial) -> None:
        self.trial = trial
        self._open: Any = None
        self._failed = False

    def unpromising(self, figure: float, epoch: int) -> bool:
        """Report the figure of an epoch; whether the study has this trial pruned."""
        import optuna
        from sqlalchemy.exc import SQLAlchemyError

        if self._failed or not math.isfinite(figure):
            return False
        try:
            self._open = self._open or self._trial()
            if self._open is None:
                return False
            self._open.report(self.trial.sign * figure, step=epoch)
            return bool(self._open.should_prune())
        except (optuna.exceptions.OptunaError, SQLAlchemyError, OSError, KeyError) as error:
            log.warning(
                "the study cannot be told of this trial (%s); it continues unpruned", str(error).splitlines()[0]
            )
            self._failed = True
            return False

    def _trial(self) -> Any:
        import optuna

        pruner = optuna.pruners.NopPruner() if self.trial.pruner is None else instantiate(self.trial.pruner)
        study = optuna.load_study(study_name=self.trial.study, storage=connected(self.trial.storage), pruner=pruner)
        found = next((each for each in study.get_trials(deepcopy=False) if each.number == self.trial.number), None)
        if found is None or found.state.is_finished():  # resumed by hand, after its sweep
            self._failed = True
            return None
        return optuna.trial.Trial(study, found._trial_id)


def outcome(folder: Path, metrics: Sequence[str]) -> tuple[str, list[float], str]:
    """How the trial in `folder` has ended, by what lies there: COMPLETE and its objectives, PRUNED, or FAIL and why."""
    if trials.pruned(folder):
        return "PRUNED", [], ""
    figures = run_folder.metrics_of(folder)
    if figures is None:
        return "FAIL", [], f"no {run_folder.METRICS} in {folder}"
    values = [figures.get(name, math.nan) for name in metrics]
    if not all(map(math.isfinite, values)):
        wrong = [name for name, value in zip(metrics, values, strict=True) if not math.isfinite(value)]
        return (
            "FAIL",
            [],
            f"no finite figure {', '.join(wrong)} (optimized_metric); there are {', '.join(sorted(figures))}",
        )
    return "COMPLETE", values, ""
