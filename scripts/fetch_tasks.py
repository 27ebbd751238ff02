"""Fetch the labels of the benchmark's tasks from where their authors keep them, and check them.

    python scripts/fetch_tasks.py                        # everything that can be fetched, to data/tasks
    python scripts/fetch_tasks.py air_temperature california_housing
    python scripts/fetch_tasks.py --root /data/tasks --check    # only check what is there

A file whose SHA-256 is known is refused when it differs, and taken up again where an interrupted fetch stopped. Of the
others the SHA-256 of the first fetch is recorded in ROOT/checksums.json, and what comes later must have the same. Files
that can only be had by hand are listed with the page where they lie; put there, they are checked all the same.
"""

import argparse
import json
import sys
from pathlib import Path

from satclip.optional_import import remedy

try:
    from satclip.data.sources.download import fetch
    from satclip.data.sources.web import fetch_part
    from satclip.downstream.tasks.loading import DEFAULT_ROOT
    from satclip.downstream.tasks.origins import ORIGINS, Origin
    from satclip.files import atomic_file, sha256_of
except ModuleNotFoundError as error:
    sys.exit(f"error: {remedy(error) or error}")


MANIFEST = "checksums.json"
PART = 1 << 20


class WrongFileError(Exception):
    """A file is not the one that was meant."""


def main() -> None:
    """Read the options, fetch and check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", help="by default all of: " + ", ".join(_tasks()))
    parser.add_argument("--root", type=Path, default=Path(DEFAULT_ROOT))
    parser.add_argument("--check", action="store_true", help="fetch nothing")
    options = parser.parse_args()
    unknown = [name for name in options.tasks if name not in _tasks()]
    if unknown:
        sys.exit(f"error: no files for {', '.join(unknown)}; there are some for {', '.join(_tasks())}")
    wanted = [origin for origin in ORIGINS if not options.tasks or origin.task in options.tasks]
    problems = 0
    for origin in wanted:
        try:
            print(f"{origin.task}/{origin.file}: {bring(origin, options.root, check_only=options.check)}")
        except (WrongFileError, FileNotFoundError, PermissionError) as error:
            problems += 1
            print(f"error: {origin.task}/{origin.file}: {_reason(error)}", file=sys.stderr)
        except OSError as error:
            sys.exit(f"error: {_reason(error)}; what was fetched is kept, run this again where there is a network")
    if problems:
        sys.exit(f"error: {problems} of {len(wanted)} files are not right; the others are in {options.root}")


def bring(origin: Origin, root: Path, *, check_only: bool = False) -> str:
    """Have one file under `root`, fetched if need be and checked; returns what was done, in words.

    Raises:
        WrongFileError: it is not the right file; a fetched one is removed, one that lay there is left.
        FileNotFoundError, PermissionError: the server does not have it or does not give it.
        OSError: it cannot be had now.
    """
    target = root / origin.task / origin.file
    if not target.is_file():
        if check_only:
            return "is not there"
        if origin.url is None:
            return f"can only be had by hand, from {origin.page}; put it at {target}"
        target.parent.mkdir(parents=True, exist_ok=True)
        _download(origin, target)
        try:
            return f"fetched, {check(origin, target, root)}"
        except WrongFileError:
            target.unlink()
            raise
    return f"is there, {check(origin, target, root)}"


def check(origin: Origin, target: Path, root: Path) -> str:
    """Compare a file with the checksum that is known, or recorded; record it where there is none.

    Raises:
        WrongFileError: it differs.
    """
    found = sha256_of(target)
    if origin.sha256 is not None:
        if found != origin.sha256:
            size = f", {target.stat().st_size} bytes instead of {origin.size}" if origin.size is not None else ""
            raise WrongFileError(
                f"has SHA-256 {found[:12]}... and not {origin.sha256[:12]}...{size}: damaged, or changed by its "
                f"authors; remove {target} and run this again"
            )
        return "SHA-256 as published"
    listing = root / MANIFEST
    recorded: dict[str, str] = json.loads(listing.read_text(encoding="utf-8")) if listing.is_file() else {}
    key = f"{origin.task}/{origin.file}"
    if key not in recorded:
        with atomic_file(listing) as part:
            part.write_text(json.dumps({**recorded, key: found}, indent=1) + "\n", encoding="utf-8")
        return f"no published SHA-256; recorded {found[:12]}... in {listing}"
    if recorded[key] != found:
        raise WrongFileError(
            f"has SHA-256 {found[:12]}... and not {recorded[key][:12]}... as recorded in {listing} at the first fetch; "
            f"if the change is meant, remove its line there"
        )
    return "SHA-256 as recorded at the first fetch"


def _download(origin: Origin, target: Path) -> None:
    """Whole or not at all at `target`. An interrupted fetch is resumed where a checksum is known."""
    assert origin.url is not None
    if origin.sha256 is None:  # pieces of two versions would go unnoticed
        fetch(origin.url, target)
        return
    unfinished = target.with_name(f".{target.name}.part")
    have = unfinished.stat().st_size if unfinished.exists() else 0
    data = fetch_part(origin.url, have, PART)
    with unfinished.open("ab") as file:
        while True:
            if data is None:  # the server sends whole files only
                fetch(origin.url, target)
                break
            file.write(data)
            file.flush()
            have += len(data)
            if len(data) < PART:
                break
            data = fetch_part(origin.url, have, PART)
    if data is None:
        unfinished.unlink()
    else:
        unfinished.replace(target)


def _reason(error: Exception) -> str:
    return str(error).removesuffix("; check dataset.urls").removesuffix("; is the network up?")


def _tasks() -> list[str]:
    return sorted({origin.task for origin in ORIGINS})


if __name__ == "__main__":
    main()
