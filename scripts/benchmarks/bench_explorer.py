"""Time between a click on the explorer's globe and its new colours, in a headless Chromium, at 1 and 0.5 degrees.

    python scripts/benchmarks/bench_explorer.py outputs/blue_marble/...

Timed by the page's own clock: comparing a cell with all others and colouring them, the lower quartile of 30 clicks,
which other programs disturb least. Drawing is the graphics card's work and not timed here, where a processor stands in
for it. A frame at 60 Hz lasts 16.7 ms.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from chromium import browser

from satclip.checkpoint import load_location_encoder
from satclip.explorer.page import build_page

FRAME_MS = 1000 / 60
CLICKS = """(() => {
    const cells = Array.from({length: 30}, (_, k) => Math.floor((k + 0.5) / 30 * explorer.grid.size));
    const clock = (act) => { const start = performance.now(); act(); return performance.now() - start; };
    const timed = (act) => cells.map((cell) => clock(() => act(cell))).sort((a, b) => a - b)[7];
    explorer.encoders[0].compare(0);
    document.getElementById("layer").value = "similarity";
    return [timed((cell) => explorer.encoders[0].compare(cell)), timed(() => explorer.paint())];
})()"""


def main() -> None:
    """Print a line for each spacing."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    encoder = load_location_encoder(sys.argv[1])
    print("| degrees | cells | MB | compare, ms | colour, ms | share of a frame |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    with TemporaryDirectory() as folder, browser() as window:
        for degrees in (1.0, 0.5):
            page = build_page({"model": encoder}, degrees=degrees).write(Path(folder) / "page.html")
            window.open(page.as_uri())
            compare, colour = window.ask(CLICKS)
            cells, size = window.ask("explorer.grid.size"), page.stat().st_size / 1e6
            share = (compare + colour) / FRAME_MS
            print(f"| {degrees:g} | {cells:,} | {size:.1f} | {compare:.1f} | {colour:.1f} | {share:.2f} |")


if __name__ == "__main__":
    main()
