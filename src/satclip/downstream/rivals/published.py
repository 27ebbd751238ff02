"""Encoders of other authors by their name: which file they publish, where it lies, what options there are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from satclip.checkpoint.sources import fetched
from satclip.downstream.contract import Places
from satclip.downstream.rivals.climplicit import climplicit
from satclip.downstream.rivals.csp import csp
from satclip.downstream.rivals.geoclip import geoclip, taxabind
from satclip.downstream.rivals.gps2vec import GPS2Vec
from satclip.downstream.rivals.mind import mind
from satclip.downstream.rivals.sinr import sinr
from satclip.downstream.rivals.torchspatial import torchspatial
from satclip.downstream.rivals.tte import tte


@dataclass(frozen=True)
class Published:
    """One author's encoder.

    Attributes:
        load: the file of weights (a folder for GPS2Vec) and the options -> the encoder.
        home: where the file is to be had.
        hub: repository and file on the Hugging Face hub, where it lies there.
        options: those that `load` takes, and their types.
    """

    load: Callable[..., Places]
    home: str
    hub: tuple[str, str] | None = None
    options: Mapping[str, type] | None = None


PUBLISHED: dict[str, Published] = {
    "geoclip": Published(geoclip, "pip install --no-deps geoclip"),
    "taxabind": Published(taxabind, "LocationBind/location_encoder_weights.pth of github.com/mvrl/TaxaBind"),
    "torchspatial": Published(torchspatial, "pre_trained_models of github.com/seai-lab/TorchSpatial"),
    "csp": Published(csp, "model_dir.zip, linked from github.com/gengchenmai/csp"),
    "gps2vec": Published(GPS2Vec, "models_visual.zip or models_tag.zip, linked from github.com/yifangyin/GPS2Vec"),
    "tte": Published(tte, "the hub's MVRL/TTE", ("MVRL/TTE", "model.safetensors")),
    "sinr": Published(sinr, "pretrained_models.zip of data.caltech.edu/records/dk5g7-rhq64"),
    "climplicit": Published(
        climplicit, "the hub's Jobedo/climplicit", ("Jobedo/climplicit", "model.safetensors"), {"month": int}
    ),
    "mind": Published(
        mind, "the hub's taylor-geospatial/MIND", ("taylor-geospatial/MIND", "mind.safetensors"), {"dim": int}
    ),
}


def published(kind: str, path: str, options: Mapping[str, Any], *, name: str) -> Places:
    """The encoder that `kind` names, from the file at `path`, from the hub or from its wheel where no path is given.

    Raises:
        FileNotFoundError: no path is given and it lies nowhere that can be fetched; or there is no such file.
        ConnectionError: it lies on the hub, and is neither cached nor can it be fetched.
        ModuleNotFoundError: it comes with a package that is not installed.
        ValueError: the file does not fit, or an option is not known.
    """
    entry = PUBLISHED[kind]
    known = entry.options or {}
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ValueError(f"{kind} has no option {', '.join(unknown)}; it has {', '.join(known) or 'none'}")
    try:
        chosen = {option: known[option](value) for option, value in options.items()}
    except ValueError:
        raise ValueError(f"{name}: {', '.join(options)} must be a whole number, {kind}:{next(iter(known))}=6") from None
    if path:
        return entry.load(Path(path).expanduser(), name=name, **chosen)
    if kind == "geoclip":
        return geoclip(name=name)
    if entry.hub is None:
        raise FileNotFoundError(f"{kind} needs the file that its authors publish: {kind}:PATH ({entry.home})")
    try:
        return entry.load(fetched(*entry.hub), name=name, **chosen)
    except ConnectionError as error:
        reason = error.__cause__ or error
        raise ConnectionError(
            f"{kind} lies at {entry.home}, {entry.hub[1]}, and cannot be fetched ({type(reason).__name__}: {reason}); "
            f"check the network, or fetch it elsewhere and give {kind}:PATH"
        ) from error
