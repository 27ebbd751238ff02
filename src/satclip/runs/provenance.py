"""What a run was made by: command, code, packages, machine and data, so that it can be made again."""

import json
import os
import platform
import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import satclip
from satclip.data.manifest import manifest
from satclip.data.placed_datamodule import PlacedDataModule
from satclip.files import atomic_file

PROVENANCE = "provenance.json"
DIFF = "uncommitted.diff"
CONFIG = "config.yaml"
PACKAGES = (
    "satclip",
    "torch",
    "lightning",
    "hydra-core",
    "numpy",
    "timm",
    "torchgeo",
    "numba",
    "scikit-learn",
    "wandb",
)
PACKAGE = Path(satclip.__file__).parent
PATIENCE = 20.0  # seconds for a call of git, which may wait for a slow disk
LARGEST = 5 << 20  # bytes of a diff that is kept


def begin(folder: Path, command: str, resolved: Mapping[str, Any], step: int) -> None:
    """Note a start of the run in `folder`: one entry of `starts` in provenance.json for each, the first one first.

    Args:
        folder: of the run.
        command: that began it.
        resolved: its config, with nothing left to look up; kept as config.yaml.
        step: optimiser steps behind the checkpoint that it resumes from.
    """
    import yaml

    git, diff = code()
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    start: dict[str, Any] = {"time": now, "command": command}
    start |= {"folder": str(Path.cwd()), "from_step": step, "git": git, "versions": versions(), "hardware": hardware()}
    before = starts(folder) if step else []
    name = DIFF if not before else f"{Path(DIFF).stem}_{len(before) + 1}.diff"
    if diff:
        _write(folder / name, diff)
        start["git"]["diff"] = name
    _write(folder / PROVENANCE, json.dumps({"starts": [*before, start]}, indent=1))
    said = (
        "# The whole config of this run, resolved. .hydra/ has it as it was composed; `satclip rerun` runs it again.\n"
    )
    _write(folder / CONFIG, said + yaml.safe_dump(dict(resolved), sort_keys=False))


def add_data(folder: Path, data: PlacedDataModule) -> None:
    """Add to the newest start what it was trained on."""
    known = starts(folder)
    if known:
        known[-1]["data"] = manifest(data.collection)
        _write(folder / PROVENANCE, json.dumps({"starts": known}, indent=1))


def starts(folder: Path) -> list[dict[str, Any]]:
    """What provenance.json has; nothing where it is not there or damaged."""
    try:
        found = json.loads((folder / PROVENANCE).read_text())["starts"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def versions() -> dict[str, str]:
    """Of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Of this machine."""
    cards = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    found: dict[str, Any] = {"host": socket.gethostname(), "system": platform.platform(), "cpu": _cpu()}
    found |= {"cores": os.cpu_count(), "threads": torch.get_num_threads(), "gpus": cards}
    return found | {"cuda": torch.version.cuda} if cards else found


def commit() -> str | None:
    """The commit that this package is at, with + where something is not committed; None where git does not keep it."""
    git, _ = code()
    return f"{git['commit']}{'+' if git['changed'] else ''}" if git.get("commit") else None


def code() -> tuple[dict[str, Any], str]:
    """Commit and branch of this package, and what differs from the commit; nothing where git does not keep it."""
    if _git("ls-files", "--error-unmatch", "__init__.py") is None:  # installed, perhaps inside somebody's checkout
        return {}, ""
    root = (_git("rev-parse", "--show-toplevel") or "").strip()
    changed = (_git("-C", root, "status", "--porcelain") or "").splitlines()
    found: dict[str, Any] = {"commit": (_git("rev-parse", "HEAD") or "").strip()}
    found |= {"branch": (_git("rev-parse", "--abbrev-ref", "HEAD") or "").strip(), "changed": changed}
    diff = (_git("-C", root, "diff", "HEAD", "--binary") or "") if changed else ""
    if len(diff.encode(errors="surrogateescape")) > LARGEST:
        return found | {"diff": f"not kept: more than {LARGEST >> 20} MiB"}, ""
    return found, diff


def differences(start: Mapping[str, Any], folder: Path) -> list[str]:
    """In which versions and which code the present differs from a start of the run in `folder`, in words."""
    git, diff = code()
    then, now = start.get("versions", {}), versions()
    lines = [f"{name} was {then[name]}, is {now.get(name, 'missing')}" for name in then if then[name] != now.get(name)]
    old = start.get("git", {})
    if old.get("commit") and old["commit"] != git.get("commit"):
        lines.append(f"the code was at commit {old['commit']}, is at {git.get('commit', 'none')}")
    kept = folder / old["diff"] if old.get("diff") else None
    before = kept.read_text(encoding="utf-8", errors="surrogateescape") if kept is not None and kept.is_file() else ""
    if before != diff:
        lines.append(f"what is not committed differs: `git diff HEAD` gave {kept or 'nothing'} then")
    return lines


def line(arguments: list[str]) -> str:
    """A command line of train.py."""
    return shlex.join(["python", "train.py", *arguments])


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(PACKAGE), *arguments], capture_output=True, timeout=PATIENCE, check=True, env=_plain()
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="surrogateescape")


def _plain() -> dict[str, str]:
    """The environment without what would point git elsewhere, as inside a hook."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {
        "GIT_OPTIONAL_LOCKS": "0"
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((each.partition(":")[2].strip() for each in lines if each.startswith("model name")), sys.platform)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as part:
        part.write_text(text, encoding="utf-8", errors="surrogateescape")
