"""Points out of geometry columns."""

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from satclip.cli.failures import expected, need
from satclip.cli.tables.places import Degrees


def point_coordinates(column: pa.Array) -> Degrees:
    """x, y of points, as WKB or as a struct of x and y: [n, 2], NaN where a point is null or empty.

    A collection of one point, such as the multipoints of QGIS and PostGIS, is that point. z and m are left out.

    Raises:
        click.ClickException: the geometries are something else, or carry a reference system of their own (EWKB).
    """
    if pa.types.is_struct(column.type):
        fields = [pc.struct_field(column, name) for name in ("x", "y")]
        return np.stack([field.to_numpy(zero_copy_only=False) for field in fields], axis=-1).astype(np.float64)
    if not is_wkb(column.type):
        raise click.ClickException(f"the geometry is encoded as {column.type}; write it as WKB")
    need("cli", "shapely")
    import shapely

    with expected(shapely.errors.ShapelyError, prefix="the geometry column is no WKB: "):
        shapes = shapely.from_wkb(column.to_numpy(zero_copy_only=False))
    own = shapely.get_srid(shapes)
    if (own > 0).any():
        raise click.ClickException(
            f"the points carry a reference system of their own, SRID {own[own > 0][0]} (EWKB): write them as plain WKB"
        )
    counts = shapely.get_num_geometries(shapes)
    kinds = shapely.get_type_id(shapes)
    collections = np.isin(kinds, (shapely.GeometryType.MULTIPOINT, shapely.GeometryType.GEOMETRYCOLLECTION))
    alone = collections & (counts == 1)
    shapes[alone] = shapely.get_geometry(shapes[alone], 0)
    shapes[collections & (counts == 0)] = None
    kinds = shapely.get_type_id(shapes)
    other = (kinds != shapely.GeometryType.POINT) & (kinds != shapely.GeometryType.MISSING)
    if other.any():
        first = shapes[other][0]
        parts = shapely.get_num_geometries(first)
        kind = shapely.GeometryType(kinds[other][0]).name + (f" of {parts} parts" if parts > 1 else "")
        raise click.ClickException(f"the geometries must be points, there is a {kind}: take centroids first")
    return np.stack((shapely.get_x(shapes), shapely.get_y(shapes)), axis=-1)


def is_wkb(kind: pa.DataType) -> bool:
    """Whether a column of this type can hold WKB."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))
