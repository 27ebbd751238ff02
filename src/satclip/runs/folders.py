"""The folder of a run: chosen, locked and released by a Hydra callback."""

import atexit
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from satclip import launch_environment
from satclip.runs import lock, run_folder

OF_THE_TIME = re.compile(r"\$\{(started|now):")  # in a folder's name: the user did not choose this very one
MOST = 1000  # runs of one name that begin in one second
# What is written before a training begins, in a run's folder or in those of a sweep's jobs.
OF_NO_VALUE = re.compile(
    r"(.*/)?(\.hydra/.*|[^/]*\.log|\.running[^/]*|multirun\.yaml|job\.json|trial\.json|study\.db|hparams\.yaml"
    r"|config\.yaml|provenance\.json|uncommitted[^/]*\.diff|failed\.json)"
)

_kept = False
_new_by_time: set[Path] = set()


def keep() -> None:
    """Keep the folder although no run began in it: its log may explain the failure."""
    global _kept
    _kept = True


class OwnFolder(Callback):
    """Stops before anything is loaded or written where options or folder are invalid (a Hydra callback).

    A folder that is named by its time is new: of several runs that begin in the same second each gets its own, with a
    number at the end. One that was given may be impossible to write, in use, or the folder of another run. What a run
    that could not begin has left in a new folder is removed.
    """

    def __reduce__(self) -> tuple[Callable[[], "OwnFolder"], tuple[()]]:
        """Teach Hydra in the process that a launcher sends this to: it unpickles it before it composes the job."""
        return _arrived, ()

    def on_run_start(self, config: DictConfig, **_: object) -> None:
        """Check the options and take the folder of a single run."""
        with _in_one_line("hydra.run.dir"):
            if launch_environment.rank() == 0:
                from satclip.runs.config import checks  # takes seconds: only where a run begins

                checks.check(config)
            elif not launch_environment.under_torchrun():
                return  # rank 0 has done it, and said where
            folder = _choose(config, "run")
            if launch_environment.rank() == 0:
                run_folder.refuse_another(folder, config.ckpt_path)

    def on_multirun_start(self, config: DictConfig, **_: object) -> None:
        """Take the folder of a sweep."""
        with _in_one_line("hydra.sweep.dir"):
            _choose(config, "sweep")

    def on_job_start(self, config: DictConfig, **_: object) -> None:
        """Take the folder of a sweep's job, which may outlive the sweep on another machine."""
        if launch_environment.rank() == 0:
            with _in_one_line("hydra.sweep.dir"):
                _claim(Path(config.hydra.runtime.output_dir))

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: object) -> None:
        """Give it back."""
        lock.release(Path(config.hydra.runtime.output_dir))


def hint(folder: Path) -> str:
    """Which earlier run of this name could be resumed, where `folder` is new only because none was given."""
    if folder.absolute() not in _new_by_time:
        return ""
    others = {path.parent.parent for path in folder.parent.glob("*/checkpoints/*.ckpt")} - {folder}
    if not others:
        return " (hydra.run.dir=FOLDER with ckpt_path=auto resumes the one in FOLDER)"
    newest = max(others, key=lambda each: (each.stat().st_mtime, each.name))
    return f"; the newest of this name is resumed by `satclip resume {newest}`"


def _arrived() -> OwnFolder:
    from satclip.runs import hydra_setup

    hydra_setup.register()
    return OwnFolder()


@contextmanager
def _in_one_line(option: str) -> Iterator[None]:
    """Exit with the message of an error; Hydra would log what a callback raises as a warning and continue."""
    try:
        yield
    except BlockingIOError as error:
        sys.exit(f"error: {error}; {option}=FOLDER sets another")
    except (FileExistsError, ValueError, OmegaConfBaseException) as error:
        sys.exit(f"error: {str(error).splitlines()[0]}")
    except OSError as error:
        place = f"{error.filename} ({error.strerror})" if error.filename else str(error)
        sys.exit(f"error: cannot write to the output folder {place}; {option}=FOLDER sets another")


def _choose(config: DictConfig, mode: str) -> Path:
    """The folder of this run or sweep, taken; the config is told where it is another than it says."""
    _refuse_way_out(str(config.get("name", "")))
    node = config.hydra[mode]
    wanted, named = Path(node.dir), OmegaConf.to_container(node, resolve=False)
    of_the_time = OF_THE_TIME.search(str(named["dir"] if isinstance(named, dict) else ""))
    if launch_environment.under_srun() or not of_the_time:  # srun's tasks cannot tell each other of another folder
        if launch_environment.rank() == 0:
            existed = wanted.exists()
            _claim(wanted)
            if not existed:
                atexit.register(_remove_if_worthless, wanted)
        return wanted
    folder = _new(wanted) if launch_environment.rank() == 0 else wanted
    folder = Path(launch_environment.agreed("folder", str(folder)))
    if mode == "run":
        _new_by_time.add(folder.absolute())
    with read_write(config.hydra), open_dict(config.hydra):
        node.dir = str(folder)
        if mode == "sweep":  # each job is composed anew
            config.hydra.overrides.hydra.append(f'hydra.sweep.dir="{folder}"')
    return folder


def _refuse_way_out(name: str) -> None:
    """Refuse the name of a run that leads out of `outputs/`.

    Raises:
        ValueError: it is an absolute path, or has `..` in it.
    """
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(
            f"name={name} leads out of outputs/NAME; give a name without .. and a leading slash, "
            "or hydra.run.dir=FOLDER (hydra.sweep.dir for a sweep) to write elsewhere"
        )


def _new(wanted: Path) -> Path:
    """A folder of that name, or of the next free number behind it, made and taken: making one cannot happen twice."""
    wanted.parent.mkdir(parents=True, exist_ok=True)
    for number in range(1, MOST):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}_{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        _claim(folder)
        atexit.register(_remove_if_worthless, folder)
        return folder
    raise FileExistsError(f"there are {MOST} folders {wanted}_* already; choose another by hydra.run.dir=FOLDER")


def _claim(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lock.claim(folder)


def _remove_if_worthless(folder: Path) -> None:
    """Remove a new folder in which no run has begun, and what it lies in where that is left empty."""
    lock.release(folder)
    found = [path for path in folder.rglob("*") if not path.is_dir()]
    if _kept or not all(OF_NO_VALUE.fullmatch(str(path.relative_to(folder))) for path in found):
        return
    shutil.rmtree(folder, ignore_errors=True)
    for parent in folder.absolute().parents[:2]:  # outputs/NAME and outputs
        if parent == Path.cwd() or not parent.is_dir() or any(parent.iterdir()):
            return
        parent.rmdir()
