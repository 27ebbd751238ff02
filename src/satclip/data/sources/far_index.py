"""What shards at an address hold: learned once, kept beside their place in the cache, and renewed when they change."""

import io
import json
import logging
from hashlib import blake2b
from pathlib import Path
from typing import Any

from satclip.data.sources.download import Command, can_be_asked, fetch, fetch_part, look
from satclip.data.sources.tar_index import INDEX_SUFFIX, Members, members_of, scan, scan_stream
from satclip.data.sources.web import Look
from satclip.files import atomic_file, locked

log = logging.getLogger(__name__)
BLOCK = 8192  # bytes that are asked for when reading the heads of a tar from afar
MOST_INDEX = 1 << 28  # bytes of an index beside a shard: of a million patches
NOTHING = Look(None, "", None)


def index_of(url: str, path: Path, renew: bool = True) -> tuple[Members, str]:
    """The patches of a shard at `url`, whose local copy is or would be `path`, and the mark that its server gave it.

    Taken from the first of these that there is: the index kept here, the one beside the shard at its address, the heads
    in the tar read from afar, the whole shard. Where `renew` and the server says that the shard is another one than
    what is kept, what is kept is removed. What an index says must lie within the shard.

    Raises:
        OSError: the shard cannot be had.
        ValueError: it is no tar.
    """
    kept = path.with_name(path.name + INDEX_SUFFIX)
    with locked(path):
        held = _kept(kept)
        if held is not None and not (renew and can_be_asked(url)):
            return held[0], str(held[1]["mark"])
        now = _look(url, fallback=held is not None)
        if held is not None:
            found, stamp = held
            if now is None or not now.differs(stamp["mark"], stamp["size"]):
                return found, str(stamp["mark"])
            log.warning("%s has changed at its address: fetching it again", url)
            for stale in (path, kept):
                stale.unlink(missing_ok=True)
        now = now or NOTHING
        learned = _index_beside(url, kept.with_suffix(".theirs"), now.size) or _index_from_heads(url, now)
        found = learned or _index_of_whole(url, path)
        with atomic_file(kept) as part:
            part.write_text(found.to_json({"mark": now.mark, "size": now.size}), encoding="utf-8")
        return found, now.mark


def fetched_copy(url: str, folder: Path, *, renew: bool) -> Path:
    """The copy in `folder` of a small file on the web or in a bucket, fetched if it is not there or has changed.

    Raises:
        FileNotFoundError: the server has no such file.
        OSError: it cannot be had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{blake2b(url.encode(), digest_size=5).hexdigest()}-{url.rsplit('/', 1)[-1]}"
    stamp = path.with_name(f"{path.name}.json")
    with locked(path):
        held = _stamp(stamp) if path.exists() else None
        if held is not None and not renew:
            return path
        now = _look(url, fallback=held is not None)
        if held is not None and (now is None or not now.differs(held["mark"], held["size"])):
            return path
        fetch(url, path, MOST_INDEX)
        with atomic_file(stamp) as part:
            part.write_text(json.dumps({"mark": now.mark if now else "", "size": now.size if now else None}))
    return path


def _look(url: str, *, fallback: bool) -> Look | None:
    """What the server says of a file; None where it does not answer and there is a `fallback`, or it is no server."""
    if not can_be_asked(url):
        return None
    try:
        return look(url)
    except (FileNotFoundError, PermissionError):
        raise
    except OSError as error:
        if not fallback:
            raise
        log.warning("%s; using what is kept of it", error)
        return None


def _kept(path: Path) -> tuple[Members, dict[str, Any]] | None:
    """An index kept earlier, and its stamp."""
    try:
        found, stamp = members_of(path.read_text(encoding="utf-8"))
        return found, _checked(stamp)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.info("rebuilding unreadable index %s (%s)", path, error)
        return None


def _stamp(path: Path) -> dict[str, Any] | None:
    try:
        return _checked(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return None


def _checked(stamp: Any) -> dict[str, Any]:
    mark, size = (stamp.get(name) for name in ("mark", "size")) if isinstance(stamp, dict) else (None, None)
    if not isinstance(mark, str) or not (size is None or type(size) is int):
        raise ValueError("no stamp of a shard elsewhere")
    return {"mark": mark, "size": size}


def _index_beside(url: str, target: Path, size: int | None) -> Members | None:
    if isinstance(url, Command):
        return None
    try:
        fetch(url + INDEX_SUFFIX, target, MOST_INDEX)
        found, stamp = members_of(target.read_text(encoding="utf-8"))
        if size is not None and found.end > size:
            raise ValueError(f"it names {found.end} bytes of a shard of {size}")
        if isinstance(stamp, dict) and size is not None and stamp.get("bytes") not in (None, size):
            raise ValueError("it is of a shard of another size")
        return found
    except OSError as error:
        if can_be_asked(url) and not isinstance(error, (FileNotFoundError, PermissionError)):
            raise
    except ValueError as error:
        log.info("ignoring unreadable index %s (%s)", url + INDEX_SUFFIX, error)
    finally:
        target.unlink(missing_ok=True)
    return None


def _index_from_heads(url: str, now: Look) -> Members | None:
    if now.parts is None:
        return None
    found, end = scan_stream(io.BufferedReader(_Far(now.parts, now.size), BLOCK), url)
    if now.size is not None and end > now.size:
        raise ValueError(f"{url} is cut short ({now.size} bytes where its members take {end}); write it again")
    return found


def _index_of_whole(url: str, path: Path) -> Members:
    log.info("%s: read whole to find out what it holds", url)
    fetch(url, path)
    return scan(path)


class _Far(io.RawIOBase):
    """A file elsewhere that can be sought in, of `size` bytes where that is known."""

    def __init__(self, url: str, size: int | None) -> None:
        self.url, self.size, self.position = url, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("the end is not known")
        self.position = offset + (self.position if whence == io.SEEK_CUR else 0)
        return self.position

    def tell(self) -> int:
        return self.position

    def readinto(self, buffer: Any) -> int:
        length = len(buffer) if self.size is None else min(len(buffer), self.size - self.position)
        data = b"" if length <= 0 else fetch_part(self.url, self.position, length) or b""
        buffer[: len(data)] = data
        self.position += len(data)
        return len(data)
