"""A small STAC API with scenes in two UTM zones, whose pixels say where they lie, and which fails as it is told."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio.shutil
import shapely
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.transform import Affine
from rasterio.warp import transform_geom

SIDE, METRES = 300, 10  # of a scene
BANDS = {"red": 10, "nir": 20, "coastal": 60}  # and the metres of their pixels
CORE = "https://api.stacspec.org/v1.0.0"


def truth(x: NDArray[np.float64], y: NDArray[np.float64], band: str) -> NDArray[np.float64]:
    """The raw value of the ground at a place in metres of its zone."""
    return np.asarray(1500 + x // 10 % 211 * 7 + y // 10 % 197 * 5 + 1000 * list(BANDS).index(band))


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has had enough is no error."""


class Earth:
    """What the catalogue has, and what goes wrong with it.

    Attributes:
        scenes: items as JSON.
        files: by path.
        fails: by path, how often it answers with status 500 before it is well; "/search" too.
        asked: how often, by path.
        queries: what was searched for.
    """

    truth = staticmethod(truth)

    def __init__(self) -> None:
        self.scenes: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.fails: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.queries: list[dict[str, Any]] = []
        self.conforms = ["core", "collections", "ogcapi-features", "item-search", "item-search#query"]
        self.page = 2
        self.lock = threading.Lock()
        self.http = QuietServer(("127.0.0.1", 0), partial(Answers, self))
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def add(self, name: str, epsg: int, corner: tuple[int, int], day: str, cloud: float = 5.0, **about: Any) -> None:
        """A scene of three files, its upper left corner at so many metres; blank: columns of no data, from the west."""
        blank = about.pop("blank", 0)
        left, top = corner
        assets = {}
        for band, metres in BANDS.items():
            count = SIDE * METRES // metres
            x, y = np.meshgrid(left + (np.arange(count) + 0.5) * metres, top - (np.arange(count) + 0.5) * metres)
            pixels = truth(x, y, band).astype(np.uint16)
            pixels[:, : blank * METRES // metres] = 0
            self.files[f"/{name}/{band}.tif"] = cog(pixels, epsg, Affine(metres, 0, left, 0, -metres, top))
            assets[band] = {"href": f"{self.url}/{name}/{band}.tif"}
        right, bottom = left + SIDE * METRES, top - SIDE * METRES
        box = shapely.geometry.mapping(shapely.box(left, bottom, right, top))
        properties = {"datetime": f"{day}T10:00:00Z", "eo:cloud_cover": cloud, "baseline": "03.01"} | about
        self.scenes.append({
            "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": "small", "links": [],
            "geometry": transform_geom(f"EPSG:{epsg}", "EPSG:4326", box), "properties": properties, "assets": assets,
        })  # fmt: skip

    def search(self, body: dict[str, Any]) -> dict[str, Any]:
        first, _, last = body["datetime"].partition("/")
        most = body.get("query", {}).get("eo:cloud_cover", {}).get("lte", 1000)
        found = [
            scene
            for scene in self.scenes
            if shapely.geometry.shape(scene["geometry"]).intersects(shapely.geometry.shape(body["intersects"]))
            and first <= scene["properties"]["datetime"] <= last
            and scene["properties"]["eo:cloud_cover"] <= most
        ]
        start = int(body.get("token", 0))
        links = []
        if start + self.page < len(found):
            following = {**body, "token": str(start + self.page)}
            links = [{"rel": "next", "method": "POST", "href": f"{self.url}/search", "body": following}]
        return {"type": "FeatureCollection", "features": found[start : start + self.page], "links": links}


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, earth: Earth, *args: Any) -> None:
        self.earth = earth
        super().__init__(*args)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if self._fails(path):
            return
        root = {"rel": "root", "href": self.earth.url, "type": "application/json"}
        about = {"type": "Catalog", "id": "small", "stac_version": "1.0.0", "description": "small"}
        links = [root, {"rel": "data", "href": f"{self.earth.url}/collections"}]
        links += [
            {"rel": "search", "type": "application/geo+json", "href": f"{self.earth.url}/search", "method": method}
            for method in ("GET", "POST")
        ]
        if path == "/":
            conforms = [f"{CORE}/{name}" for name in self.earth.conforms]
            self._json({**about, "conformsTo": conforms, "links": links})
        elif path == "/collections/small":
            extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
            self._json({**about, "type": "Collection", "license": "other", "extent": extent, "links": [root]})
        elif path in self.earth.files:
            self._send(self.earth.files[path], "application/json" if path.startswith("/token") else "image/tiff")
        else:
            self._status(404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._fails(self.path):
            with self.earth.lock:
                self.earth.queries.append(body)
            self._json(self.earth.search(body))

    def _fails(self, path: str) -> bool:
        with self.earth.lock:
            self.earth.asked[path] += 1
            if self.earth.fails[path] == 0:
                return False
            self.earth.fails[path] -= 1
        self._status(500)
        return True

    def _json(self, what: dict[str, Any]) -> None:
        self._send(json.dumps(what).encode(), "application/json")

    def _send(self, data: bytes, kind: str = "image/tiff") -> None:
        size, status = len(data), 200
        if asked := self.headers.get("Range"):
            first, last = asked.removeprefix("bytes=").split("-")
            data, status = data[int(first) : int(last) + 1 if last else None], 206
            if not data:
                self._status(416)
                return
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if status == 206:
            self.send_header("Content-Range", f"bytes {int(first)}-{int(first) + len(data) - 1}/{size}")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _status(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def cog(pixels: NDArray[np.uint16], epsg: int, place: Affine) -> bytes:
    """A Cloud-Optimised GeoTIFF of one band."""
    height, width = pixels.shape
    with MemoryFile() as plain, MemoryFile() as optimised:
        with plain.open(
            driver="GTiff", width=width, height=height, count=1, dtype="uint16", crs=f"EPSG:{epsg}",
            transform=place, nodata=0,
        ) as file:  # fmt: skip
            file.write(pixels, 1)
        rasterio.shutil.copy(plain.name, optimised.name, driver="COG", blocksize=128, compress="deflate")
        return bytes(optimised.read())


@pytest.fixture
def empty_earth() -> Iterator[Earth]:
    earth = Earth()
    yield earth
    earth.http.shutdown()
    earth.http.server_close()


WEST = (32632, (720_000, 5_320_000))  # a scene's zone and corner, either side of 12 degrees east
EAST = (32633, (282_000, 5_320_000))


@pytest.fixture
def earth(empty_earth: Earth) -> Earth:
    """Each of two grounds three times: in January, in July and in July of the year after, when it was cloudy."""
    for name, ground in (("west", WEST), ("east", EAST)):
        empty_earth.add(f"{name}-winter", *ground, "2021-01-11")
        empty_earth.add(f"{name}-summer", *ground, "2021-07-11")
        empty_earth.add(f"{name}-cloudy", *ground, "2022-07-11", cloud=80.0)
    return empty_earth


@pytest.fixture
def area(tmp_path: Path) -> Path:
    """GeoJSON: the inner parts of both grounds, where a patch of 64 pixels lies within the scene."""
    shapes = []
    for epsg, (left, top) in (WEST, EAST):
        box = shapely.box(left + 400, top - 2600, left + 2600, top - 400)
        shapes.append(transform_geom(f"EPSG:{epsg}", "EPSG:4326", shapely.geometry.mapping(box)))
    features = [{"type": "Feature", "properties": {}, "geometry": shape} for shape in shapes]
    path = tmp_path / "area.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


SENSOR = """
collection: small
resolution: 10
bands: {red: [B04, red], nir: nir, coastal: coastal}
nodata: 0
scale: 0.0001
shift: {value: -0.1, key: baseline, least: 4.0, unless: taken_out}
cloud: eo:cloud_cover
"""


@pytest.fixture
def sensor_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SENSOR)
    return path
