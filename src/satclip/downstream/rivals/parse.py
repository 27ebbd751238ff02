"""One line names an encoder: a checkpoint, a published one, an encoding, somebody's function, or several joined."""

import re
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from satclip.checkpoint.sources import FILE_ENDINGS, HUB_NAME, PACKAGED, RELEASED
from satclip.downstream.contract import Places, Predictor
from satclip.downstream.rivals.from_scratch import from_scratch
from satclip.downstream.rivals.frozen import Frozen
from satclip.downstream.rivals.function import function
from satclip.downstream.rivals.plain import HARMONICS, PLAIN, encoding, harmonics, tuned_harmonics
from satclip.downstream.rivals.published import PUBLISHED, published
from satclip.downstream.rivals.ranged import ranged
from satclip.downstream.rivals.torchgeo_models import torchgeo
from satclip.downstream.rivals.torchspatial import torchspatial
from satclip.downstream.rivals.trained import trained
from satclip.downstream.rivals.tuned import Joined, Tuned
from satclip.downstream.rivals.untrained import tuned_bandwidth, untrained
from satclip.location.encodings import ENCODINGS

Row = Places | Tuned | Predictor
Options = dict[str, str]
FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
TUNED = "tuned"
RANGE, EXCLUDE = "range", "exclude_within_km"
FORMS = (
    "a checkpoint or run folder, owner/name on the hub, geoclip, harmonics:10, harmonics:tuned, cartesian3d, "
    "csp:FILE, untrained:CHECKPOINT:seed=1, untrained:CHECKPOINT:tuned, from_scratch:CHECKPOINT, module:function, "
    "or two of them joined by +"
)


def source(text: str) -> Row:
    """What `text` names, ready for the benchmark.

    | text                                            | what                                                      |
    |-------------------------------------------------|-----------------------------------------------------------|
    | best.ckpt, outputs/run, microsoft/SatCLIP-...   | a trained encoder of this project or the released ones    |
    | geoclip, tte, climplicit:month=7, mind:dim=64   | other authors' encoders, from their wheel or the hub      |
    | csp:FILE, sinr:FILE, gps2vec:FOLDER, tte:FILE   | the same from the file that they publish                  |
    | raw, sincos, wrap, theory:min_radius=0.1        | encodings that have learned nothing                       |
    | harmonics:10, harmonics:tuned                   | bare harmonics of one L, or of the best by inner folds    |
    | untrained:X, untrained:X:seed=2                 | the architecture of X with fresh weights                  |
    | untrained:X:tuned                               | the same, its bandwidth chosen by inner folds             |
    | from_scratch:X                                  | the architecture of X trained on the labels alone         |
    | range:best.ckpt+store                           | a trained encoder with its training patches beside it     |
    | range+:X+store:exclude_within_km=100            | the same by distance too, without patches within 100 km   |
    | torchgeo:SATCLIP_VIT16_L40                      | the location encoder of torchgeo 0.10                     |
    | package.module:name                             | a function [N, 2] degrees -> [N, D], or a predictor       |
    | geoclip+best.ckpt                               | vectors side by side                                      |

    Raises:
        ValueError: it is none of these, with the nearest known name; or what it names does not fit.
        FileNotFoundError, ConnectionError, ModuleNotFoundError: it is not to be had; ends with how to get it.
    """
    text = text.strip()
    pieces = _with_stores(_pieces(text))
    if len(pieces) == 1:
        return _one(pieces[0])
    parts: list[Places] = []
    for piece in pieces:
        part = _one(piece)
        if isinstance(part, Tuned | Predictor):
            raise ValueError(
                f"{piece} gives no fixed vectors, so it cannot be joined; join encoders: geoclip+best.ckpt"
            )
        parts.append(part)
    return Joined(parts, text)


def _pieces(text: str) -> list[str]:
    """Between the plus signs, except those within the name of a file that is there (sphereC+)."""
    parts, pieces = text.split("+"), []
    while parts:
        count = next((n for n in range(len(parts), 1, -1) if _is_path("+".join(parts[:n]))), 1)
        pieces.append("+".join(parts[:count]).strip())
        parts = parts[count:]
    if "" in pieces:
        raise ValueError(f"{text!r} names nothing beside a plus sign; give {FORMS}")
    return pieces


def _with_stores(pieces: list[str]) -> list[str]:
    """`range:best.ckpt` and `store` as the one piece that they are; so `range`, `:best.ckpt` and `store`."""
    joined: list[str] = []
    waiting = iter(pieces)
    for piece in waiting:
        if piece == RANGE:  # its plus sign was taken for one between pieces
            piece = f"{RANGE}+{next(waiting, '')}"
        if piece.startswith((f"{RANGE}:", f"{RANGE}+:")):
            piece = f"{piece}+{next(waiting, '')}"
        joined.append(piece)
    return joined


