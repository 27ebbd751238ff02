"""Where the labels of each task come from, officially: what `scripts/fetch_tasks.py` fetches and checks."""

from dataclasses import dataclass

GITHUB = "https://raw.githubusercontent.com"
SATCLIP_DRIVE = "https://drive.google.com/drive/folders/1tI2qo6iioRrv3P1OxSXwHKObpLCrinad"
INATURALIST = "github.com/visipedia/inat_comp (2018), written as arrays lon, lat, classes,"


@dataclass(frozen=True)
class Origin:
    """One file.

    Attributes:
        task: the folder under the root of the tasks.
        file: its name there.
        url: where it is fetched from; None where it can only be had by hand.
        sha256: of the right file; None where none is known: that of the first fetch is recorded then.
        size: in bytes, where it is known.
        page: where a person finds it.
    """

    task: str
    file: str
    url: str | None
    sha256: str | None = None
    size: int | None = None
    page: str = ""


ORIGINS = (
    Origin(
        "air_temperature",
        "stationDataAll.csv",
        f"{GITHUB}/microsoft/satclip/main/figures/ssl4eo/stationDataAll.csv",
        "92d8456d82aafd3929ccba589e0ffe4ca15eeb321c07c430855d6756aaf07d33",
        383_938,
        "figshare, file 12609182",
    ),
    Origin(
        "california_housing",
        "housing.csv",
        f"{GITHUB}/ageron/handson-ml2/master/datasets/housing/housing.csv",
        "8a3727f4cf54ac1a327f69b1d5b4db54c5834ea81c6e4efc0d163300022a685e",
        1_423_529,
    ),
    Origin(
        "median_income",
        "income.csv",
        f"{GITHUB}/000Justin000/gnn-residual-correlation/master/datasets/election/income.csv",
    ),
    Origin("median_income", "counties.txt", f"{GITHUB}/MOZGIII/us-gazetteer-go/master/sources/counties.txt"),
    Origin(
        "elevation",
        "labels_elevation.csv",
        None,
        "32d3879981e9cffa6b441d0da1c2c9aab636fd03f6d97b4b0615d5769e302746",
        page=SATCLIP_DRIVE,
    ),
    Origin("population", "labels_population.csv", None, page=SATCLIP_DRIVE),
    Origin("country", "lat_lon_country.csv", None, page=SATCLIP_DRIVE),
    Origin("ecoregion", "lat_lon_ecoregion.csv", None, page=SATCLIP_DRIVE),
    Origin("species", "inat2018_train.npz", None, page=INATURALIST),
    Origin("species", "inat2018_val.npz", None, page=INATURALIST),
)


def remedy(*files: str) -> str:
    """How to get these files, in a clause that ends an error."""
    wanted = [origin for origin in ORIGINS if origin.file in files]
    fetched = sorted({origin.task for origin in wanted if origin.url is not None})
    by_hand = [f"{origin.file} from {origin.page} into {origin.task}/" for origin in wanted if origin.url is None]
    ways = [f"python scripts/fetch_tasks.py {' '.join(fetched)}"] if fetched else []
    ways += [f"put {' and '.join(by_hand)} under tasks.root"] if by_hand else []
    return ", or ".join(ways)
