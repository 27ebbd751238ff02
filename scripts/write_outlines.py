"""Write the coasts and borders that the package carries, from Natural Earth 1:50m as TopoJSON.

Natural Earth (naturalearthdata.com) is in the public domain. The npm package world-atlas carries its admin-0 countries
as TopoJSON, whose arcs are shared by neighbours: an arc of two countries is a border, an arc of one is a coast.

    npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz
    python scripts/write_outlines.py package/countries-50m.json
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

TARGET = Path(__file__).parents[1] / "src/satclip/geography/natural_earth_50m.npz"


def main() -> None:
    """Read TopoJSON, write the arrays that `satclip.geography.outlines` reads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topojson", type=Path, help="countries-50m.json of world-atlas")
    parser.add_argument("-o", "--output", type=Path, default=TARGET, help="where to (default: into the package)")
    options = parser.parse_args()
    topology = json.loads(options.topojson.read_text())
    arcs = [np.array(arc, dtype=np.int32) for arc in topology["arcs"]]  # first a position, then steps
    used = Counter(arc if arc >= 0 else ~arc for arc in countries_arcs(topology["objects"]["countries"]))
    (land,) = topology["objects"]["land"]["geometries"]
    polygons = land["arcs"]
    rings = [ring for polygon in polygons for ring in polygon]
    np.savez_compressed(
        options.output,
        steps_x=np.concatenate([arc[:, 0] for arc in arcs]),
        steps_y=np.concatenate([arc[:, 1] for arc in arcs]),
        points=np.array([len(arc) for arc in arcs], dtype=np.int32),
        countries=np.array([used[arc] for arc in range(len(arcs))], dtype=np.uint8),
        ring_arcs=np.array([arc for ring in rings for arc in ring], dtype=np.int32),
        ring_lengths=np.array([len(ring) for ring in rings], dtype=np.int32),
        polygon_lengths=np.array([len(polygon) for polygon in polygons], dtype=np.int32),
        scale=np.array(topology["transform"]["scale"]),
        origin=np.array(topology["transform"]["translate"]),
    )
    borders = sum(used[arc] > 1 for arc in range(len(arcs)))
    print(
        f"{options.output}: {len(arcs):,} arcs of {sum(map(len, arcs)):,} points, {borders:,} of them borders, "
        f"{len(polygons):,} polygons of land, {options.output.stat().st_size:,} bytes"
    )


def countries_arcs(collection: dict[str, Any]) -> Iterator[int]:
    """The arcs of all countries, once for each country that has them; a reversed one as ~arc."""
    for geometry in collection["geometries"]:
        polygons = geometry["arcs"] if geometry["type"] == "MultiPolygon" else [geometry.get("arcs", [])]
        yield from {arc for polygon in polygons for ring in polygon for arc in ring}


if __name__ == "__main__":
    main()
