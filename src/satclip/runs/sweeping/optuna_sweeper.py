"""`hydra/sweeper=optuna`: a multirun whose next job follows from the figures of those before it."""

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from satclip.optional_import import require
from satclip.runs.sweeping import space as spaces
from satclip.runs.sweeping import trial as trials

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial
    from optuna.trial import Trial as AskedTrial

log = logging.getLogger(__name__)
NAME = "hydra_plugins.satclip.OptunaSweeper"  # Hydra takes plugins of that package alone
DISTINCT = 1_000_003  # between the seeds of two sweeps, so that none has the draws of another's later trials
HOPELESS = 5  # trials that fail before one has ended well: what is wrong is in all of them
RESULTS = "optimization_results.yaml"
FOLDER, ERROR, OPTIONS = "folder", "error", "options"  # attributes of a trial


class OptunaSweeper(Sweeper):
    """Asks an Optuna study for each next trial, launches it as a job of the multirun, and tells the study its figures.

    The study lies in a file in the sweep's folder. A trial that fails is recorded, and the sweep continues; a sweep
    that was killed and is called again with its folder runs first the trials that had begun, then what is missing.

    Args:
        params: what varies, in Hydra's sweep syntax, by name; see `satclip.runs.sweeping.space`.
        n_trials: in the study, all calls together.
        n_jobs: trials that are asked for and launched together; side by side where the launcher can.
        direction: minimize, maximize, a list of these, or auto: as the name of the figure tells.
        study_name: in the storage; None for the name of the sweep's folder.
        storage: URL of a database; None for study.db in the sweep's folder.
        prune_by: the figure of each validation by which trials are ended early; None for never.
        sampler: config of an Optuna sampler. A `seed` draws the same trials however often the sweep is interrupted.
        pruner: config of an Optuna pruner.

    Raises:
        ValueError: a number is not positive.
    """

    def __init__(
        self,
        params: Mapping[str, Any],
        n_trials: int,
        n_jobs: int,
        direction: str | Sequence[str],
        study_name: str | None,
        storage: str | None,
        prune_by: str | None,
        sampler: Mapping[str, Any],
        pruner: Mapping[str, Any] | None,
    ) -> None:
        require("sweep", "optuna")
        for name, value in (("n_trials", n_trials), ("n_jobs", n_jobs)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"hydra.sweeper.{name} must be a whole number, 1 at least, got {value}")
        self.params, self.n_trials, self.n_jobs, self.direction = params, n_trials, n_jobs, direction
        self.study_name, self.storage, self.prune_by = study_name, storage, prune_by
        self.sampler, self.pruner = sampler, pruner
        self._done_well, self._failed, self._used_up = 0, 0, False  # in this call

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra gives."""
        self.hydra_context, self.config = hydra_context, config
        self.loader, self.composed = hydra_context.config_loader, config
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run trials until the study has `n_trials`.

        Raises:
            SystemExit: with one line where the sweep cannot be, or its first trials all fail.
        """
        try:
            self._sweep(arguments)
        except ValueError as error:
            sys.exit(f"error: {str(error).splitlines()[0]}")

    def _sweep(self, arguments: Sequence[str]) -> None:
        from satclip.runs.sweeping import study as studies

        self.fixed, space = spaces.split(self.params, arguments)
        self.folder = Path(self.composed.hydra.sweep.dir)
        self.folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.composed, self.folder / "multirun.yaml")
        self.metrics = _listed(self.composed.optimized_metric)
        directions = studies.directions_of(self.direction, self.metrics)
        studies.warn_of_losses(self.metrics, list(space))
        self.sign = 1 if self.prune_by is None else studies.sign_of(self.prune_by, directions)
        self.url = self.storage or f"sqlite:///{self.folder.absolute() / studies.FILE}"
        name = self.study_name or self.folder.name
        self.study = studies.open_study(name, self.url, directions, self.pruner)
        log.info("study %s in %s: %d of %d trials are there", name, self.url, len(self.study.trials), self.n_trials)
        self._run({each.number: each.user_attrs[OPTIONS] for each in self._interrupted()})
        while not self._used_up and (missing := self.n_trials - len(self.study.get_trials(deepcopy=False))) > 0:
            asked = [self._ask(space) for _ in range(min(self.n_jobs, missing))]
            self._run({each.number: each.user_attrs[OPTIONS] for each in asked})
        self._tell_results()

    def _interrupted(self) -> "list[FrozenTrial]":
        """The trials that had begun in this folder, and whose driver was stopped."""
        mine = str(self.folder.absolute())
        running = [each for each in self.study.trials if not each.state.is_finished()]
        return [each for each in running if each.user_attrs.get(FOLDER) == mine and OPTIONS in each.user_attrs]

    def _ask(self, space: spaces.Space) -> "AskedTrial":
        """The next trial. Its sampler is seeded by its number, so that an interruption changes no draw."""
        options = dict(self.sampler)
        if options.get("seed") is not None:
            options["seed"] = (int(options["seed"]) * DISTINCT + len(self.study.get_trials(deepcopy=False))) % 2**32
        self.study.sampler = instantiate(options)
        trial = self.study.ask(space)
        trial.set_user_attr(FOLDER, str(self.folder.absolute()))
        trial.set_user_attr(OPTIONS, [*self.fixed, *spaces.overrides(trial.params)])
        return trial

    def _run(self, options: Mapping[int, Sequence[str]]) -> None:
        """Launch trials, by number, and tell the study how each has ended."""
        ready: dict[int, Path] = {}
        for number, given in options.items():
            try:
                ready[number] = self._prepared(number, given)
            except SystemExit as error:  # this combination cannot be; another one may
                self._tell(number, None, str(error))
        for numbers in _consecutive(sorted(ready)):
            said = self._launch(numbers, [options[number] for number in numbers])
            for number, words in zip(numbers, said, strict=True):
                self._tell(number, ready[number], words)

    def _prepared(self, number: int, options: Sequence[str]) -> Path:
        """Compose and check a trial's job; its folder, which says whose it is."""
        config = self.loader.load_sweep_config(self.composed, list(options))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        before = HydraConfig.instance().cfg
        HydraConfig.instance().set_config(config)
        try:
            folder = Path(self.folder, str(OmegaConf.select(config, "hydra.sweep.subdir"))).absolute()
        finally:
            HydraConfig.instance().cfg = before
        trials.Trial(self.url, self.study.study_name, number, self.prune_by, self.sign, self.pruner).write(folder)
        return folder

    def _launch(self, numbers: Sequence[int], options: Sequence[Sequence[str]]) -> list[str]:
        """Run jobs side by side or one after the other; what each says of its end."""
        try:
            done = self.launcher.launch([list(each) for each in options], initial_job_idx=numbers[0])
        except Exception as error:  # a launcher's own, of any kind; the trials that ended well have left their figures
            return [f"{type(error).__name__}: {error}"] * len(numbers)
        return [_words(each) for each in done]

    def _tell(self, number: int, folder: Path | None, words: str) -> None:
        from optuna.trial import TrialState

        from satclip.runs.sweeping.study import outcome

        state, values, why = ("FAIL", [], words) if folder is None else outcome(folder, self.metrics)
        if state == "COMPLETE":
            self._end(number, values=values)
            log.info("trial %d: %s", number, dict(zip(self.metrics, values, strict=True)))
            self._done_well += 1
            return
        if state == "FAIL":
            reason = words or why
            stored = next(each for each in self.study.trials if each.number == number)
            self.study._storage.set_trial_user_attr(stored._trial_id, ERROR, reason)
            log.error("trial %d has failed and is recorded as such: %s", number, reason)
            self._failed += 1
        else:
            log.info("trial %d was pruned", number)
            self._done_well += 1
        self._end(number, state=TrialState[state])
        if self._failed >= HOPELESS and not self._done_well:
            raise ValueError(f"the first {HOPELESS} trials have all failed, the last with: {words or why}")

    def _end(self, number: int, **how: Any) -> None:
        try:
            self.study.tell(number, **how)
        except (
            RuntimeError
        ):  # a sampler that has tried all there is calls study.stop, which Optuna's own loop alone has
            self._used_up = True

    def _tell_results(self) -> None:
        """Say and write which trial was the best, under the names that hydra-optuna-sweeper's users know."""
        states = [each.state.name.lower() for each in self.study.trials]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        best = self.study.best_trials
        log.info("%d trials: %s", len(states), counts)
        for each in best:
            figures = ", ".join(f"{name} {value:.5g}" for name, value in zip(self.metrics, each.values, strict=True))
            log.info("best: trial %d, %s: %s", each.number, figures, " ".join(each.user_attrs[OPTIONS]))
        several = len(self.metrics) > 1
        found: dict[str, Any] = {"name": "optuna"}
        if several:
            found["solutions"] = [{"params": each.params, "values": list(each.values)} for each in best]
        elif best:
            found |= {"best_evaluated_params": best[0].params, "best_evaluated_value": best[0].values[0]}
        (self.folder / RESULTS).write_text(yaml.safe_dump(found))


def register() -> None:
    """Teach Hydra the sweeper, under a name that it takes for a plugin's."""
    Plugins.instance().register(OptunaSweeper)
    Plugins.instance().class_name_to_class[NAME] = OptunaSweeper


def _listed(names: Any) -> list[str]:
    if names is None:
        raise ValueError("optimized_metric is null, and a sweep that optimises needs one; give best/val/loss")
    return [names] if isinstance(names, str) else [str(each) for each in names]


def _consecutive(numbers: Sequence[int]) -> list[list[int]]:
    """Runs of neighbouring numbers, which is how launchers count."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


def _words(job: JobReturn) -> str:
    if job.status is not JobStatus.FAILED:
        return ""
    error = job._return_value
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
