"""From `python evaluate.py OPTIONS` to a benchmark: `satclip evaluate` with its tasks and protocol as config."""

import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig
from omegaconf.errors import MissingMandatoryValue

from satclip.errors import is_raised_on_purpose
from satclip.runs.config import composing
from satclip.runs.hydra_setup import ONLY_PRINTS

if TYPE_CHECKING:
    from satclip.downstream.benchmark.run import Benchmark

log = logging.getLogger(__name__)
EXAMPLES = {"model": "best.ckpt", "path": "labels.csv", "target": "temperature"}
LISTS = ("model", "rivals")
QUOTED = ("'", '"', "[")


def register() -> None:
    """Teach Hydra to say in one line what cannot be composed."""
    composing.register(training=False)


def arguments(given: Sequence[str]) -> list[str]:
    """The command line as Hydra is to read it: outside a multirun, commas make a list instead of a sweep.

    `model=a,b` becomes a list of two, and `task=a,b` two configs of the group beside each other.
    """
    if any(each.split("=")[0] in ONLY_PRINTS for each in given):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `--help | head` closes the output early, and that is no error
    multirun = [each for each in given if each in ("-m", "--multirun")]
    if multirun:  # in front, where argparse takes it whatever comes after
        return [*multirun, *(each for each in given if each not in multirun)]
    return [word for each in given for word in _plain(each)]


def main(config: DictConfig) -> float:
    """Run the benchmark that `config` describes, print its table and write its folder.

    Returns:
        The mean paired difference of the first model to its best rivals, NaN where there are none.

    Raises:
        SystemExit: with one line where it cannot be done; 130 where it was interrupted.
    """
    try:
        return _run(config)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted: no report beyond the files named above; vectors are kept, run it again.\n")
        sys.exit(128 + signal.SIGINT)
    except MissingMandatoryValue as error:
        told = str(error).splitlines()[0]
        name = told.rpartition(" ")[2]
        sys.exit(f"error: {told}; give {name}={EXAMPLES.get(name.rpartition('.')[2], '...')}")
    except (ValueError, OSError, ModuleNotFoundError, InstantiationException) as error:
        if isinstance(error, ValueError) and not is_raised_on_purpose(error):
            raise
        sys.exit(f"error: {composing.flat(str(error))}")


def tasks_of(node: DictConfig) -> list[tuple[str, Any]]:
    """The tasks of the node `task`: one, or several by name."""
    if "_target_" in node:
        return [(str(node["_target_"]).rpartition(".")[2], instantiate(node))]
    return [(str(name), instantiate(each)) for name, each in node.items()]


def _run(config: DictConfig) -> float:
    from satclip.downstream.benchmark import choose, coordbench_table, files
    from satclip.downstream.benchmark.rows import rows
    from satclip.downstream.benchmark.run import benchmark
    from satclip.downstream.benchmark.settings import COORDBENCH, Settings, words
    from satclip.downstream.benchmark.terminal import tell, tell_coordbench, watching
    from satclip.downstream.evaluate.vectors import VectorCache, cache_folder

    protocol = config.protocol
    settings = Settings(
        holdouts=words(protocol.holdouts),
        labels=words(protocol.labels),
        draws=protocol.draws,
        probe=config.probe,
        places=protocol.places,
        seed=config.seed,
        workers=config.workers,
    )
    folder = Path(config.output_dir)
    files.check_folder(folder)
    made = rows(_listed(config.model), _listed(config.rivals), quick=settings.few)
    chosen = choose.load(tasks_of(config.task))
    if settings.probe == COORDBENCH:
        with watching("CoordBench") as progress:
            lines = list(coordbench_table.coordbench_lines(made.rows, chosen.tasks, seed=settings.seed, watch=progress))
        if not lines:
            raise ValueError("; ".join(("nothing to score", *chosen.missing)))
        tell_coordbench(lines, (*chosen.missing, *made.missing))
        log.info("written: %s", coordbench_table.save_lines(lines, folder))
        return np.nan
    with watching("Benchmark") as progress:
        found = benchmark(made, chosen, settings, progress, cache=VectorCache(cache_folder()))
    tell(found)
    for path in files.save(found, folder):
        log.info("written: %s", path)
    if config.get("logger"):
        _log(config.logger, found)
    gains = [rival.interval.value for _, rival in found.gains(found.subjects[0]).values() if rival is not None]
    return float(np.nanmean(gains)) if gains else np.nan


def _log(nodes: DictConfig, found: "Benchmark") -> None:
    """The report in Weights & Biases, online or offline, as tables and images."""
    from satclip.training.loggers.wandb import closing_wandb
    from satclip.training.media import log_benchmark

    loggers = [logger for node in nodes.values() if (logger := instantiate(node)) is not None]
    with closing_wandb(loggers):
        log_benchmark(loggers, "benchmark", found)


def _listed(value: Any) -> tuple[str, ...]:
    """One word or several, from `a`, `a,b` or a list."""
    parts = value.split(",") if isinstance(value, str) else list(value)
    return tuple(str(part).strip() for part in parts if str(part).strip())


def _plain(option: str) -> Iterator[str]:
    key, equals, value = option.partition("=")
    if not equals or "," not in value or value.startswith(QUOTED):
        yield option
    elif key in LISTS:
        yield f"{key}=[{','.join(_quoted(part) for part in value.split(','))}]"
    elif key == "task":
        yield "~task"
        yield from (f"+task@task.{name}={name}" for part in dict.fromkeys(value.split(",")) if (name := part.strip()))
    else:
        yield option


def _quoted(part: str) -> str:
    return "'" + part.strip().replace("\\", "\\\\").replace("'", "\\'") + "'"
