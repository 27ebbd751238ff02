"""Small made-up files in the layouts of the official ones, and the real ones where they are."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

PERU, BERLIN, FIJI = (-76.0, -9.0), (13.4, 52.5), (179.5, -17.0)


@pytest.fixture
def real_data() -> Path:
    """The folder of real labels that SATCLIP_DATA names."""
    folder = os.environ.get("SATCLIP_DATA")
    if not folder:
        pytest.skip("NEEDS the environment variable SATCLIP_DATA: a folder with the tasks' files")
    return Path(folder)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of tasks in which every file is there, small, three places each and one row without a label."""
    folder = tmp_path / "tasks"
    files = {
        "air_temperature/stationDataAll.csv": "Lon,Lat,nObs,SG_rmsep,meanT,meanP\n"
        "-76.0,-9.0,1,.5,11.5,700\n13.4,52.5,1,.5,9.5,570\n179.5,-17.0,1,.5,25.0,2500\n0.0,0.0,1,.5,,\n",
        "elevation/labels_elevation.csv": "elevation,Lat,Lon\n"
        "3000.0,-9.0,-76.0\n34,52.5,13.4\n5,-17.0,179.5\nNaN,1,1\n",
        "population/labels_population.csv": "log_population,Lat,Lon\n"
        "2.5,-9.0,-76.0\n8.3,52.5,13.4\n3,-17.0,179.5\nNaN,1,1\n",
        "median_income/income.csv": 'FIPS,MedianIncome2015,MedianIncome2016\n0,"1","2"\n1001,"56,580","54,487"\n'
        '1003,"52,387","56,460"\n2013,"57,015",\n',
        "median_income/counties.txt": "AL|01001|00161526|Autauga County|1|2|3|4|32.532237|-86.64644\n"
        "AL|01003|00161527|Baldwin County|1|2|3|4|30.659218|-87.746067\n"
        "AK|02013|01419964|Aleutians|1|2|3|4|55.245044|+161.997477\n",
        "california_housing/housing.csv": "longitude,latitude,median_income,median_house_value,ocean_proximity\n"
        "-122.23,37.88,8.3,452600.0,NEAR BAY\n-118.2,34.0,8.3,100000.0,INLAND\n-117.1,32.7,8.3,500001.0,INLAND\n",
        "country/lat_lon_country.csv": "lat,lon,country\n-9.0,-76.0,604\n52.5,13.4,276\n-17.0,179.5,242\n0,-30,0\n",
        "ecoregion/lat_lon_ecoregion.csv": "lat,lon,ecoregion_class_index,biome_class_index,realmbiome_class_index\n"
        "-9.0,-76.0,700,1,3\n52.5,13.4,12,4,5\n-17.0,179.5,31,1,9\n0,-30,-1,-1,-1\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "species").mkdir()
    places = np.array([PERU, BERLIN, FIJI, (0.0, 0.0)], np.float32)
    for part, species in (("train", [7, 7, 90, 3]), ("val", [90, 7, 3, 5000])):
        np.savez(folder / f"species/inat2018_{part}.npz", lon=places[:, 0], lat=places[:, 1], classes=np.array(species))
    return folder


@pytest.fixture
def stand_ins(tmp_path: Path) -> Path:
    """The layouts of MOSAIKS by TorchSpatial, of RANGE, and the joined counties."""
    folder = tmp_path / "others"
    for name, text in {
        "country/country.csv": "lon,lat,country\n-76.0,-9.0,Peru\n13.4,52.5,Germany\n179.5,-17.0,Fiji\n",
        "ecoregion/ecoregion_train.csv": "X,Y,BIOME_NAME,ECO_NAME\n-76.0,-9.0,Moist,Ucayali\n13.4,52.5,Mixed,Baltic\n",
        "ecoregion/ecoregion_val.csv": "X,Y,BIOME_NAME,ECO_NAME\n179.5,-17.0,Moist,Fiji\n0,0,,\n",
        "population/population.csv": "lon,lat,population\n-76.0,-9.0,0\n13.4,52.5,4000\n179.5,-17.0,20\n",
        "median_income/us_county_income.csv": "FIPS,NAME,lon,lat,MedianIncome2015,MedianIncome2016\n"
        "1001,Autauga,-86.6,32.5,1,54487.0\n1003,Baldwin,-87.7,30.7,1,56460.0\n15005,Kalawao,-157,21.2,,\n",
        "species/inat2018_train.csv": "lon,lat,class\n-76.0,-9.0,7\n13.4,52.5,7\n179.5,-17.0,90\n",
        "species/inat2018_val.csv": "lon,lat,class\n-76.0,-9.0,7\n,,3\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "mosaiks").mkdir()
    with gzip.open(folder / "mosaiks/mosaiks_elevation.csv.gz", "wt") as file:
        file.write("lon,lat,label\n-76.0,-9.0,3000\n13.4,52.5,34\n179.5,-17.0,5\n")
    return folder
