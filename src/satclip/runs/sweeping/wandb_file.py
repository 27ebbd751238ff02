"""A W&B sweep file as a multirun of our own, for machines that reach no server.

The search is Optuna's in the place of W&B's: `grid` tries every combination once, `random` draws, `bayes` is TPE, and
`early_terminate: hyperband` is successive halving
(https://docs.wandb.ai/guides/sweeps/sweep-config-keys, November 2026).
"""

import re
from collections.abc import Iterator, Mapping
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import yaml

from satclip.runs.sweeping.space import PARAMS

SAMPLERS = {"grid": "grid", "random": "random", "bayes": "tpe"}
TRIALS = 20  # where the file has no run_cap and the method is no grid
ETA = 3  # of hyperband, where the file has none
LOGARITHMIC = "log_uniform_values"
UNIFORM = ("uniform", "int_uniform", LOGARITHMIC)
KNOWN = ("value", "values", "min", "max", "distribution")


def read(path: Path) -> dict[str, Any]:
    """The sweep that a file describes.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no sweep, or has what only W&B's server can do; says what to write instead.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no sweep file {path}; sweeps/*.yaml are there")
    try:
        found = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict) or not isinstance(found.get("parameters"), dict):
        raise ValueError(f"{path} has no parameters; a sweep file names them, as sweeps/*.yaml do")
    if found.get("method") not in SAMPLERS:
        raise ValueError(f"{path}: method takes one of {', '.join(SAMPLERS)}, got {found.get('method')}")
    for name, spec in found["parameters"].items():
        _expression(f"{path}: {name}", spec)
        if found["method"] == "grid" and not {"value", "values"} & set(spec):
            raise ValueError(f"{path}: {name} is no list, and method grid needs one; give values: [...]")
    return found


def arguments(sweep: Mapping[str, Any]) -> list[str]:
    """The command line of `train.py` that runs a sweep."""
    varied = {name: _expression(name, spec) for name, spec in sweep["parameters"].items() if "value" not in spec}
    fixed = [f"{name}={_word(spec['value'])}" for name, spec in sweep["parameters"].items() if "value" in spec]
    metric = sweep.get("metric", {}).get("name", "best/val/loss")
    goal = sweep.get("metric", {}).get("goal", "minimize")
    sizes = [len(spec["values"]) for spec in sweep["parameters"].values() if "values" in spec]
    trials = sweep.get("run_cap") or (prod(sizes) if sweep["method"] == "grid" else TRIALS)
    given = ["-m", *fixed, "hydra/sweeper=optuna", f"{PARAMS}={{{', '.join(f'{k}: {v}' for k, v in varied.items())}}}"]
    given += [f"optimized_metric={metric}", f"hydra.sweeper.direction={goal}", f"hydra.sweeper.n_trials={trials}"]
    given += [f"hydra/sweeper/sampler={SAMPLERS[sweep['method']]}"]
    return [*given, *_halving(sweep.get("early_terminate"), metric)]


def points(sweep: Mapping[str, Any]) -> Iterator[list[str]]:
    """Overrides of the points that a sweep can produce: all of a grid.

    Of continuous parameters each end, beside the first value of the others, and all ends together.
    """
    axes = [
        [
            f"{name}={_word(each)}"
            for each in spec.get("values", [spec[key] for key in ("value", "min", "max") if key in spec])
        ]
        for name, spec in sweep["parameters"].items()
    ]
    if sweep["method"] == "grid":
        yield from map(list, product(*axes))
        return
    first = [axis[0] for axis in axes]
    for at, axis in enumerate(axes):
        for each in axis[1:]:
            yield [*first[:at], each, *first[at + 1 :]]
    yield first
    yield [axis[-1] for axis in axes]


def _halving(early: Mapping[str, Any] | None, metric: str) -> list[str]:
    if not early:
        return []
    if early.get("type") != "hyperband" or not {"min_iter", "max_iter"} & set(early):
        raise ValueError("early_terminate takes type: hyperband with min_iter, or max_iter and s")
    eta = int(early.get("eta", ETA))
    least = early.get("min_iter") or early["max_iter"] // eta ** int(early.get("s", 1))
    by = metric.removeprefix("best/")
    given = [f"hydra.sweeper.pruner.min_resource={max(1, least)}", f"hydra.sweeper.pruner.reduction_factor={eta}"]
    return [f"hydra.sweeper.prune_by={by}", "hydra/sweeper/pruner=halving", *given]


def _expression(name: str, spec: Any) -> str:
    """A parameter in Hydra's sweep syntax."""
    unknown = sorted(set(spec) - set(KNOWN)) if isinstance(spec, dict) else [str(spec)]
    if unknown:
        raise ValueError(f"{name} has {', '.join(unknown)}, which runs on W&B's server alone; give {', '.join(KNOWN)}")
    if "value" in spec:
        return _word(spec["value"])
    if "values" in spec:
        return f"choice({','.join(map(_word, spec['values']))})"
    if not {"min", "max"} <= set(spec) or spec.get("distribution", "uniform") not in UNIFORM:
        raise ValueError(f"{name} needs value, values, or min and max with distribution {', '.join(UNIFORM)}")
    whole = all(isinstance(spec[end], int) for end in ("min", "max")) and spec.get("distribution") != "uniform"
    between = f"interval({spec['min']},{spec['max']})"
    between = f"int({between})" if whole and spec.get("distribution") != LOGARITHMIC else between
    return f"tag(log,{between})" if spec.get("distribution") == LOGARITHMIC else between


def _word(value: Any) -> str:
    """A value as Hydra reads it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(_word, value))}]"
    text = str(value)
    return text if not isinstance(value, str) or re.fullmatch(r"[\w./+-]+", text, re.ASCII) else quoted_text(text)


def quoted_text(text: str) -> str:
    """A text in quotes, as Hydra reads them."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
