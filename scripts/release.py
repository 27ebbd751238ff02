"""Make the encoder that the package carries: train it, store it in half the bytes, check it, write its card.

    python scripts/release.py                                     # trains and scores: a quarter of an hour on two cores
    python scripts/release.py --run outputs/blue_marble/DATE      # of a run that is there
    python scripts/release.py --check                             # only checks what the package carries

Refused, with nothing changed in the package: a run that is not finished or not of experiment=blue_marble; embeddings
that differ from those of the run by more than 0.0005 of the largest number; scores that differ from the run's by more
than 0.01, that do not beat the untrained network anywhere, or that are on average 0.02 below those of the encoder that
the package carries now.
"""

import argparse
import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

import torch
from safetensors.torch import save_file

from satclip.checkpoint import describe, load_location_encoder
from satclip.checkpoint.sources import PACKAGED
from satclip.files import atomic_folder
from satclip.likeness import finest_km, resolution
from satclip.location.encoder import LocationEncoder
from satclip.location.hub import CONFIG, WEIGHTS, WIDENED
from satclip.sphere import uniform_on_sphere

if TYPE_CHECKING:
    from satclip.runs.reports.record import Record

ROOT = Path(__file__).parents[1]
NAME, RECIPE, BEFORE = "blue-marble", "blue_marble", "carried"
TOLERANCE = 5e-4  # of the largest number; float16 has eleven bits
SCORES = 0.01
WORSE = 0.02  # of the mean score: three seeds of the recipe lie within 0.006 of each other (docs/recipes.md)
PLACES = 100_000
CARD = ROOT / "scripts" / "release_card.md"
HERE = partial(subprocess.run, cwd=ROOT, check=True)
Scores = dict[str, dict[tuple[str, str, str], Mapping[str, str]]]  # row -> (task, hold-out, labels) -> its line


class UnfitError(Exception):
    """The encoder is not to be released."""


class Parity(NamedTuple):
    """How far the stored encoder is from the run's: relative to the largest number, and as 1 - cosine."""

    largest: float
    cosine: float


