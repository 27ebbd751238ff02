"""What a patch is called, the same whether it lies in a folder, in a tar, in a stream or in a row of index.csv."""

import unicodedata
from collections import Counter
from collections.abc import Sequence

SUFFIXES = (".tif", ".tiff")
IMAGES = "images"  # the folder that S2-100K unpacks to; no part of a name


def is_patch(path: str) -> bool:
    """Whether a file of this name is a GeoTIFF: .tif or .tiff, in capitals or not.

    The `._name` files that macOS writes beside each file on exFAT and SMB, and into its tars, are none.
    """
    name = path.replace("\\", "/").rsplit("/", 1)[-1].lower()
    return name.endswith(SUFFIXES) and name not in SUFFIXES and not name.startswith("._")


def patch_name(path: str) -> str:
    """The name of the patch at a path: its folders below `images/` and its file name, joined by "/".

    Accents are composed (NFC): macOS and some archives store them decomposed. A name is never a way out of a folder:
    roots, "." and ".." are dropped.
    """
    parts = [part for part in unicodedata.normalize("NFC", path).replace("\\", "/").split("/") if part.strip(". ")]
    return "/".join(parts[1:] if parts[:1] == [IMAGES] and len(parts) > 1 else parts)


def stem(name: str) -> str:
    """A name without its suffix: "a/p.1.TIF" -> "a/p.1"."""
    return name.rpartition(".")[0]


def file_name(name: str) -> str:
    """A name without its folders."""
    return name.rsplit("/", 1)[-1]


def shortest(names: Sequence[str]) -> list[str]:
    """The names without folders where those tell the patches apart, else as they are."""
    short = [file_name(name) for name in names]
    return short if len(set(short)) == len(short) else list(names)


def repeated(names: Sequence[str]) -> list[str]:
    """Those that come more than once, each once."""
    return [name for name, count in Counter(names).items() if count > 1]
