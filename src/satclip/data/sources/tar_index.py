"""What lies where in a tar of patches. Nothing that a tar, or an index beside it, says of itself goes unchecked."""

import json
import tarfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO, Any

from satclip.data.sources.names import is_patch, patch_name, stem

INDEX_SUFFIX = ".index.json"
VERSION = 2  # of the index: 1 dropped folders from the names, and skipped .TIF
BLOCK = 512  # bytes of a tar's header
MOST_BYTES = 1 << 30  # of one patch; what claims to be larger is none
MOST_PLACE = 1 << 16  # bytes of a place's JSON


@dataclass(frozen=True)
class Members:
    """The patches of one shard: names, byte offsets and sizes, places in degrees (None where unknown)."""

    names: list[str] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    longitudes: list[float | None] = field(default_factory=list)
    latitudes: list[float | None] = field(default_factory=list)

    @property
    def end(self) -> int:
        """Bytes that a tar must have to hold them all."""
        return max(map(sum, zip(self.offsets, self.sizes, strict=True)), default=0)

    def to_json(self, stamp: dict[str, Any]) -> str:
        """The text of an index, with what tells whether it still fits."""
        return json.dumps({"version": VERSION, "shard": stamp, "members": asdict(self)})


def members_of(text: str) -> tuple[Members, Any]:
    """The patches, and the stamp, that the text of an index names.

    Raises:
        ValueError: it is no index, or says something that cannot be.
    """
    try:
        kept = json.loads(text)
        if kept.get("version") != VERSION:
            raise ValueError(f"the index is of version {kept.get('version')!r}, not {VERSION}")
        columns = kept["members"]
        found = Members(*(columns.pop(each.name) for each in fields(Members)))
        if columns:
            raise ValueError(f"the index has columns of another kind: {', '.join(columns)}")
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no index of a shard: {type(error).__name__} {error}") from None
    held = (found.names, found.offsets, found.sizes, found.longitudes, found.latitudes)
    if not all(isinstance(column, list) and len(column) == len(found.names) for column in held):
        raise ValueError("the columns of the index differ in length")
    for name, offset, size in zip(*held[:3], strict=True):
        whole = type(offset) is int and type(size) is int and offset >= BLOCK and 0 <= size <= MOST_BYTES
        if not isinstance(name, str) or name != patch_name(name) or not is_patch(name) or not whole:
            raise ValueError(f"the index names {name!r} at {offset!r} of {size!r} bytes")
    for value in (*found.longitudes, *found.latitudes):
        if value is not None and type(value) not in (int, float):
            raise ValueError(f"the index has a place at {value!r}")
    return found, kept.get("shard")


def name_in_tar(member: tarfile.TarInfo) -> str | None:
    """The name of the patch that a member holds; None for anything else: folders, links, devices, other files.

    Raises:
        ValueError: a patch that cannot be read by its offset, or claims to be larger than any patch is.
    """
    if not member.isfile() or not is_patch(member.name):
        return None
    if member.issparse():
        raise ValueError(f"{member.name!r} is stored as a sparse file; write the tar without --sparse")
    if not 0 <= member.size <= MOST_BYTES:
        raise ValueError(f"{member.name!r} claims {member.size} bytes; a patch has {MOST_BYTES} at most")
    name = patch_name(member.name)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{member.name!r} is not a name in UTF-8; rename it") from None
    return name


def scan(path: Path) -> Members:
    """Read the names, offsets and places out of a tar.

    Raises:
        ValueError: the file is no tar, or is cut short.
    """
    with path.open("rb") as file:
        found, end = scan_stream(file, str(path))
    if path.stat().st_size < max(end, 1024):
        raise ValueError(f"{path} is cut short ({path.stat().st_size} bytes); fetch or write it again")
    return found


def scan_stream(file: IO[bytes], name: str) -> tuple[Members, int]:
    """The same out of anything that can be read and sought in; also how many bytes the members take.

    A place is a JSON member {"lon", "lat"} of the patch's name, before it or behind it.

    Raises:
        ValueError: it is no tar, or is cut short.
    """
    found = Members()
    early: dict[str, tuple[float | None, float | None]] = {}  # places that came before their patch
    unplaced: dict[str, int] = {}  # the last patch of each stem that has none yet
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                if (patch := name_in_tar(member)) is not None:
                    longitude, latitude = early.pop(stem(patch), (None, None))
                    if longitude is None:
                        unplaced[stem(patch)] = len(found.names)
                    found.names.append(patch)
                    found.offsets.append(member.offset_data)
                    found.sizes.append(member.size)
                    found.longitudes.append(longitude)
                    found.latitudes.append(latitude)
                elif member.isfile() and member.name.endswith(".json") and member.size <= MOST_PLACE:
                    place, key = _place(tar, member), stem(patch_name(member.name))
                    if (row := unplaced.pop(key, None)) is None:
                        early[key] = place
                    else:
                        found.longitudes[row], found.latitudes[row] = place
            end = tar.offset
    except (tarfile.TarError, ValueError, MemoryError, OverflowError, EOFError) as error:
        raise ValueError(f"{name} is not a readable tar: {error}; fetch or write it again") from None
    return found, max(end, found.end)


def _place(tar: tarfile.TarFile, member: tarfile.TarInfo) -> tuple[float | None, float | None]:
    """Longitude and latitude in a JSON member, None where it holds something else."""
    text = tar.extractfile(member)
    try:
        held = json.loads(text.read(MOST_PLACE) if text is not None else b"{}")
        longitude, latitude = (held.get(axis) for axis in ("lon", "lat"))
    except (ValueError, AttributeError, RecursionError):
        return None, None
    if type(longitude) not in (int, float) or type(latitude) not in (int, float):
        return None, None
    return float(longitude), float(latitude)
