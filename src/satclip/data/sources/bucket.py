"""Objects in the buckets of S3, Google Cloud Storage and Azure, by obstore: with retries, resumption and ranges.

obstore has threads of its own, which a fork does not have and waits for without end, and it hears of no signal before
an answer is whole. A training fetches in forked workers, and must heed SIGTERM in the middle of a shard. So whole
objects are read by a process of their own (`python -m satclip.data.sources.bucket`), and what is small in this one
unless it is a fork.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any

from satclip.data.sources.aws_profile import aws_profile
from satclip.data.sources.programs import output_of
from satclip.data.sources.web import ATTEMPTS, TIMEOUT, Look

if TYPE_CHECKING:
    from obstore.store import AzureStore, GCSStore, S3Store

AZURE = ("az", "azure", "abfs", "abfss")
SCHEMES = ("s3", "s3a", "gs", *AZURE)
CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; AWS_REGION; AWS_SKIP_SIGNATURE=true if public",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or `gcloud auth application-default login`; GOOGLE_SKIP_SIGNATURE=true if "
    "public",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_KEY; "
    "AZURE_SKIP_SIGNATURE=true if public",
}
KINDS = {kind.__name__: kind for kind in (FileNotFoundError, PermissionError, OSError)}
_state = {"used": False, "forked": False}


def _in_a_fork() -> None:
    _state["forked"] = _state["used"]


os.register_at_fork(after_in_child=_in_a_fork)


def is_bucket(url: str) -> bool:
    """Whether it is the address of an object in a bucket."""
    scheme, found, _ = url.partition("://")
    return bool(found) and scheme.lower() in SCHEMES


def look(url: str) -> Look:
    """What a bucket says of an object.

    Raises:
        FileNotFoundError: there is no such object.
        PermissionError: the bucket does not give it.
        OSError: it cannot be had in spite of several attempts.
    """
    if _state["forked"]:
        told = json.loads(_asked_elsewhere("look", url))
        return Look(url, told["mark"], told["size"])
    return _look(url)


def fetch_part(url: str, start: int, length: int) -> bytes:
    """Bytes `start` to `start + length` of an object, which must lie within it; raises what `look` does."""
    if _state["forked"]:
        return _asked_elsewhere("part", url, start, start + length)
    return b"".join(_read(url, None, start, start + length))


def opened_object(url: str, most: int | None) -> AbstractContextManager[IO[bytes]]:
    """A stream of an object of at most `most` bytes, from front to back; raises what `look` does."""
    _obstore()  # it is missing here and not over there
    return output_of(_command("read", url, *(() if most is None else (most,))), _explained_elsewhere)


def _look(url: str) -> Look:
    store, key = _store(url)
    try:
        return _told(url, _obstore().head(store, key))
    except _errors() as error:
        raise _explained(url, error) from None


def _told(url: str, meta: Any) -> Look:
    return Look(url, meta["e_tag"] or str(meta["last_modified"]), meta["size"])


def _read(url: str, most: int | None, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """The bytes of an object; where the connection breaks it resumes after the last one.

    obstore asks again for an answer that does not come (429, 5xx, a silent server). One that breaks it continues
    where the server gives an ETag, up to a number of times for the whole object; here it is until nothing comes.
    """
    store, key = _store(url)
    first: Look | None = None
    position, attempt = start, 0
    while stop is None or position < stop:
        try:
            wanted: Any = {"offset": position} if stop is None else (position, stop)
            answer = _obstore().get(store, key, options={"range": wanted} if wanted != {"offset": 0} else {})
        except _errors() as error:
            raise _explained(url, error) from None
        told = _told(url, answer.meta)
        if most is not None and (told.size or 0) > most:
            raise OSError(f"{url}: the server announces {told.size} bytes where {most} have room")
        if first is not None and told.differs(first.mark, first.size):
            raise OSError(f"{url}: changed while it was read; try again")
        first = first or told
        try:
            for block in answer.stream(min_chunk_size=1):  # what was waited for longer would be lost in a break
                position, attempt = position + len(block), 0
                yield bytes(block)
            return
        except _errors() as error:
            attempt += 1
            if attempt == ATTEMPTS:
                raise OSError(f"{url}: broke off {ATTEMPTS} times without progress; is the network up?") from error
            if position == told.size:
                return


@lru_cache
def _opened_store(scheme: str, bucket: str) -> "S3Store | GCSStore | AzureStore":
    from obstore.store import AzureStore, GCSStore, S3Store

    silence = timedelta(seconds=TIMEOUT)
    waits = {"connect_timeout": silence, "read_timeout": silence, "timeout": timedelta(days=7)}
    options: dict[str, Any] = {
        "client_options": {**waits, "allow_http": True},  # where a person gives such an endpoint; the usual are https
        "retry_config": {"max_retries": ATTEMPTS, "retry_timeout": timedelta(minutes=4)},
    }
    if scheme == "gs":
        return GCSStore(bucket, **options)
    if scheme in AZURE:
        return AzureStore.from_url(f"{scheme}://{bucket}", **options)
    return S3Store(bucket, **aws_profile(), **options)


def _store(url: str) -> "tuple[S3Store | GCSStore | AzureStore, str]":
    """The bucket of an address, and the object's name in it, which is taken as it is written."""
    _obstore()
    _state["used"] = True
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    if not bucket or not key:
        raise OSError(f"{url}: names no object; give {scheme}://BUCKET/NAME")
    try:
        return _opened_store(scheme.lower(), bucket), key
    except _errors() as error:
        raise _explained(url, error) from None


