"""Location encoders learned from satellite imagery.

Every public name is loaded when it is first asked for, so that `import satclip` costs no more than torch.
"""

TYPE_CHECKING = False  # not typing's, which costs time: the command imports this file before it sets signal handlers
if TYPE_CHECKING:
    from satclip.checkpoint import get_satclip, load_location_encoder
    from satclip.data.datamodule import S2DataModule
    from satclip.location.encoder import LocationEncoder
    from satclip.model import SatCLIP, TwoTowers
    from satclip.training.module import ContrastiveModule

__version__ = "0.1.0"
__all__ = [
    "ContrastiveModule",
    "LocationEncoder",
    "S2DataModule",
    "SatCLIP",
    "TwoTowers",
    "get_satclip",
    "load_location_encoder",
]

_HOMES = {
    "ContrastiveModule": "satclip.training.module",
    "LocationEncoder": "satclip.location.encoder",
    "S2DataModule": "satclip.data.datamodule",
    "SatCLIP": "satclip.model",
    "TwoTowers": "satclip.model",
    "get_satclip": "satclip.checkpoint",
    "load_location_encoder": "satclip.checkpoint",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'satclip' has no attribute {name!r}; public names: {', '.join(__all__)}")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "satclip":
            raise
        missing = f"satclip.{name} needs {error.name}: pip install 'satclip[train]'"
        raise ModuleNotFoundError(missing, name=error.name) from None


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
