"""Draw the package as a house: each folder a room, each import an arrow, floor above floor.

    python scripts/draw_house.py                       # docs/house.svg, and the rooms, arrows and circles in words
    python scripts/draw_house.py --contributing        # also the picture in CONTRIBUTING.md

docs/house.toml says which room stands on which floor. tests/test_floors.py holds the code against the same file.
"""

import argparse
import ast
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from satclip.optional_import import remedy

try:
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
except ModuleNotFoundError as error:
    sys.exit(f"error: {remedy(error) or error}")


ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "satclip"
PLAN = ROOT / "docs" / "house.toml"
BEGIN, END = "<!-- house: written by scripts/draw_house.py --contributing -->", "<!-- end of house -->"


@dataclass(frozen=True)
class Room:
    """A folder or a file of the package.

    Attributes:
        name: dotted, below `satclip`: "data.sources".
        floor: 0 is the ground.
        about: what is done there.
    """

    name: str
    floor: int
    about: str


def plan() -> list[Room]:
    """The rooms of docs/house.toml, from the top floor down."""
    floors = tomllib.loads(PLAN.read_text(encoding="utf-8"))["floor"]
    return [
        Room(name, len(floors) - 1 - index, about)
        for index, floor in enumerate(floors)
        for name, about in floor["rooms"].items()
    ]


