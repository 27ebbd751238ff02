"""Sample satellite patches of one's own from a STAC catalogue, drawn evenly over area, and write them as shards.

    python scripts/sample_s2.py data/mine --patches 5000                                  # Sentinel-2, all land
    python scripts/sample_s2.py data/kenya --patches 2000 --area kenya.geojson --seasons summer --max-cloud 10
    python scripts/sample_s2.py data/rgb --patches 500 --bands B04 B03 B02 --catalogue planetary-computer
    python scripts/sample_s2.py data/landsat --patches 1000 --sensor landsat89 --catalogue planetary-computer

A call that was interrupted resumes with the same command, and comes to the same patches. `dataset=s2_folder
dataset.root=OUT` trains on them; python scripts/check_shards.py OUT looks at each.
"""

import argparse
import logging
import sys
from datetime import date
from pathlib import Path
from typing import Any

from satclip.optional_import import remedy

try:
    from satclip.data.prepare.sampling.area import load_area
    from satclip.data.prepare.sampling.catalogue import PRESETS, Catalogue, Patience
    from satclip.data.prepare.sampling.dates import SEASONS, Days
    from satclip.data.prepare.sampling.place import Sampling
    from satclip.data.prepare.sampling.sensor import REFLECTANCE, load_sensor
    from satclip.data.prepare.sampling.trouble import UnreachableError
    from satclip.data.prepare.sampling.write import sample
except ModuleNotFoundError as error:
    sys.exit(f"error: {remedy(error) or error}")

SENSORS = Path(__file__).parent / "sensors"


def whole(least: int) -> Any:
    """A type of argument: a whole number from `least` on."""

    def number(text: str) -> int:
        if (value := int(text)) < least:
            raise argparse.ArgumentTypeError(f"must be {least} or more, got {value}")
        return value

    return number


def between(least: float, most: float) -> Any:
    """A type of argument: a number within bounds."""

    def number(text: str) -> float:
        if not least <= (value := float(text)) <= most:
            raise argparse.ArgumentTypeError(f"must be {least:g} to {most:g}, got {value:g}")
        return value

    return number


def arguments() -> argparse.ArgumentParser:
    """The options."""
    shipped = ", ".join(sorted(path.stem for path in SENSORS.glob("*.yaml")))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("out", type=Path, help="new folder")
    add("--patches", type=whole(1), required=True, help="how many; a call that resumes may ask for more")
    add("--area", default="land", help="land (default), sphere, or a GeoJSON file with polygons in degrees")
    add("--sensor", default="sentinel2", help=f"{shipped} (default sentinel2), or a yaml file of your own like them")
    add("--bands", nargs="+", help="some of the sensor's, in this order (default: all)")
    add("--dates", nargs=2, type=date.fromisoformat, default=[date(2021, 1, 1), date(2023, 5, 17)],
        metavar=("FIRST", "LAST"), help="days, as 2021-01-01 2023-05-17 (default, those of S2-100K)")  # fmt: skip
    add("--months", nargs="+", type=int, default=[], help="1 to 12 (default: all)")
    add("--seasons", nargs="+", default=[], choices=sorted(SEASONS), help="of the place: summer is June to August in "
        "the north, December to February in the south (default: all)")  # fmt: skip
    add("--max-cloud", type=between(0, 100), default=20.0, help="percent of a scene (default 20)")
    add("--max-nodata", type=between(0, 0.9), default=0.01, help="share of a patch in its worst band (default 0.01)")
    add("--catalogue", default="earth-search", help=f"{', '.join(PRESETS)} (default earth-search), or a STAC API's URL")
    add("--sign", action="store_true", help="sign addresses for the Planetary Computer (its own catalogue always does)")
    add("--size", type=whole(16), default=256, help="pixels along a side (default 256)")
    add("--seed", type=int, default=0, help="the same seed gives the same places")
    add("--places", type=whole(1), default=20, help="tried for one patch (default 20)")
    add("--scenes", type=whole(1), default=5, help="read at one place (default 5)")
    add("--per-shard", type=whole(1), default=1000)
    add("--threads", type=whole(1), default=8, help="patches fetched at a time (default 8)")
    add("--retries", type=whole(0), default=5, help="of a request, first after --wait seconds (default 5)")
    add(
        "--wait",
        type=between(0, 600),
        default=1.0,
        help="seconds before the first retry, then twice as long (default 1)",
    )
    return parser


def prepared(options: argparse.Namespace) -> Sampling:
    """What the options ask for.

    Raises:
        ValueError: of one that is wrong.
        FileNotFoundError: a file is not there.
    """
    path = SENSORS / f"{options.sensor}.yaml"
    path = path if path.is_file() else Path(options.sensor)
    if not path.is_file():
        names = ", ".join(sorted(each.stem for each in SENSORS.glob("*.yaml")))
        raise FileNotFoundError(f"no sensor {options.sensor}; --sensor takes {names} or a yaml file")
    sensor = load_sensor(path, options.bands)
    patience = Patience(options.retries, options.wait)
    catalogue = Catalogue(options.catalogue, sensor.collection, signed=options.sign, patience=patience)
    if not catalogue.url.startswith(("http://", "https://")):
        raise ValueError(f"no catalogue {options.catalogue}; --catalogue takes {', '.join(PRESETS)} or an http address")
    first, last = options.dates
    days = Days(first, last, tuple(options.months), tuple(options.seasons))
    return Sampling(
        load_area(options.area, sensor.latitudes), sensor, days, catalogue, options.seed, options.size,
        options.max_cloud, options.max_nodata, options.places, options.scenes,
    )  # fmt: skip


def main() -> None:
    """Read the options and sample."""
    options = arguments().parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        what = prepared(options)
        counts = sample(what, options.patches, options.out, threads=options.threads, per_shard=options.per_shard)
    except (ValueError, OSError, UnreachableError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command resumes")
    rejected = ", ".join(f"{count} {reason}" for reason, count in counts["rejected"].items()) or "nothing"
    print(f"{options.out}: {counts['patches']} of {counts['asked']} patches, after {counts['places_tried']} places")
    print(f"rejected: {rejected}")
    if counts["without_patch"]:
        print(f"{counts['without_patch']} patches found no scene at {options.places} places each; --places tries more")
    bands = ",".join(what.sensor.bands)
    scale = "LARGEST_RAW_VALUE" if what.sensor.scale is None else REFLECTANCE
    print(f"check: python scripts/check_shards.py {options.out} --bands {' '.join(what.sensor.bands)}")
    print(
        f"train: python train.py dataset=s2_folder dataset.root={options.out} 'dataset.bands=[{bands}]' "
        f"'dataset.file_bands=[{bands}]' dataset.scale={scale}"
    )


if __name__ == "__main__":
    main()