def _obstore() -> Any:
    try:
        import obstore
    except ModuleNotFoundError:
        raise ModuleNotFoundError("addresses of buckets need obstore: pip install 'satclip[train]'") from None
    return obstore


def _errors() -> tuple[type[Exception], ...]:
    from obstore.exceptions import BaseError

    return (BaseError, FileNotFoundError)  # obstore's own for what is not there is the latter


def _explained(url: str, error: Exception) -> OSError:
    """What went wrong in one line, without what may be secret: the query of an address in it may be a key."""
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    scheme = url.split(":", 1)[0].lower()
    credentials = CREDENTIALS["az" if scheme in AZURE else scheme[:2]]
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(f"{url}: the bucket has no such object; check dataset.urls")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return PermissionError(f"{url}: the bucket does not give this to you; check dataset.urls and {credentials}")
    said = re.sub(r"\?\S+", "?...", str(error).splitlines()[0].strip())
    return OSError(f"{url}: {said}; is the network up, and are these right: {credentials}?")


def _command(*words: object) -> list[str]:
    return [sys.executable, "-m", __spec__.name, *map(str, words)]


def _asked_elsewhere(*words: object) -> bytes:
    """What this module answers in a process that is no fork."""
    done = subprocess.run(_command(*words), capture_output=True, check=False)
    if done.returncode:
        raise _explained_elsewhere(done.stderr)
    return done.stdout


def _explained_elsewhere(said: bytes) -> OSError:
    last = said.decode(errors="replace").strip().rpartition("\n")[2]
    try:
        told = json.loads(last)
        return KINDS[told["kind"]](told["text"])
    except (ValueError, KeyError, TypeError):
        return OSError(f"reading a bucket failed: {last}")


def _answer(operation: str, url: str, *numbers: str) -> None:
    """What the process that reads objects does: writes to stdout, and its error to stderr."""
    try:
        if operation == "look":
            told = _look(url)
            sys.stdout.write(json.dumps({"mark": told.mark, "size": told.size}))
            return
        bounds = [int(number) for number in numbers]
        most = None if operation == "part" or not bounds else bounds.pop()
        for block in _read(url, most, *bounds):
            sys.stdout.buffer.write(block)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has enough
        os._exit(0)
    except OSError as error:
        kind = next(name for name, each in KINDS.items() if isinstance(error, each))
        sys.stderr.write(json.dumps({"kind": kind, "text": str(error)}))
        sys.exit(1)


if __name__ == "__main__":
    _answer(*sys.argv[1:])
