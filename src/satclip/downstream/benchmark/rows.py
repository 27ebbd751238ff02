"""The rows of a benchmark: what is asked about, and the rivals that stand beside it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from satclip.downstream.contract import Encoder, Predictor
from satclip.downstream.evaluate.interpolation import InverseDistance, SphereNeighbours
from satclip.downstream.evaluate.records import family_of
from satclip.downstream.rivals import Frozen, Row, source, tuned_bandwidth, untrained
from satclip.downstream.rivals.from_scratch import from_scratch
from satclip.downstream.rivals.frozen import Blocks
from satclip.downstream.rivals.plain import tuned_harmonics
from satclip.downstream.rivals.untrained import SEEDS
from satclip.location.encodings import ENCODINGS

DEFAULT, EVERY, NONE = "default", "all", "none"
FEW_LABELS_POLYS = (5, 10, 20)
INTERPOLATION: dict[str, Callable[[], Predictor]] = {"idw": InverseDistance, "knn": SphereNeighbours}
IN_A_RUN = ("checkpoints", "best.ckpt")  # what every run has


@dataclass(frozen=True)
class Rows:
    """What is run.

    Attributes:
        rows: all of them, each with a name of its own.
        subjects: families of what was asked about: encoders whose names differ in ", seed N" alone are one.
        untrained: by subject, the family of the same architecture with fresh weights.
        missing: rivals that are not at hand, in a line each.
        ceilings: by subject, the row of image features at the tested place itself.
        held_out: by subject, the blocks that its training left out.
    """

    rows: tuple[Encoder, ...]
    subjects: tuple[str, ...]
    untrained: Mapping[str, str]
    missing: tuple[str, ...] = ()
    ceilings: Mapping[str, str] = field(default_factory=dict)
    held_out: Mapping[str, Blocks] = field(default_factory=dict)


def rows(sources: Sequence[str], rivals: Sequence[str] = (DEFAULT,), *, quick: bool = True) -> Rows:
    """Open every encoder and its rivals.

    Args:
        sources: as `satclip.downstream.rivals.source` takes them.
        rivals: "default": untrained with three seeds, bare harmonics with L tuned, IDW, and as a ceiling the image of
            the place where it is at hand; "all": also kNN, every encoding, untrained with its bandwidth tuned, from
            scratch, GeoCLIP; "none"; further names come beside the default ones.
        quick: harmonics up to L = 20 only.

    Raises:
        ValueError, FileNotFoundError, ConnectionError, ModuleNotFoundError: a source is not to be had.
    """
    if not sources:
        raise ValueError("give an encoder at least: best.ckpt, microsoft/SatCLIP-ViT16-L10 or geoclip")
    opened: list[Row] = [source(text) for text in sources]
    for row, name in zip(opened, short_names([row.name for row in opened]), strict=True):
        if isinstance(row, Frozen):
            row.name = name
    return beside(opened, rivals, quick=quick)


def beside(
    opened: Sequence[Row],
    rivals: Sequence[str] = (DEFAULT,),
    *,
    quick: bool = True,
    fresh_name: str | None = None,
    ceiling: Encoder | None = None,
) -> Rows:
    """Rivals beside encoders that are open.

    Args:
        opened: the subjects.
        rivals: as for `rows`.
        quick: as for `rows`.
        fresh_name: of the untrained rows; by default each is named after its subject.
        ceiling: that of all subjects; by default each has its own.

    Raises:
        ValueError, FileNotFoundError, ConnectionError, ModuleNotFoundError: two subjects have one name, or a rival is
            not to be had.
    """
    found: dict[str, Encoder] = {row.name: row for row in opened}
    if len(found) < len(opened):
        raise ValueError(f"the same encoder is given twice: {', '.join(row.name for row in opened)}; leave one out")
    subjects, fresh = tuple(dict.fromkeys(map(family_of, found))), {}
    missing, ceilings = list[str](), {}
    named = [name for name in rivals if name not in (DEFAULT, EVERY, NONE)]
    if NONE not in rivals:
        fresh = _untrained(opened, found, fresh_name)
        plain: tuple[Encoder, ...] = (
            tuned_harmonics(FEW_LABELS_POLYS) if quick else tuned_harmonics(),
            InverseDistance(),
        )
        found.update({each.name: each for each in plain if each.name not in found})
        ceilings = _ceilings(opened, found, missing, ceiling)
    if EVERY in rivals:
        named = ["knn", *(name for name in ENCODINGS if name != "sphericalharmonics"), "raw", "geoclip", *named]
        for row in opened:
            if isinstance(row, Frozen) and row.fresh is not None:
                found.setdefault((tuned := tuned_bandwidth(row)).name, tuned)
                found.setdefault((scratch := from_scratch(row)).name, scratch)
    for name in named:
        try:
            rival: Encoder = INTERPOLATION[name]() if name in INTERPOLATION else source(name)
        except (ModuleNotFoundError, FileNotFoundError, ConnectionError) as error:
            if EVERY not in rivals:
                raise
            missing.append(f"{name}: {error}")
            continue
        found.setdefault(rival.name, rival)
    blocks = {row.name: row.held_out for row in opened if isinstance(row, Frozen) and row.held_out is not None}
    return Rows(tuple(found.values()), subjects, fresh, tuple(missing), ceilings, blocks)


def shortened(made: Rows, dims: int) -> Rows:
    """The first `dims` numbers of what was asked about, brought to length 1, and of the same with fresh weights.

    Raises:
        ValueError: a subject is no fixed encoder.
    """
    families = {made.untrained[name] for name in made.subjects if name in made.untrained}
    short: list[Encoder] = []
    for row in made.rows:
        family = family_of(row.name)
        if family in made.subjects and not isinstance(row, Frozen):
            raise ValueError(f"{row.name} has no first numbers; leave out --dims")
        mine = isinstance(row, Frozen) and (family in made.subjects or family in families)
        short.append(row.first(dims) if isinstance(row, Frozen) and mine else row)
    return replace(made, rows=tuple(short))


def short_names(names: Sequence[str]) -> list[str]:
    """Paths by as many of their last parts as tell them apart, without what every run has; other names as they are."""
    paths = {name: _parts(name) for name in names if Path(name).expanduser().exists()}
    short = []
    for name in names:
        parts = paths.get(name, (name,))
        others = [each for other, each in paths.items() if other != name]
        count = next((n for n in range(1, len(parts)) if all(o[-n:] != parts[-n:] for o in others)), len(parts))
        short.append("/".join(parts[-count:]))
    return short


def _parts(name: str) -> tuple[str, ...]:
    parts = Path(name).expanduser().resolve().parts
    while len(parts) > 2 and parts[-1] in IN_A_RUN:
        parts = parts[:-1]
    return parts


def _untrained(opened: Sequence[Row], found: dict[str, Encoder], name: str | None) -> dict[str, str]:
    """Add three seeds of each architecture to `found`, once where subjects share it; by subject, their family."""
    families: dict[str, str] = {}
    known: dict[str, str] = {}
    for row in opened:
        if not isinstance(row, Frozen) or row.fresh is None:
            continue
        if row.described not in known:
            fresh = [untrained(row, seed, name) for seed in SEEDS]
            found.update({each.name: each for each in fresh})
            known[row.described] = family_of(fresh[0].name)
        families[family_of(row.name)] = known[row.described]
    return families


def _ceilings(
    opened: Sequence[Row], found: dict[str, Encoder], missing: list[str], given: Encoder | None
) -> dict[str, str]:
    """Add what the imagery itself knows of a place to `found`; by subject, the row that is its ceiling.

    That is the one given, else its own image tower where the Blue Marble taught it, and plain statistics of the patch
    for the others.
    """
    try:
        from satclip.downstream.rivals.ceiling import ImageStatistics, image_tower, picture

        picture()
    except ImportError as error:
        missing.append(f"ceiling: {error}")
        return {}
    towers: dict[str, Encoder] = {}
    for row in opened:
        if isinstance(row, Frozen) and row.vision is not None:
            tower = image_tower(row.vision(), row.recipe, f"ceiling: image tower of {row.name}")
            if tower is not None:
                towers[row.name] = tower
    plain = ImageStatistics()
    every = [given or towers.get(row.name, plain) for row in opened]
    found.update({each.name: each for each in every})
    return {family_of(row.name): each.name for row, each in zip(opened, every, strict=True)}
