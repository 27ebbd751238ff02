"""Area, days, sensors and catalogues: each by itself."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import Affine
from rasterio.warp import transform

from satclip.data.prepare.sampling import signing
from satclip.data.prepare.sampling.area import load_area
from satclip.data.prepare.sampling.catalogue import Catalogue, Patience
from satclip.data.prepare.sampling.dates import Days
from satclip.data.prepare.sampling.sensor import load_sensor
from satclip.data.prepare.sampling.trouble import SceneError, UnreachableError
from satclip.data.prepare.sampling.window import read_patch, utm_zone

Earth = Any
SENSORS = Path(__file__).parents[4] / "scripts" / "sensors"
WORLD = (-90.0, 90.0)


def geojson(folder: Path, shape: Any) -> str:
    path = folder / "shape.geojson"
    path.write_text(json.dumps(shapely.geometry.mapping(shape)))
    return str(path)


def test_places_are_even_over_the_sphere_and_not_over_degrees() -> None:
    area = load_area("sphere", WORLD)
    places = np.array([area.place(0, number) for number in range(1000)])
    z, longitude = np.sort(np.sin(np.radians(places[:, 1]))), np.sort(places[:, 0])
    steps = (np.arange(1000) + 0.5) / 1000
    # Kolmogorov-Smirnov, 1.63 / sqrt(N) is the bound at 1 %
    assert np.abs(z - (2 * steps - 1)).max() / 2 < 1.63 / np.sqrt(1000)
    assert np.abs(longitude - (360 * steps - 180)).max() / 360 < 1.63 / np.sqrt(1000)


def test_places_are_even_within_any_polygon(tmp_path: Path) -> None:
    """A tall box has sin(60) / sin(80) of its area below 60 degrees, not 60 of 80."""
    holed = shapely.box(10, 0, 20, 80).difference(shapely.box(12, 10, 18, 20))
    area = load_area(geojson(tmp_path, holed), WORLD)
    places = np.array([area.place(3, number) for number in range(1000)])
    assert shapely.contains_xy(holed, *places.T).all()
    hole = 0.6 * np.diff(np.sin(np.radians((10, 20)))).item()
    whole, below = (np.sin(np.radians(latitude)) - hole for latitude in (80, 60))
    assert abs((places[:, 1] < 60).mean() - below / whole) < 4 * np.sqrt(0.25 / 1000)


def test_land_is_land_and_the_date_line_is_no_border(tmp_path: Path) -> None:
    land = load_area("land", (-56.0, 84.0))
    places = np.array([land.place(1, number) for number in range(150)])
    assert np.abs(places[:, 1] - 14).max() <= 70
    africa = (places[:, 0] > 12) & (places[:, 0] < 30) & (np.abs(places[:, 1]) < 25)
    assert africa.sum() > 5  # a fifteenth of the land outside Antarctica, 9.6 of 136 million square kilometres
    assert not land.contains(np.array([-150.0, -30.0]), np.array([0.0, 40.0])).any()
    assert land.contains(np.array([20.0, 179.0, -179.0]), np.array([0.0, 67.0, 67.0])).all()
    for west, east in ((170, 190), (-190, -170)):
        across = load_area(geojson(tmp_path, shapely.box(west, -20, east, -10)), WORLD)
        longitude = np.array([across.place(0, number)[0] for number in range(60)])
        assert (np.abs(longitude) >= 170).all()
        assert {True, False} == set((longitude < 0).tolist())


def test_a_place_is_a_function_of_its_keys(tmp_path: Path) -> None:
    one, again = (load_area(geojson(tmp_path, shapely.box(0, 0, 9, 9)), WORLD) for _ in range(2))
    assert one.place(1, 2, 3) == again.place(1, 2, 3)
    assert len({one.place(*keys) for keys in ((1, 2, 3), (2, 1, 3), (1, 2, 4), (1, 2))}) == 4
    assert one.digest() == again.digest() != load_area("sphere", WORLD).digest()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not GeoJSON .*; export it anew"),
        ("[]", "is not GeoJSON .*; export it anew"),
        ('{"type": "Point", "coordinates": [1, 2]}', "has no polygon; --area needs Polygon"),
        ('{"type": "Polygon", "coordinates": [[[0,0],[2,2],[2,0],[0,2],[0,0]]]}', "not valid .*make_valid"),
        ('{"type": "Polygon", "coordinates": [[[5e5,0],[6e5,0],[6e5,9],[5e5,0]]]}', "must be in degrees .* reproject"),
    ],
)
def test_an_area_that_is_none_says_what_to_do(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "shape.geojson").write_text(text)
    with pytest.raises(ValueError, match=said):
        load_area(str(tmp_path / "shape.geojson"), WORLD)
    with pytest.raises(FileNotFoundError, match="takes land, sphere or a GeoJSON file"):
        load_area("lnad", WORLD)


def test_summer_is_in_december_south_of_the_equator() -> None:
    days = Days(date(2021, 1, 15), date(2022, 1, 31), (), ("summer",))
    assert [first.month for first, _ in days.spans(50.0)] == [6, 7, 8]
    assert days.spans(-30.0) == [
        (date(2021, 1, 15), date(2021, 1, 31)), (date(2021, 2, 1), date(2021, 2, 28)),
        (date(2021, 12, 1), date(2021, 12, 31)), (date(2022, 1, 1), date(2022, 1, 31)),
    ]  # fmt: skip
    assert days.takes(datetime(2021, 7, 1, tzinfo=UTC), 10.0)
    assert not days.takes(datetime(2021, 7, 1, tzinfo=UTC), -10.0)
    assert not days.takes(datetime(2021, 1, 14, 23, tzinfo=UTC), -10.0)
    eastern = datetime(2022, 2, 1, 5, tzinfo=UTC).astimezone().replace(tzinfo=None)
    assert not days.takes(eastern.replace(tzinfo=UTC) + timedelta(days=1), -10.0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"last": date(2020, 1, 1)}, "must be FIRST LAST"),
        ({"months": (13,)}, "are 1 to 12, got 13"),
        ({"seasons": ("dry",)}, "no season dry; one of spring, summer"),
        ({"last": date(2021, 3, 1), "seasons": ("summer",)}, "widen one of them"),
    ],
)
def test_days_that_are_none_say_what_to_do(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Days(**{"first": date(2021, 1, 1), "last": date(2021, 12, 31), **options})


def test_the_shipped_sensors_say_what_their_agencies_say() -> None:
    sentinel, landsat, naip = (load_sensor(SENSORS / f"{name}.yaml") for name in ("sentinel2", "landsat89", "naip"))
    from satclip.data.geotiff.bands import SENTINEL2_L2A

    assert tuple(sentinel.bands) == SENTINEL2_L2A
    one, there = np.array([[[1, 1001, 3000]]], np.uint16), np.zeros((1, 1, 3), bool)
    late = {"s2:processing_baseline": "04.00"}
    assert sentinel.stored(one, there, late).tolist() == [[[1, 1, 2000]]]
    assert sentinel.stored(one, ~there, late).tolist() == [[[0, 0, 0]]]
    assert sentinel.stored(one, there, {"s2:processing_baseline": "03.01"}).tolist() == one.tolist()
    assert sentinel.stored(one, there, late | {"earthsearch:boa_offset_applied": True}).tolist() == one.tolist()
    # USGS: 7,273 is reflectance 0 and 43,636 is 1
    assert landsat.stored(np.array([[[7273, 43_636]]], np.uint16), there[..., :2], {}).tolist() == [[[1, 10_000]]]
    picture = np.array([[[0, 200, 255]]], np.uint8)
    assert naip.stored(picture, there, {}).tolist() == picture.tolist()
    assert naip.asset("NIR", {"image": {"href": "http://a/b.tif"}}) == ("http://a/b.tif", 4)
    assert sentinel.asset("B8A", {"nir08": {"href": "c"}}) == ("c", 1)
    assert sentinel.asset("B8A", {"nir": {"href": "c"}}) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "is not yaml"),
        ("collection: c\nresolution: 10\nband: {a: b}", "unknown band; a sensor has bands"),
        ("collection: c\nresolution: 10", "lacks 'bands'; compare with scripts/sensors/sentinel2.yaml"),
        ("collection: c\nresolution: 0\nbands: {a: b}", "resolution must be above 0"),
        ("collection: c\nresolution: 1\nbands: {a: b:x}", "KEY or KEY:NUMBER"),
        ("collection: c\nresolution: 1\nbands: {a: b}\nresampling: best", "no resampling best; one of nearest"),
        ("collection: c\nresolution: 1\nbands: {a: b}\nshift: {value: 1}", "compare with"),
    ],
)
def test_a_sensor_file_that_is_wrong_says_what_to_do(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ValueError, match=said):
        load_sensor(tmp_path / "mine.yaml")


def test_a_band_that_the_sensor_lacks_is_named(sensor_file: Path) -> None:
    assert list(load_sensor(sensor_file, ["nir", "red"]).bands) == ["nir", "red"]
    with pytest.raises(ValueError, match="no band B99, only red, nir, coastal"):
        load_sensor(sensor_file, ["red", "B99"])


def test_a_file_of_several_bands_in_degrees_comes_out_in_the_zone_of_the_place(tmp_path: Path) -> None:
    """Its pixels are their longitude and latitude, its sides have no nodata value, and beyond them there is none."""
    side, step = 600, 1e-5
    longitude, latitude = np.meshgrid(np.arange(side), np.arange(side))
    pixels = np.stack((longitude, latitude, latitude * 0 + 7)).astype(np.float32)
    with rasterio.open(
        tmp_path / "scene.tif", "w", driver="GTiff", width=side, height=side, count=3, dtype="float32",
        crs="EPSG:4326", transform=Affine(step, 0, 15.0, 0, -step, -20.0),
    ) as file:  # fmt: skip
        file.write(pixels)
    (tmp_path / "s.yaml").write_text("collection: c\nresolution: 2\nbands: {x: 'all:1', y: 'all:2', z: 'all:3'}")
    sensor, catalogue = load_sensor(tmp_path / "s.yaml"), Catalogue("http://127.0.0.1:1", "c")
    scene = {"id": "one", "properties": {}, "assets": {"all": {"href": str(tmp_path / "scene.tif")}}}
    data, share = read_patch(scene, (15.003, -20.003), sensor, 32, catalogue, 0.0)
    with rasterio.MemoryFile(data) as file, file.open() as patch:
        found = patch.read()
        assert (patch.crs.to_epsg(), patch.res, share) == (32733, (2, 2), 0.0)
        x, y = patch.transform @ (10.5, 20.5)
        (east,), (north,) = transform(patch.crs, "EPSG:4326", [x], [y])
    assert abs(found[0, 20, 10] - ((east - 15.0) / step - 0.5)) <= 1
    assert abs(found[1, 20, 10] - ((-20.0 - north) / step - 0.5)) <= 1
    with pytest.raises(SceneError, match="nodata: one: "):
        read_patch(scene, (15.0, -20.003), sensor, 32, catalogue, 0.2)
    scene["assets"]["all"]["href"] = str(tmp_path / "none.tif")
    with pytest.raises(SceneError, match="file damaged"):
        read_patch(scene, (15.003, -20.003), sensor, 32, catalogue, 0.0)


def test_zones_are_six_degrees_wide_from_the_date_line() -> None:
    places = ((11.9, 48.0), (12.1, 48.0), (-180.0, -1.0), (179.9, 10.0))
    assert [utm_zone(*place) for place in places] == [32632, 32633, 32701, 32660]


def test_a_catalogue_that_is_none_says_what_to_do(empty_earth: Earth) -> None:
    patience = Patience(0, 0.0, 5.0)
    with pytest.raises(ValueError, match=r"has no collection large; look at .*/collections"):
        Catalogue(empty_earth.url, "large", patience=patience).check()
    with pytest.raises(UnreachableError, match="status 404"):
        Catalogue(f"{empty_earth.url}/nothing", "small", patience=patience).check()
    empty_earth.conforms = ["core"]
    with pytest.raises(ValueError, match=r"has no search .*takes the address of a STAC API"):
        Catalogue(empty_earth.url, "small", patience=patience).check()


def test_addresses_are_signed_for_the_planetary_computer_alone_with_one_token_an_hour(
    empty_earth: Earth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing.Tokens.__init__, "__defaults__", (f"{empty_earth.url}/token",))

    def told(minutes: int) -> bytes:
        until = (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return json.dumps({"msft:expiry": until, "token": "sig=abc"}).encode()

    empty_earth.files |= {"/token/ours/box": told(45), "/token/ours/late": told(4), "/token/ours/odd": b"{}"}
    blob = "https://ours.blob.core.windows.net"
    patience = Patience(0, 0.0, 5.0)
    asked = Catalogue("planetary-computer", "c", patience=patience)
    plain = Catalogue("earth-search", "c", patience=patience)
    for name in ("B04.tif", "B03.tif"):
        assert asked.sign(f"{blob}/box/{name}") == f"{blob}/box/{name}?sig=abc"
        assert asked.sign(f"{blob}/late/{name}?a=b") == f"{blob}/late/{name}?a=b&sig=abc"
    assert (empty_earth.asked["/token/ours/box"], empty_earth.asked["/token/ours/late"]) == (1, 2)
    for address in ("http://127.0.0.1/B04.tif", f"{blob}/box/B04.tif?sig=mine"):
        assert asked.sign(address) == address
    assert plain.sign(f"{blob}/box/B04.tif") == f"{blob}/box/B04.tif"
    for box in ("none", "odd"):
        with pytest.raises(UnreachableError, match=f"no token for ours/{box}"):
            asked.sign(f"{blob}/{box}/B04.tif")
