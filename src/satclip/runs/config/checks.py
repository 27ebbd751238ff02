"""Refuses a config that composes but cannot run, before anything is read or written.

Three rounds: names and kinds against the signatures of the classes that the config names, numbers against their
bounds, and then everything that costs nothing is built, the towers without memory (torch's meta device), so that each
constructor says itself what it does not take.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_type_hints

from hydra.errors import InstantiationException
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from satclip.runs.config.bounds import LENGTHS, bounds_of
from satclip.runs.config.building import build
from satclip.runs.config.conflicts import conflict
from satclip.runs.config.kinds import described, fits, is_mapping_of_values, shown
from satclip.runs.config.signatures import signature_of
from satclip.runs.config.trainer_options import refused

OF_HYDRA = ("_target_", "_partial_", "_convert_", "_recursive_", "_args_")
ORIGIN = re.compile(r"\$\{([\w.]+)\}")


@dataclass
class Run:
    """The options of conf/train.yaml that belong to no group."""

    name: str
    seed: int
    epochs: int
    embedding_dim: int
    skip_degrees: int
    skip_scale: float
    skip_damping: float
    skip_zonal: float
    temperature: float
    learn_temperature: bool
    cached_batches: int
    ckpt_path: str | None
    compile: bool
    matmul_precision: Literal["highest", "high", "medium"]
    optimized_metric: str | list[str] | None
    output_dir: str


SUPPLIED: dict[str, tuple[str, ...]] = {
    "pe_type": ("in_dim", "out_dim"),
    "optimizer": ("module",),
    "scheduler": ("optimizer", "total_steps"),
    "logger.wandb": ("mode", "settings", "id", "experiment", "anonymous"),
}
GROUPS = ("le_type", "pe_type", "vision", "dataset", "loss", "optimizer", "scheduler", "trainer", "callbacks", "logger")
NODES = (*GROUPS, "report", "model")
MAY_BE_NULL = ("report", "scheduler")


def check(config: DictConfig, *, here: bool = True) -> None:
    """Refuse what cannot run.

    Args:
        config: what Hydra composed.
        here: whether it is this machine that will train, so that its devices are asked for.

    Raises:
        ValueError: names the option and what it takes.
    """
    raw, plain = _containers(config)
    _top(plain)
    _degrees(plain["le_type"])
    for node in NODES:
        if plain.get(node) is not None:
            _part(node, plain[node], raw[node], raw)
    if message := refused(plain["trainer"]) or conflict(plain):
        raise ValueError(message)
    build(OmegaConf.create(plain), here=here)


def _containers(config: DictConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """The config with its interpolations as they are written, and with what they come to."""
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    raw = OmegaConf.to_container(own)
    assert isinstance(raw, dict)
    if raw.get("output_dir") == "${hydra:runtime.output_dir}":  # Hydra knows it when the run has begun
        own = OmegaConf.create({**raw, "output_dir": "outputs"})
    for name in (*(each.name for each in fields(Run)), *NODES):
        if name not in raw:
            raise ValueError(f"{name} is missing; give {name}=VALUE, or leave out ~{name}")
    try:
        plain = OmegaConf.to_container(own, resolve=True)
    except OmegaConfBaseException as error:
        place = f"{error.full_key}: " if error.full_key else ""
        raise ValueError(f"{place}{str(error).splitlines()[0]}") from error
    except (TypeError, ValueError) as error:  # of a resolver that was given something else
        raise ValueError(f"an interpolation fails: {error}") from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in raw.items()}, {str(key): value for key, value in plain.items()}


def _degrees(encoding: Mapping[str, Any]) -> None:
    name = str(encoding.get("_target_")).rsplit(".", 1)[-1]
    if "legendre_polys" in encoding and name != "SphericalHarmonics":
        raise ValueError(
            f"le_type {name} has no Legendre polynomials; drop legendre_polys={encoding['legendre_polys']} "
            "(~legendre_polys where an experiment sets it), or choose le_type=sphericalharmonics"
        )


def _top(plain: Mapping[str, Any]) -> None:
    kinds = get_type_hints(Run)
    known = [each.name for each in fields(Run)]
    for name in plain:
        if name not in (*known, *NODES):
            raise ValueError(f"there is no option {name}{_nearest(str(name), [*known, *NODES])}")
    for name in known:
        _value(name, plain[name], kinds[name])
    for name in NODES:
        if plain.get(name) is None and name not in MAY_BE_NULL:
            raise ValueError(f"{name} is missing; give {name}=OPTION (`python train.py --help` lists them)")
        if plain.get(name) is not None and not isinstance(plain[name], Mapping):
            raise ValueError(f"{name} is a group of options, got {shown(plain[name])}; give {name}=OPTION")


def _part(name: str, node: Mapping[str, Any], raw: Any, whole: Mapping[str, Any]) -> None:
    """Check one node and those below it; each value goes by the name of the option that it comes from."""
    written = raw if isinstance(raw, Mapping) else {}
    plain: tuple[str, ...] = ()
    if "_target_" in node:
        signature = _signature(name, node["_target_"])
        plain = tuple(key for key in node if is_mapping_of_values(signature.kinds.get(key)))
        for key, value in node.items():
            option = _origin(f"{name}.{key}", written.get(key))
            if key in OF_HYDRA:
                continue
            if key not in signature.kinds and signature.closed:
                raise ValueError(
                    f"there is no option {name}.{key}{_nearest(key, [*signature.kinds], f'{name}.')}; "
                    f"~{name}.{key} drops it where an experiment sets it"
                )
            if key in SUPPLIED.get(name, ()):
                raise ValueError(f"{name}.{key} follows from the rest of the config and cannot be given")
            _value(option, value, signature.kinds.get(key, Any))
        if missing := sorted(signature.needed - node.keys()) if not node.get("_partial_") else []:
            raise ValueError(f"{name}.{missing[0]} is missing; give {name}.{missing[0]}=VALUE")
    elif name.split(".")[0] in ("callbacks", "logger") and "." in name and not name.count(".") > 1:
        raise ValueError(
            f"{name} has no _target_; give the class as {name}._target_=PACKAGE.CLASS, or drop it by ~{name}"
        )
    for key, value in node.items():
        inner = written.get(key)
        if key in plain:
            continue
        if isinstance(value, Mapping) and not (isinstance(inner, str) and ORIGIN.fullmatch(inner)):
            _part(f"{name}.{key}", value, inner, whole)
        elif "_target_" not in node and key not in OF_HYDRA and not isinstance(value, Mapping):
            raise ValueError(f"{name}.{key} is no option, got {shown(value)}; ~{name}.{key} drops it")


def _signature(name: str, target: Any) -> Any:
    if not isinstance(target, str):
        raise ValueError(f"{name}._target_ takes the full name of a class, got {shown(target)}")
    try:
        found = get_object(target)
    except (ImportError, ValueError, TypeError, InstantiationException) as error:
        raise ValueError(f"{name}._target_: there is no {shown(target)} ({type(error).__name__})") from error
    if not callable(found):
        raise ValueError(f"{name}._target_ takes the full name of a class, and {shown(target)} is none")
    return signature_of(found)


def _value(option: str, value: Any, kind: Any) -> None:
    if value == "???":
        raise ValueError(f"{option} is missing; give {option}=VALUE")
    takes = f"{option} takes {described(kind)}"
    if bounds := bounds_of(option):
        takes += f", {bounds}"
    if length := LENGTHS.get(option):
        takes += f", {length} of them"
    if not fits(value, kind):
        hint = "; null is written null" if value in ("None", "none", "Null") else ""
        hint = f"; a number as text is quoted: {option}=\\'{value}\\'" if _is_text_wanted(value, kind) else hint
        raise ValueError(f"{takes}, got {shown(value)}{hint}")
    if (bounds and not bounds.hold(value)) or (length and isinstance(value, list) and len(value) != length):
        raise ValueError(f"{takes}, got {shown(value)}")


def _is_text_wanted(value: Any, kind: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and fits("text", kind)


def _origin(option: str, written: Any) -> str:
    """`epochs` for trainer.max_epochs where the config says `${epochs}` there."""
    found = ORIGIN.fullmatch(written) if isinstance(written, str) else None
    return found[1] if found else option


def _nearest(name: str, known: list[str], prefix: str = "") -> str:
    if close := difflib.get_close_matches(name, known, n=1, cutoff=0.6):
        return f"; did you mean {prefix}{close[0]}?"
    return f"; there are {', '.join(known)}"