def module_name(path: Path) -> str:
    """`src/satclip/data/sources/shards.py` -> `data.shards`; a package's own file is the package."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str, rooms: list[Room]) -> Room:
    """The room that a module stands in: the longest name that it begins with.

    Raises:
        LookupError: it stands in none.
    """
    matches = [room for room in rooms if module == room.name or module.startswith(f"{room.name}.")]
    if not matches:
        raise LookupError(f"{module} stands in no room: add it to {PLAN.relative_to(ROOT)}")
    return max(matches, key=lambda room: len(room.name))


def modules() -> Iterator[Path]:
    """Every file of the package but its face."""
    return (path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py")


def imports(path: Path) -> set[str]:
    """Every module that a file imports anywhere: of `from a import b` it is a.b where that is a module of ours, else a.

    Raises:
        ValueError: an import is relative.
    """
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{path.name}: write imports in full")
            for alias in node.names:
                longer = f"{node.module}.{alias.name}"
                found.add(longer if longer.removeprefix("satclip.") in names() else str(node.module))
    return found


def own_imports(path: Path) -> set[str]:
    """The modules of this package that a file imports, as `data.datamodule`."""
    mine = {module.removeprefix("satclip.") for module in imports(path) if module.startswith("satclip.")}
    return mine & names()


@cache
def names() -> frozenset[str]:
    """All modules of the package."""
    return frozenset(module_name(each) for each in modules())


def arrows(rooms: list[Room]) -> Counter[tuple[str, str]]:
    """How many imports run from one room to another."""
    found: Counter[tuple[str, str]] = Counter()
    for path in modules():
        mine = room_of(module_name(path), rooms)
        for module in own_imports(path):
            theirs = room_of(module, rooms)
            if theirs != mine:
                found[mine.name, theirs.name] += 1
    return found


def circles(edges: set[tuple[str, str]]) -> list[list[str]]:
    """Sets of rooms that import each other in a loop: components of mutual reach with more than one room."""
    onward: dict[str, set[str]] = {}
    for start, end in edges:
        onward.setdefault(start, set()).add(end)

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            for neighbour in onward.get(ahead.pop(), ()):
                if neighbour not in seen:
                    seen.add(neighbour)
                    ahead.append(neighbour)
        return seen

    reached = {start: reach(start) for start in onward}
    groups = {
        frozenset(other for other in seen if start in reached.get(other, ())) | {start}
        for start, seen in reached.items()
        if start in seen
    }
    return sorted(sorted(group) for group in groups)


def lines_of(rooms: list[Room]) -> Counter[str]:
    """Lines of code of each room."""
    found: Counter[str] = Counter()
    for path in modules():
        found[room_of(module_name(path), rooms).name] += len(path.read_text(encoding="utf-8").splitlines())
    return found


def words(room: Room) -> list[str]:
    """Its name in lines that fit into a box."""
    return room.name.replace(".", ".\n").replace("_", "_\n").split("\n")


def draw(rooms: list[Room], edges: Counter[tuple[str, str]], sizes: Counter[str], target: Path) -> None:
    """The picture: floors as rows, rooms as boxes as wide as their code, arrows as thick as their imports."""
    floors = sorted({room.floor for room in rooms}, reverse=True)
    figure = Figure((13, 1.35 * len(floors)))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0, 100)
    axes.set_ylim(-0.6, len(floors) - 0.4)
    axes.set_axis_off()
    middle: dict[str, tuple[float, float]] = {}
    for height, floor in enumerate(reversed(floors)):
        row = [room for room in rooms if room.floor == floor]
        wanted = [max(5.6, 0.72 * max(map(len, words(room))) + 1.2, sizes[room.name] ** 0.5 / 4.2) for room in row]
        widths = [width * min(1.0, 94 / sum(wanted)) for width in wanted]
        gap = (100 - sum(widths)) / (len(row) + 1)
        left = gap
        axes.text(0.4, height, str(floor), fontsize=9, color="#9aa7b1", va="center")
        for room, width in zip(row, widths, strict=True):
            axes.add_patch(
                FancyBboxPatch(
                    (left, height - 0.24),
                    width,
                    0.48,
                    boxstyle="round,pad=0,rounding_size=0.12",
                    facecolor="#e9eef2",
                    edgecolor="#24303a",
                    linewidth=0.8,
                    zorder=3,
                )
            )
            label = "\n".join([*words(room), f"{sizes[room.name]:,}"])
            axes.text(left + width / 2, height, label, ha="center", va="center", fontsize=7.2, zorder=4)
            middle[room.name] = (left + width / 2, height)
            left += width + gap
    for (start, end), count in edges.items():
        (x, y), (to_x, to_y) = middle[start], middle[end]
        up = to_y >= y and start.split(".")[0] != end.split(".")[0]
        axes.add_patch(
            FancyArrowPatch(
                (x, y - 0.24),
                (to_x, to_y + 0.24),
                arrowstyle="-|>,head_length=3,head_width=1.6",
                connectionstyle=f"arc3,rad={0.12 if to_x > x else -0.12}",
                linewidth=0.4 + 0.12 * min(count, 10),
                color="#d1495b" if up else "#7d98a8",
                alpha=0.55,
                zorder=1,
            )
        )
    figure.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else {})


def contributing(rooms: list[Room]) -> str:
    """The house as text, floor by floor, for CONTRIBUTING.md."""
    width = max(len(room.name) for room in rooms) + 2
    lines, before = [], -1
    for room in rooms:
        floor = f"{room.floor:>2}" if room.floor != before else "  "
        lines.append(f"{floor}  {room.name:<{width}}{room.about}")
        before = room.floor
    return "\n".join([BEGIN, "```text", *lines, "```", END])


def main() -> None:
    """Draw, and say what was drawn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "house.svg", help="svg, png or pdf")
    parser.add_argument("--contributing", action="store_true", help="write the text in CONTRIBUTING.md anew")
    options = parser.parse_args()
    rooms = plan()
    edges, sizes = arrows(rooms), lines_of(rooms)
    draw(rooms, edges, sizes, options.out)
    found = circles(set(edges))
    print(
        f"{len(rooms)} rooms, {len(edges)} arrows, {len(found)} circles, {sum(sizes.values()):,} lines: {options.out}"
    )
    for circle in found:
        print("circle: " + " <-> ".join(circle))
    if options.contributing:
        page = ROOT / "CONTRIBUTING.md"
        text = page.read_text(encoding="utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        page.write_text(before + contributing(rooms) + after, encoding="utf-8")


if __name__ == "__main__":
    main()
