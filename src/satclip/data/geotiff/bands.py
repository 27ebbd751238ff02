"""Band names and their order: the one home of these facts."""

from collections.abc import Sequence
from dataclasses import dataclass

# The order in which S2-100K stores Level-2A; the cirrus band B10 has no surface reflectance and is not in the files.
SENTINEL2_L2A = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
# The order that the published backbones were trained on; B10 is filled with zeros.
SENTINEL2 = (*SENTINEL2_L2A[:10], "B10", *SENTINEL2_L2A[10:])
RGB = ("R", "G", "B")
ABSENT = -1


@dataclass(frozen=True)
class Bands:
    """Which bands of a file are decoded, and what becomes of them.

    Attributes:
        held: how many bands the file holds.
        read: positions in the file of those that are decoded, ascending.
        places: for each wanted band its number among those decoded, or `ABSENT` for one to be filled with zeros.
    """

    held: int
    read: tuple[int, ...]
    places: tuple[int, ...]


def choose_bands(wanted: Sequence[str], held: Sequence[str]) -> Bands:
    """What to decode of files that hold the bands `held` to get those `wanted`; a B10 that they lack is zero.

    Raises:
        ValueError: a band that the files do not hold, or one that is named twice.
    """
    positions = {name: position for position, name in enumerate(held)}
    unknown = [name for name in wanted if name not in positions and name != "B10"]
    if not any(name in positions for name in wanted) or unknown:
        raise ValueError(
            f"no band {', '.join(unknown) or 'at all'} in the files, which hold {', '.join(held)}; "
            "dataset.bands names what to train on, dataset.file_bands what the files hold, in their order"
        )
    for names, key in ((wanted, "dataset.bands"), (held, "dataset.file_bands")):
        if len(set(names)) < len(names):
            raise ValueError(f"{key} names a band twice: {', '.join(names)}")
    read = sorted(positions[name] for name in wanted if name in positions)
    places = tuple(read.index(positions[name]) if name in positions else ABSENT for name in wanted)
    return Bands(len(held), tuple(read), places)


def rgb_of(bands: Sequence[str]) -> tuple[int, ...]:
    """Positions of red, green and blue among bands by name; the first three, or the first, where they are not there."""
    for names in (RGB, ("B04", "B03", "B02")):
        if set(names) <= set(bands):
            return tuple(list(bands).index(name) for name in names)
    return (0, 1, 2) if len(bands) >= 3 else (0,)
