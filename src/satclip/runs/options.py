"""What Hydra must be taught before it can compose `conf/`.

`legendre_polys` is a config group whose options are whole numbers, which stock Hydra refuses, and dimensions that
follow from other choices are computed by resolvers instead of being written twice.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.errors import OverrideParseException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from satclip.runs import environment, lock, outcome

GROUP = "legendre_polys"
DEGREES = range(1, 101)
FILES = (10, 20, 40)  # conf/legendre_polys/*.yaml: Hydra warns where an option is both file and registered
PACKAGE = "le_type"


def register() -> None:
    """Offer every degree as an option, as if conf/legendre_polys held a hundred files, and add the resolvers."""
    store = ConfigStore.instance()
    for degree in sorted(set(DEGREES) - set(FILES)):
        store.store(group=GROUP, name=str(degree), node={GROUP: degree}, package=PACKAGE)
    OmegaConf.register_new_resolver("channels", len, replace=True)
    OmegaConf.register_new_resolver("started", environment.started, replace=True, use_cache=True)


def arguments(given: Sequence[str]) -> list[str]:
    """The command line as Hydra is to read it in this process: degrees quoted, one log file per rank.

    Raises:
        SystemExit: a degree is none, or torchrun was asked for a multirun.
    """
    quoted = quote_degrees(given)
    if not environment.external():
        return quoted
    if environment.under_torchrun() and {"-m", "--multirun"} & set(quoted):
        sys.exit(
            "error: torchrun starts one run; `python train.py -m ... trainer=ddp` starts the processes of each job"
        )
    rank = environment.rank()
    return quoted if rank == 0 else [*quoted, f"hydra.job.name=train_rank_{rank}", "hydra.output_subdir=null"]


def quote_degrees(arguments: Sequence[str]) -> list[str]:
    """Write `legendre_polys=10,20` as `legendre_polys='10','20'`, leaving every other argument alone.

    Hydra names options by string and refuses the integer that a bare 10 parses to. Quoting twice changes nothing,
    since processes that Lightning starts see the arguments again.

    Raises:
        SystemExit: a value is not a whole number from 1 to 100.
    """
    return [_quoted(argument) if argument.startswith(f"{GROUP}=") else argument for argument in arguments]


def compose(config_folder: Path, overrides: Sequence[str]) -> DictConfig:
    """The config that `python train.py OVERRIDES` would get, for notebooks, scripts and tests.

    The output folder is outputs/ in the current folder unless the overrides set `output_dir`.
    """
    register()
    with hydra.initialize_config_dir(str(config_folder.resolve()), version_base="1.3"):
        return hydra.compose("train", overrides=["output_dir=outputs", *quote_degrees(overrides)])


def _quoted(argument: str) -> str:
    try:
        override = OverridesParser.create().parse_override(argument)
    except OverrideParseException:
        return argument  # Hydra shows where it went wrong
    if override.is_sweep_override():
        values = list(override.sweep_string_iterator())
    else:
        values = [override.get_value_element_as_str()]
    names = [value.strip("'\"") for value in values]
    for name in names:
        if name not in map(str, DEGREES):
            sys.exit(f"{GROUP} takes a whole number from 1 to {DEGREES[-1]}, got {name}; for example {GROUP}=40")
    return f"{GROUP}=" + ",".join(f"'{name}'" for name in names)


class OwnFolder(Callback):
    """Stops before anything is loaded or written where the output folder cannot be had (a Hydra callback).

    It may be impossible to write, in use, or the folder of another run.
    """

    def on_run_start(self, config: DictConfig, **_: object) -> None:
        """Take the folder of a single run."""
        folder = Path(config.hydra.run.dir)
        _claim(folder, "hydra.run.dir")
        if environment.rank() > 0:
            return
        try:
            outcome.refuse_another(folder, config.ckpt_path)
        except FileExistsError as error:
            sys.exit(f"error: {error}")

    def on_multirun_start(self, config: DictConfig, **_: object) -> None:
        """Take the folder of a sweep."""
        _claim(Path(config.hydra.sweep.dir), "hydra.sweep.dir")

    def on_job_start(self, config: DictConfig, **_: object) -> None:
        """Take the folder of a sweep's job, which may outlive the sweep on another machine."""
        _claim(Path(config.hydra.runtime.output_dir), "hydra.sweep.dir")

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: object) -> None:
        """Give it back."""
        lock.release(Path(config.hydra.runtime.output_dir))


def _claim(folder: Path, option: str) -> None:
    if environment.rank() > 0:
        return  # rank 0 has done it
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.claim(folder)
    except BlockingIOError as error:
        sys.exit(f"error: {error}; {option}=FOLDER sets another")
    except OSError as error:
        sys.exit(f"error: cannot write to the output folder {folder} ({error.strerror}); {option}=FOLDER sets another")
