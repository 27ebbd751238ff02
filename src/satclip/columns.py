"""Names under which tables keep longitude and latitude."""

from collections.abc import Sequence

# Degrees under their own name win over x and y, which a table may carry beside them in some other unit.
PAIRS = (
    (("lon", "lng", "long", "longitude"), ("lat", "latitude")),
    (("x",), ("y",)),
)


def likely_columns(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The columns that may be longitude, and those that may be latitude, as their names say in any case.

    Both of one pair of names, or none: of columns x, y and lat the answer is x and y.
    """
    for longitudes, latitudes in PAIRS:
        found = tuple([name for name in names if name.strip().lower() in known] for known in (longitudes, latitudes))
        if all(found):
            return found[0], found[1]
    return [], []
