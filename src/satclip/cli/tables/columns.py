"""Which columns hold longitude and latitude."""

from collections.abc import Sequence

import click

from satclip.columns import PAIRS


def find_columns(names: Sequence[str], lon: str | None = None, lat: str | None = None) -> tuple[str, str]:
    """Names of the longitude and the latitude column, as given or as their names say in any case.

    Raises:
        click.ClickException: a given column is missing, or the names say nothing or too much; lists the columns.
    """
    listing = f"the columns are: {', '.join(names)}"
    for option, given in (("--lon", lon), ("--lat", lat)):
        if given is not None and given not in names:
            raise click.ClickException(f"{option} {given}: no such column; {listing}")
    for longitudes, latitudes in PAIRS:
        lons = [lon] if lon else [name for name in names if name.strip().lower() in longitudes]
        lats = [lat] if lat else [name for name in names if name.strip().lower() in latitudes]
        if len(lons) > 1 or len(lats) > 1:
            several = ", ".join(lons if len(lons) > 1 else lats)
            raise click.ClickException(f"{several} could all be meant: choose with --lon and --lat; {listing}")
        if lons and lats:
            return lons[0], lats[0]
    raise click.ClickException(f"no columns named like longitude and latitude: give --lon and --lat; {listing}")