def _one(text: str) -> Row:
    kind, _, rest = text.partition(":")
    if kind in KINDS:
        return KINDS[kind](text, *_options(rest))
    if _is_path(text):
        path = Path(text).expanduser()
        return torchspatial(path, name=path.stem) if _is_torchspatial(path) else trained(text)
    if text in PACKAGED:
        return trained(text)
    released = {name.lower(): name for name in RELEASED}
    near = get_close_matches(text.lower(), released, 1, 0.85)
    if text not in RELEASED and near:
        raise ValueError(f"{text} is none of the released models; did you mean {released[near[0]]}?")
    close = get_close_matches(kind, KINDS, 1, 0.8 if rest else 0.6)
    if not (rest and close) and (HUB_NAME.fullmatch(text) or text.endswith(FILE_ENDINGS)):
        return trained(text)
    if FUNCTION.fullmatch(text) and not close:
        return function(text)
    raise ValueError(f"{text!r} names no encoder; {f'did you mean {close[0]}?' if close else f'give {FORMS}'}")


def _options(rest: str) -> tuple[str, Options]:
    """`X:seed=1:tuned` -> X and its options; a path may hold colons, but no key=value at its end."""
    options: Options = {}
    while True:
        before, colon, last = rest.rpartition(":")
        key, equals, value = last.partition("=")
        if _is_path(rest) or not ((equals and key.isidentifier()) or (last == TUNED and rest)):
            return rest, options
        options[key] = value
        rest = before if colon else ""


def _is_path(text: str) -> bool:
    return bool(text) and Path(text.strip()).expanduser().exists()


def _is_torchspatial(path: Path) -> bool:
    """By its name: `model_*.pt`, with a params.json beside it or not; ours and the published system's end in .ckpt."""
    return path.is_file() and path.suffix in (".pt", ".tar") and path.name.startswith("model_")


def _plain(text: str, rest: str, options: Options) -> Row:
    if rest or options:
        raise ValueError(f"{text}: {text.partition(':')[0]} takes nothing after the colon; leave it out")
    return PLAIN[text]()


def _encoding(text: str, rest: str, options: Options) -> Row:
    kind = text.partition(":")[0]
    if rest:
        raise ValueError(f"{text}: write options of {kind} as name=value, min_radius=0.1")
    return encoding(kind, {key: _number(value, text) for key, value in options.items()}, label=text)


def _harmonics(text: str, rest: str, options: Options) -> Row:
    if options == {TUNED: ""} and not rest:
        return tuned_harmonics()
    if options or not rest.isdigit():
        raise ValueError(f"{text}: give a whole number L, harmonics:10, or harmonics:tuned")
    return harmonics(int(rest))


def _published(text: str, rest: str, options: Options) -> Row:
    return published(text.partition(":")[0], rest, options, name=text)


def _untrained(text: str, rest: str, options: Options) -> Row:
    seed = _seed(text, options)
    base = _trainable(text, rest)
    return tuned_bandwidth(base, seed) if TUNED in options else untrained(base, seed)


def _from_scratch(text: str, rest: str, options: Options) -> Row:
    if TUNED in options:
        raise ValueError(f"{text}: from_scratch has no bandwidth to choose; leave {TUNED} out")
    return from_scratch(_trainable(text, rest), _seed(text, options))


def _range(text: str, rest: str, options: Options) -> Row:
    form, model, store = text.partition(":")[0], *rest.rpartition("+")[::2]
    unknown = set(options) - {EXCLUDE}
    if not model or not store or unknown:
        raise ValueError(f"{text}: give {form}:best.ckpt+store, and {EXCLUDE}=100 behind another colon if you like")
    return ranged(model, Path(store).expanduser(), form, _number(options.get(EXCLUDE, "0"), text), name=text)


def _torchgeo(text: str, rest: str, options: Options) -> Row:
    if options:
        raise ValueError(f"{text}: torchgeo takes the name of its weights alone, torchgeo:SATCLIP_VIT16_L40")
    return torchgeo(rest)


def _trainable(text: str, rest: str) -> Frozen:
    base = _one(rest) if rest else None
    if not isinstance(base, Frozen):
        raise ValueError(f"{text}: give one encoder with an architecture after the colon, untrained:best.ckpt")
    return base


def _seed(text: str, options: Options) -> int:
    others = set(options) - {"seed", TUNED}
    value = options.get("seed", "0")
    if others or not value.isdigit():
        raise ValueError(f"{text}: the options are seed=0 (a whole number) and {TUNED}")
    return int(value)


def _number(value: str, text: str) -> int | float:
    try:
        return int(value) if value.lstrip("-").isdigit() else float(value)
    except ValueError:
        raise ValueError(f"{text}: {value!r} is no number") from None


KINDS: dict[str, Callable[[str, str, Options], Row]] = {
    **dict.fromkeys(PLAIN, _plain),
    **dict.fromkeys((name for name in ENCODINGS if name != HARMONICS), _encoding),
    **dict.fromkeys(("harmonics", HARMONICS), _harmonics),
    **dict.fromkeys(PUBLISHED, _published),
    **dict.fromkeys((RANGE, f"{RANGE}+"), _range),
    "untrained": _untrained,
    "from_scratch": _from_scratch,
    "torchgeo": _torchgeo,
}
