"""What a click on the explorer's globe costs, in a headless Chromium, at 1 and 0.5 degrees.

    python scripts/benchmarks/bench_explorer.py outputs/blue_marble/...

By the page's own clock, the lower quartile of 30 places, which other programs disturb least:

- compare: the cosine of a cell to all others; colour: their colours; list: the places most like it elsewhere;
- click: all that happens before the next frame can be drawn; it is to be below the 16.7 ms of a frame at 60 Hz;
- follow: frames a second while the place follows the pointer, a new one in each frame, *with* drawing. The globe is
  drawn by the processor here (SwiftShader), in a window of 1,400 x 900; a graphics card's share is far smaller.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from chromium import browser

from satclip.checkpoint import load_location_encoder
from satclip.explorer.page import build_page

FRAME_MS = 1000 / 60
CLICKS = """(async () => {
    const encoder = explorer.encoders[0];
    const cells = Array.from({length: 30}, (_, k) => Math.floor((k + 0.5) / 30 * explorer.grid.size));
    const places = cells.map((cell) => explorer.grid.centre(cell));
    const clock = (act) => { const start = performance.now(); act(); return performance.now() - start; };
    const quartile = (times) => times.sort((a, b) => a - b)[7];
    explorer.pick(...places[15]);
    const compare = quartile(cells.map((cell) => clock(() => encoder.compare(cell))));
    const colour = quartile(cells.map(() => clock(() => explorer.paint())));
    const list = quartile(cells.map((cell) => { encoder.compare(cell); return clock(() => encoder.elsewhere(3000)); }));
    const click = [];
    for (const place of places) {
        await new Promise(requestAnimationFrame);
        click.push(clock(() => explorer.pick(...place)));
    }
    const frames = [];
    for (const place of [...places, ...places]) {
        explorer.pick(...place, false, true);
        frames.push(await new Promise(requestAnimationFrame));
    }
    const gaps = frames.slice(1).map((end, k) => end - frames[k]);
    return [compare, colour, list, quartile(click), 1000 / gaps.sort((a, b) => a - b)[Math.floor(gaps.length / 2)]];
})()"""


def main() -> None:
    """Print a line for each spacing."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    encoder = load_location_encoder(sys.argv[1])
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores\n")
    print("| degrees | cells | MB | compare, ms | colour, ms | list, ms | click, ms | click / frame | follow, 1/s |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with TemporaryDirectory() as folder, browser() as window:
        for degrees in (1.0, 0.5):
            page = build_page({"model": encoder}, degrees=degrees).write(Path(folder) / "page.html")
            window.open(page.as_uri())
            *times, click, rate = window.ask(CLICKS)
            cells, size = window.ask("explorer.grid.size"), page.stat().st_size / 1e6
            shown = " | ".join(f"{each:.1f}" for each in [*times, click])
            print(f"| {degrees:g} | {cells:,} | {size:.1f} | {shown} | {click / FRAME_MS:.2f} | {rate:.0f} |")


if __name__ == "__main__":
    main()
