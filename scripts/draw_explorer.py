"""Draw the two pictures of docs/explorer.md: pages that `satclip explore -o` wrote, in a headless Chromium.

satclip explore RUN -o one.html && satclip explore RUN --compare untrained:RUN -o two.html
python scripts/draw_explorer.py one.html two.html docs/
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))
from chromium import browser

QUALITY = 82  # of JPEG; pictures stay below 200 kB
VIEWS = {
    "explorer.jpg": (0, "explorer.pick(-62, -5, true)", 1400, 900, True),
    "explorer_two.jpg": (1, "explorer.pick(-62, -5, true)", 1400, 900, False),
}


def main() -> None:
    """Pages, then the folder of the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("one", type=Path, help="page of one encoder")
    parser.add_argument("two", type=Path, help="page of two")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    options = parser.parse_args()
    pages, folder = (options.one, options.two), options.folder
    with browser() as window:
        for name, (number, action, width, height, dark) in VIEWS.items():
            window.open(pages[number].resolve().as_uri(), width=width, height=height, dark=dark)
            window.ask(action)
            window.rest()
            print(window.picture(folder / name, quality=QUALITY))


if __name__ == "__main__":
    main()
