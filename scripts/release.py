"""Make the encoder that the package carries: train it, store it in half the bytes, check it, write its card.

    python scripts/release.py                                     # trains and scores: ten minutes on two cores
    python scripts/release.py --run outputs/blue_marble/DATE      # of a run that is there
    python scripts/release.py --check                             # only checks what the package carries

Refused, with nothing changed in the package: embeddings that differ from those of the run by more than 0.0005 of the
largest number, and scores that differ from the run's by more than 0.01 or do not beat the untrained network anywhere.
"""

import argparse
import csv
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from satclip.checkpoint import describe, load_location_encoder
from satclip.checkpoint.sources import PACKAGED
from satclip.files import atomic_folder
from satclip.location.encoder import LocationEncoder
from satclip.location.hub import CONFIG, WEIGHTS, WIDENED
from satclip.sphere import uniform_on_sphere

ROOT = Path(__file__).parents[1]
NAME = "blue-marble"
TOLERANCE = 5e-4  # of the largest number; float16 has eleven bits
SCORES = 0.01
PLACES = 100_000
CARD = ROOT / "scripts" / "release_card.md"


class UnfitError(Exception):
    """The encoder is not to be released."""


@dataclass(frozen=True)
class Parity:
    """How far the stored encoder is from the run's: relative to the largest number, and as 1 - cosine."""

    largest: float
    cosine: float


def main() -> None:
    """Read the options, train, write and check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="folder of a finished run of experiment=blue_marble")
    parser.add_argument("--scores", type=Path, help="folder of evaluate.py with the run and the stored encoder in it")
    parser.add_argument("--check", action="store_true", help="write nothing; --run adds the parity with that run")
    parser.add_argument("--target", type=Path, default=PACKAGED[NAME], help="where to (default: into the package)")
    options = parser.parse_args()
    try:
        if options.check:
            check(options.target, options.run)
            return
        run = options.run or train()
        with atomic_folder(options.target) as part:
            store(run, part)
            parity = measure(run, part)
            scores = options.scores or evaluate(run, part)
            part.joinpath("README.md").write_text(card(run, part, parity, scores))
        print(f"{options.target}: written")
    except (UnfitError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")


def train() -> Path:
    """Train the main recipe; the folder of the run."""
    folder = ROOT / "outputs" / "release"
    if folder.exists():
        raise UnfitError(f"{folder} is there from an earlier call: give it as --run, or remove it")
    subprocess.run(
        [sys.executable, "train.py", "experiment=blue_marble", f"hydra.run.dir={folder}"], cwd=ROOT, check=True
    )
    return folder


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
    """Score the stored encoder beside the run's and GeoCLIP; the folder of the scores."""
    scores = ROOT / "outputs" / "release_scores"
    copy = ROOT / "outputs" / NAME
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    models = f"model=['{copy}','{run / 'checkpoints' / 'best.ckpt'}',geoclip]"
    subprocess.run([sys.executable, "evaluate.py", models, "task=all", f"hydra.run.dir={scores}"], cwd=ROOT, check=True)
    return scores


def compare(scores: Path) -> bool:
    """Hold the stored encoder's scores against the run's; False where the scores are of the run alone.

    Raises:
        UnfitError: they differ, or nothing is gained over the untrained network.
    """
    with (scores / "summary.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    subjects = list(dict.fromkeys(line["row"] for line in lines if line["over_untrained"]))
    if NAME in subjects:
        by_row: dict[str, dict[tuple[str, ...], float]] = {}
        for line in lines:
            key = (line["task"], line["holdout"], line["asked"])
            by_row.setdefault(line["row"], {})[key] = float(line["score"])
        runs = [row for row in subjects if row not in (NAME, "geoclip")]
        apart = max(abs(by_row[NAME][key] - by_row[row][key]) for row in runs for key in by_row[NAME])
        print(f"scores differ from the run's by {apart:.3f} at most")
        if apart > SCORES:
            raise UnfitError(f"the stored encoder's scores differ from the run's by {apart:.3f}, more than {SCORES}")
    gains = [line for line in lines if line["row"] == subjects[0] and float(line["over_untrained_low"] or 0) > 0]
    print(f"{len(gains)} entries are better than the untrained network with the interval clear of 0")
    if not gains:
        raise UnfitError(f"{scores} shows no gain over the untrained network")
    return NAME in subjects


def card(run: Path, folder: Path, parity: Parity, scores: Path) -> str:
    """The model card, its table out of the scores.

    Raises:
        UnfitError: as `compare`.
    """
    stored = compare(scores)
    facts = describe(run)
    table = (scores / "table.md").read_text().strip().replace(run.name, NAME)
    return CARD.read_text().format(
        table=table,
        scored="these weights" if stored else "the same weights as float32",
        parameters=f"{facts['parameters']:,}",
        dim=facts["embedding_dim"],
        megabytes=f"{(folder / WEIGHTS).stat().st_size / 1e6:.1f}",
        largest=f"{parity.largest:.1e}",
        cosine=f"{parity.cosine:.0e}",
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