def main() -> None:
    """Read the options, train, write and check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="folder of a finished run of experiment=blue_marble")
    parser.add_argument("--scores", type=Path, help="outputs/release_scores of a call before, for the same run")
    parser.add_argument("--check", action="store_true", help="write nothing; --run adds the parity with that run")
    parser.add_argument("--target", type=Path, default=PACKAGED[NAME], help="where to (default: into the package)")
    options = parser.parse_args()
    try:
        if options.check:
            check(options.target, options.run)
            return
        run = options.run or train()
        record = finished(run)
        with atomic_folder(options.target) as part:
            store(run, part)
            parity = measure(run, part)
            scores = options.scores or evaluate(run, part)
            compare(scores, run.name)
            part.joinpath("README.md").write_text(card(record, part, parity, scores))
        print(f"{options.target}: written")
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {error.cmd[1]} ended with {error.returncode}; what it says above tells why")
    except (UnfitError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")


def train() -> Path:
    """Train the main recipe; the folder of the run."""
    folder = ROOT / "outputs" / "release"
    if folder.exists():
        raise UnfitError(f"{folder} is there from an earlier call: give it as --run, or remove it")
    HERE([sys.executable, "train.py", f"experiment={RECIPE}", f"hydra.run.dir={folder}"])
    return folder


def finished(run: Path) -> "Record":
    """What the folder of the run says of it.

    Raises:
        UnfitError: it has not come to its end, or is of another recipe, which the card would not describe.
    """
    from satclip.runs.reports.read import read  # needs the framework, which --check does without
    from satclip.runs.reports.record import FINISHED

    record = read(run, run.name)
    if record.state != FINISHED:
        raise UnfitError(f"{run} is not finished ({record.note or record.state}); `satclip resume {run}` goes on")
    if record.option("experiment") != RECIPE:
        raise UnfitError(f"{run} is of experiment={record.option('experiment')}; the card is of experiment={RECIPE}")
    return record


def store(run: Path, folder: Path) -> None:
    """Write config.json and model.safetensors, its weights as float16."""
    encoder = load_location_encoder(run)
    weights = {name: tensor.half().contiguous() for name, tensor in encoder.state_dict().items()}
    if not all(tensor.isfinite().all() for tensor in weights.values()):
        raise UnfitError(f"{run} has weights that float16 does not hold; store it as float32")
    save_file(weights, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # it is written for its owner alone, and a package is for all
    (folder / CONFIG).write_text(json.dumps({**encoder.config(), WIDENED: "float32"}, indent=2) + "\n")


def measure(run: Path, folder: Path) -> Parity:
    """The parity of the stored encoder with the run's, at 100,000 places of the sphere.

    Raises:
        UnfitError: it is too far off.
    """
    lonlat = uniform_on_sphere(PLACES, torch.Generator().manual_seed(0))
    with torch.no_grad():
        mine, theirs = load_location_encoder(run)(lonlat), LocationEncoder.from_folder(folder)(lonlat)
    parity = Parity(
        float((mine - theirs).abs().max() / mine.abs().max()),
        float((1 - torch.cosine_similarity(mine.double(), theirs.double())).max()),
    )
    print(f"largest difference {parity.largest:.1e} of the largest number, 1 - cosine at most {parity.cosine:.0e}")
    if not parity.largest <= TOLERANCE:
        raise UnfitError(f"the stored encoder is off by {parity.largest:.1e}, more than {TOLERANCE:g}")
    return parity


def evaluate(run: Path, folder: Path) -> Path:
    """Score the stored encoder and GeoCLIP for the card; the run and the carried encoder under the same draws."""
    scores, models = (ROOT / "outputs" / name for name in ("release_scores", "release_models"))
    for name, source in ((NAME, folder), (BEFORE, PACKAGED[NAME])):  # rows are called after folders
        shutil.rmtree(models / name, ignore_errors=True)
        if source.is_dir():
            shutil.copytree(source, models / name)
    to_compare = [str(run), *([str(models / BEFORE)] if (models / BEFORE).is_dir() else [])]
    for part, sources in (("card", [str(models / NAME), "geoclip"]), ("compared", to_compare)):
        chosen = f"model=[{','.join(repr(source) for source in sources)}]"
        HERE([sys.executable, "evaluate.py", chosen, "task=all", f"hydra.run.dir={scores / part}"])
    return scores


def compare(scores: Path, run: str) -> None:
    """Hold the stored encoder's scores against those of the row `run`, the untrained network and the carried encoder.

    Raises:
        UnfitError: they differ, nothing is gained over the untrained network, or the encoder of now is better.
    """
    found = {**lines_of(scores / "compared" / "summary.csv"), **lines_of(scores / "card" / "summary.csv")}
    apart = [abs(difference) for difference in differences(found, NAME, run)]
    print(f"scores differ from the run's by {max(apart):.3f} at most")
    if max(apart) > SCORES:
        raise UnfitError(f"the stored encoder's scores differ from the run's by {max(apart):.3f}, more than {SCORES}")
    gains = [line for line in found[NAME].values() if float(line["over_untrained_low"] or 0) > 0]
    print(f"{len(gains)} entries are better than the untrained network with the interval clear of 0")
    if not gains:
        raise UnfitError(f"{scores} shows no gain over the untrained network")
    if BEFORE in found:
        change = fmean(differences(found, NAME, BEFORE))
        print(f"its mean score is {change:+.3f} beside that of the encoder that the package carries")
        if change < -WORSE:
            raise UnfitError(f"on average it scores {-change:.3f} less than the encoder that the package carries")


def lines_of(summary: Path) -> Scores:
    """The lines of a summary.csv."""
    found: Scores = {}
    with summary.open(newline="") as file:
        for line in csv.DictReader(file):
            found.setdefault(line["row"], {})[line["task"], line["holdout"], line["asked"]] = line
    return found


def differences(found: Scores, row: str, other: str) -> list[float]:
    """Of the scores of two rows, in each entry.

    Raises:
        UnfitError: one is not there, or they were asked different things.
    """
    mine, others = found.get(row, {}), found.get(other, {})
    if not mine or mine.keys() != others.keys():
        raise UnfitError(f"{row} and {other} were not scored on the same tasks; leave --scores out, and they are")
    return [float(line["score"]) - float(others[key]["score"]) for key, line in mine.items()]


def card(run: "Record", folder: Path, parity: Parity, scores: Path) -> str:
    """The model card: every figure in it is the run's, measured here, or out of the scores."""
    from satclip.runs.provenance import starts

    facts = describe(folder)
    began = starts(run.folder)[-1]
    halves = resolution(LocationEncoder.from_folder(folder)).half_km
    epochs, places = int(run.figures["best/epoch"]), began["data"]["train"]
    return CARD.read_text().format(
        table=(scores / "card" / "table.md").read_text().strip(),
        parameters=f"{facts['parameters']:,}",
        dim=facts["embedding_dim"],
        learned=facts["embedding_dim"] - (facts["skip_degrees"] ** 2 - 1),
        passed=facts["skip_degrees"] ** 2 - 1,
        degrees=facts["skip_degrees"] - 1,
        megabytes=f"{(folder / WEIGHTS).stat().st_size / 1e6:.1f}",
        largest=f"{parity.largest:.1e}",
        cosine=f"{parity.cosine:.0e}",
        places=f"{places:,}",
        epochs=epochs,
        minutes=f"{epochs * places / run.figures['best/train/samples_per_second'] / 60:.0f}",
        cores=began["hardware"]["cores"],
        torch=began["versions"]["torch"],
        half=f"{halves:,.0f} km" if halves else "more than 5,000 km",
        wave=f"{2 * finest_km(facts['encoding']['legendre_polys']):,.0f}",
        version=began["versions"]["satclip"],
    )


def check(folder: Path, run: Path | None) -> None:
    """Check what the package carries: that it loads, that its embeddings are finite, its card, and its parity.

    Raises:
        UnfitError: something is missing or off.
    """
    encoder = LocationEncoder.from_folder(folder)
    with torch.no_grad():
        found = encoder(uniform_on_sphere(PLACES, torch.Generator().manual_seed(0)))
    if not found.isfinite().all():
        raise UnfitError(f"{folder} embeds places as NaN or infinite")
    if not (folder / "README.md").is_file():
        raise UnfitError(f"{folder} has no card")
    print(f"{folder}: {describe(folder)['parameters']:,} weights, {found.shape[1]} numbers a place, finite everywhere")
    if run is not None:
        measure(run, folder)


if __name__ == "__main__":
    main()
