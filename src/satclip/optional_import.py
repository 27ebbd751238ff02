"""What is not installed with the encoder: asked for by name where it is needed, done without where it only is speed."""

from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

# The extra of pyproject.toml that brings a module, where nobody nearer to it has said.
_EXTRAS = {
    "scipy": "evaluate",
    "sklearn": "evaluate",
    "threadpoolctl": "evaluate",
    "ray": "ray",
    "optuna": "sweep",
    "nbformat": "dev",
    "nbclient": "dev",
} | dict.fromkeys(
    ("lightning", "hydra", "omegaconf", "wandb", "timm", "torchgeo", "webdataset", "urllib3", "obstore", "PIL", "yaml"),
    "train",
)
_HOW = "pip install "


@lru_cache
def optional(name: str) -> ModuleType | None:
    """Import a module when it is first asked for; None where it does not work here.

    It may not be installed, or not for this numpy, or numba finds nowhere to keep what it compiles.
    """
    try:
        return import_module(name)
    except (ImportError, RuntimeError):
        return None


def require(extra: str, *modules: str) -> None:
    """Make sure that modules are installed, without importing them. A room asks so for what all of it needs.

    Raises:
        ModuleNotFoundError: one is not; says how to install the extra that brings it.
    """
    for module in modules:
        if find_spec(module) is None:
            raise ModuleNotFoundError(f"this needs {module}: {_HOW}'satclip[{extra}]'", name=module)


def remedy(error: ModuleNotFoundError) -> str | None:
    """One line that names what is missing and how to install it; None where a module of ours is missing, a defect."""
    missing = (error.name or "").split(".")[0]
    if _HOW in str(error):
        return str(error)
    if missing in ("", "satclip"):
        return None
    return f"this needs {missing}: {_HOW}'satclip[{_EXTRAS.get(missing, 'cli')}]'"
