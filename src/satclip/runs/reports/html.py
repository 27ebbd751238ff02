"""Pieces that the pages of runs and of sweeps are made of. What is not HTML already is escaped here."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from html import escape
from importlib.resources import files
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from satclip.downstream.benchmark.style import STYLE
from satclip.files import atomic_file

MARK = '<meta name="generator" content="satclip">'  # tells a page of ours from one that must not be replaced


def document(title: str, body: str, script: str = "") -> str:
    """A whole page, self-contained."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">{MARK}'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{STYLE}{asset('sweep.css')}</style></head><body>\n{body}\n<script>{asset('copy.js')}</script>{script}</body></html>\n"
    )


@lru_cache
def asset(name: str) -> str:
    """A file beside this one."""
    return (files(__package__ or "") / name).read_text(encoding="utf-8")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, marked: bool = False) -> str:
    """A table of texts; with `marked`, cells are HTML already."""
    head = "".join(f"<th>{escape(each)}</th>" for each in columns)

    def line(cell: str) -> str:
        kind = "wrap" if len(cell) > 80 and not marked else "figure"
        return f"<td class='{kind}'>{cell if marked else escape(cell)}</td>"

    lines = "".join(f"<tr>{''.join(map(line, row))}</tr>" for row in rows)
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>"


def command(line: str) -> str:
    """A command to copy."""
    return f"<div class='command'><button type='button' class='copy'>copy</button><pre>{escape(line)}</pre></div>"


def pairs(found: Mapping[str, str]) -> str:
    """Names and what they are."""
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in found.items() if v) + "</dl>"


def drawing(figure: Figure | None, words: str) -> str:
    """A figure as SVG inside the page; nothing for None."""
    if figure is None:
        return ""
    target = BytesIO()
    figure.savefig(target, format="svg", metadata={"Date": None})
    return _image(target.getvalue(), "image/svg+xml", words)


def photo(path: Path, words: str, width: int = 900) -> str:
    """A picture file inside the page, at most so many pixels wide; nothing where it cannot be read."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            small = opened.convert("RGBA")
    except (OSError, UnidentifiedImageError):
        return ""
    if small.width > width:
        small = small.resize((width, max(1, round(small.height * width / small.width))))
    ground = Image.new("RGB", small.size, "white")
    ground.paste(small, mask=small.getchannel("A"))
    target = BytesIO()
    ground.save(target, format="WEBP", quality=90)  # smooth: a palette of 128 colours draws contours into a globe
    return _image(target.getvalue(), "image/webp", words)


def save(path: Path, text: str) -> Path:
    """Write a page, whole or not at all; returns its path.

    Raises:
        OSError: it cannot be written there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as part:
        part.write_text(text, encoding="utf-8", errors="replace")
    return path


def is_ours(path: Path) -> bool:
    """Whether a page may be replaced: it is not there, or was written here."""
    return not path.exists() or MARK in path.read_text(encoding="utf-8", errors="replace")[:1000]


def _image(content: bytes, mime: str, words: str) -> str:
    return f"<img alt='{escape(words, quote=True)}' src='data:{mime};base64,{base64.b64encode(content).decode()}'>"
