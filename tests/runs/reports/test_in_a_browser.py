"""The page of a sweep, opened in a real browser: it sorts, filters, draws, and asks for nothing."""

from pathlib import Path

import pytest
from browser import Browser, browser, installed
from run_folders import run, sweep

from satclip.runs.reports import sweep_page
from satclip.runs.reports.compare import compared
from satclip.runs.reports.find import records

PROGRAM = installed()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="NEEDS a browser: chromium"),
]
COLUMN = "[...document.querySelectorAll('#runs tbody tr')].map(r => r.cells[{}].textContent)"
TYPE = (
    "(() => {{ const f = document.getElementById('filter'); f.value = {!r}; f.dispatchEvent(new Event('input')) }})()"
)


def names(page: Browser) -> list[str]:
    found: list[str] = page.ask(COLUMN.format(0))
    return found


def press(page: Browser, head: str) -> None:
    page.ask(f"[...document.querySelectorAll('#runs th button')].find(b => b.textContent === {head!r}).click()")


def keep(page: Browser, words: str) -> list[str]:
    page.ask(TYPE.format(words))
    return names(page)


def test_the_page_sorts_filters_and_draws_without_an_error(tmp_path: Path) -> None:
    root = sweep(tmp_path / "a sweep & more")
    run(root / "</script><img src=x onerror=boom()>", "legendre_polys=7", "seed=0", loss=0.15)
    sweep_page.save(compared(records([root])), root, "A sweep")
    assert PROGRAM is not None
    with browser(PROGRAM, tmp_path / "profile") as page:
        for width in (1400, 420):
            page.open(root / "report.html", width)
            assert page.ask("document.documentElement.scrollWidth <= innerWidth")
        assert len(names(page)) == 13
        assert names(page)[0] == "8"  # the best by gain stands first
        press(page, "val/loss")
        losses = page.ask(COLUMN.format(6))
        numbers = [float(each) for each in losses if each not in ("NaN", "–")]
        assert numbers == sorted(numbers)
        assert losses[len(numbers) :] == ["NaN", "–"]  # what is no number stays last,
        press(page, "val/loss")
        losses = page.ask(COLUMN.format(6))
        assert losses[-2:] == ["NaN", "–"]  # whichever way
        assert losses[0] == "2.1"
        press(page, "legendre_polys")
        assert page.ask(COLUMN.format(2))[:3] == ["5", "5", "5"]  # as numbers: 5 before 10
        assert keep(page, "state=failed") == ["10"]
        assert sorted(keep(page, "legendre_polys>=10 vision=vit16 val/loss<1")) == ["6", "7"]
        assert keep(page, "nothing like this") == []
        assert "0 of 13 runs" in page.ask("document.getElementById('count').textContent")
        assert len(keep(page, "")) == 13
        for drawn, kind in (("parallel", "polyline"), ("curves", "path"), ("spread", "circle")):
            assert page.ask(f"document.querySelectorAll('#{drawn} svg {kind}').length") >= 9, drawn
        assert page.ask("document.images.length") >= 2
        assert page.ask("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        assert page.said == []
