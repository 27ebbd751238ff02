"""The bytes of a text file as UTF-8, whatever compresses it and whichever Unicode encoding its first bytes mark."""

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import click
import pyarrow as pa

REMEDY = "it needs a header, as many values in every row, and UTF-8: save it again so"

# First bytes (RFC 1952; bzip2's "BZh"; RFC 8878), and the suffix that goes with them.
_COMPRESSED = {b"\x1f\x8b": ("gzip", ".gz"), b"BZh": ("bz2", ".bz2"), b"\x28\xb5\x2f\xfd": ("zstd", ".zst")}
# UTF-32 before UTF-16: the mark of the one begins with that of the other.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Source(Protocol):
    """What can be read front to back."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none at the end."""
        ...


@contextmanager
def open_text(path: Path) -> Iterator[Source]:
    """Read `path` as UTF-8 without its byte order mark. UTF-8 itself is passed on unchecked.

    Raises:
        click.ClickException: it is compressed otherwise than its name says, or an Excel workbook, or not in the
            encoding that its byte order mark promises.
        OSError: it cannot be read, or its compression is broken.
    """
    with path.open("rb") as file:
        stream = _decompressed(file, path)
        start = stream.read(4)
        mark, encoding = next(((mark, name) for mark, name in _MARKS if start.startswith(mark)), (b"", "utf-8"))
        rest = _Chained(start[len(mark) :], stream)
        yield rest if encoding == "utf-8" else _Decoded(rest, encoding, path)


def _decompressed(file: BinaryIO, path: Path) -> Source:
    start = file.read(4)
    file.seek(0)
    if start.startswith(b"PK\x03\x04"):
        raise click.ClickException(f"{path.name}: a zip archive or an Excel workbook, not text; {REMEDY}")
    kind, _ = next((entry for magic, entry in _COMPRESSED.items() if start.startswith(magic)), (None, None))
    for named, suffix in _COMPRESSED.values():
        if path.name.lower().endswith(suffix) and kind != named:
            raise click.ClickException(f"{path.name}: named {suffix}, but its bytes are no {named}; {REMEDY}")
    return file if kind is None else pa.CompressedInputStream(pa.PythonFile(file), kind)


class _Chained:
    """Bytes already read, then the rest of a stream."""

    def __init__(self, start: bytes, stream: Source) -> None:
        self._start, self._stream = start, stream

    def read(self, size: int, /) -> bytes:
        start, self._start = self._start[:size], self._start[size:]
        return start or self._stream.read(size)


class _Decoded:
    """Another encoding as UTF-8."""

    def __init__(self, stream: Source, encoding: str, path: Path) -> None:
        self._stream, self._encoding, self._path = stream, encoding, path
        self._decoder = codecs.getincrementaldecoder(encoding)()

    def read(self, size: int, /) -> bytes:
        while True:
            block = self._stream.read(size)
            try:
                text = self._decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                name = self._encoding.upper()
                raise click.ClickException(
                    f"{self._path.name}: invalid {name} data: {error.reason}; {REMEDY}"
                ) from error
            if text or not block:
                return text.encode()
