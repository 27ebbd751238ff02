"""Points out of geometry columns."""

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from satclip.cli.failures import expected, need
from satclip.cli.tables.places import Degrees


def point_coordinates(column: pa.Array) -> Degrees:
    """x, y of points, as WKB or as a struct of x and y: [n, 2], NaN where a point is null or empty.

    Raises:
        click.ClickException: the geometries are something else.
    """
    if pa.types.is_struct(column.type):
        fields = [pc.struct_field(column, name) for name in ("x", "y")]
        return np.stack([field.to_numpy(zero_copy_only=False) for field in fields], axis=-1).astype(np.float64)
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        raise click.ClickException(f"the geometry is encoded as {column.type}; write it as WKB")
    need("cli", "shapely")
    import shapely

    with expected(shapely.errors.ShapelyError, prefix="the geometry column is no WKB: "):
        shapes = shapely.from_wkb(column.to_numpy(zero_copy_only=False))
    kinds = shapely.get_type_id(shapes)
    other = (kinds != shapely.GeometryType.POINT) & (kinds != shapely.GeometryType.MISSING)
    if other.any():
        kind = shapely.GeometryType(kinds[other][0]).name
        raise click.ClickException(f"the geometries must be points, there is a {kind}: take centroids first")
    return np.stack((shapely.get_x(shapes), shapely.get_y(shapes)), axis=-1)
