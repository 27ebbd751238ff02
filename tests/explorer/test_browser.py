"""The page in a real browser: what a click, a key and a small window do, against Python's own cosines."""

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from satclip.embedding import embed
from satclip.explorer.cells import AT_SEA, cells
from satclip.explorer.page import build_page
from satclip.location.encoder import LocationEncoder
from satclip.region import Region
from satclip.sphere import great_circle_km

pytestmark = pytest.mark.slow
DEGREES = 3.0  # of the fixture's page
LISTED = "[...document.querySelectorAll('#cards tbody tr')].map(row => [+row.dataset.cell, +row.cells[2].textContent])"


def ranking(encoder: LocationEncoder, cell: int) -> tuple[list[int], torch.Tensor]:
    """The eight most similar cells that the page should list, and all true cosines to `cell`."""
    grid = cells(DEGREES)
    unit = torch.nn.functional.normalize(embed(encoder, grid.lonlat).double(), dim=-1)
    cosines = unit @ unit[cell]
    allowed = grid.countries()[0] != AT_SEA
    chosen: list[int] = []
    for i in cosines.argsort(descending=True).tolist():
        others = grid.lonlat[[cell, *chosen]]
        km = great_circle_km(grid.lonlat[i].expand_as(others), others)
        if allowed[i] and km[0] >= 3000 and bool((km[1:] >= 1500).all()) and len(chosen) < 8:
            chosen.append(i)
    return chosen, cosines


def screen_place(window: Any, lon: float, lat: float) -> tuple[float, float]:
    """Where a place lies on the screen, by the camera's own matrices."""
    ring = np.cos(np.radians(lat))
    xyz = [ring * np.cos(np.radians(lon)), np.sin(np.radians(lat)), -ring * np.sin(np.radians(lon))]
    camera = window.ask(
        "({p: explorer.globe.camera.projectionMatrix.elements, v: explorer.globe.camera.matrixWorldInverse.elements})"
    )
    projection, view = (np.array(camera[name]).reshape(4, 4).T for name in "pv")
    x, y, _, w = projection @ view @ [*xyz, 1.0]
    box = window.ask(
        "(({left, top, width, height}) => [left, top, width, height])(explorer.panels[0].getBoundingClientRect())"
    )
    return box[0] + (x / w + 1) / 2 * box[2], box[1] + (1 - y / w) / 2 * box[3]


@pytest.mark.parametrize(("lon", "lat"), [(19.5, 4.5), (-4.5, 40.5), (40.5, 25.5)])
def test_a_click_lists_the_places_that_python_finds_most_similar(
    lon: float, lat: float, window: Any, encoder: LocationEncoder
) -> None:
    window.resize(1400, 900)
    window.rest()
    window.ask("document.getElementById('live').textContent = ''")  # what an earlier click said
    window.click(*screen_place(window, lon, lat))
    grid = cells(DEGREES)
    cell = window.ask("explorer.cell")
    assert grid.lonlat[cell].tolist() == [lon, lat]
    wanted, cosines = ranking(encoder, cell)
    listed = window.ask(LISTED)
    assert [value for _, value in listed] == pytest.approx([float(cosines[i]) for i, _ in listed], abs=0.03)
    assert [float(cosines[i]) for i, _ in listed] == pytest.approx([float(cosines[i]) for i in wanted], abs=0.05)
    assert listed[0][0] == wanted[0]
    every = window.ask("Array.from(explorer.encoders[0].cosines)")
    assert np.abs(np.array(every) - cosines.numpy()).max() < 0.03
    assert window.ask("explorer.layer") == "similarity"  # it lights up at once
    window.wait("document.getElementById('live').textContent.includes('Most similar elsewhere')")
    spoken = window.ask("document.getElementById('live').textContent")
    told = [float(number) for number in re.findall(r"cosine (\d\.\d+)", spoken)]
    assert told == pytest.approx([value for _, value in listed[:3]], abs=0.006)
    assert window.complaints == []
    assert [url[:8] for url in window.requests] == ["file:///"]


def test_what_is_similar_is_painted_on_the_globe(window: Any) -> None:
    window.ask("explorer.clear()")
    window.ask("explorer.pick(19.5, 4.5)")
    pixels = window.ask("Array.from(explorer.globe.spheres[0].pixels)")
    colours = np.array(pixels).reshape(-1, 4)[cells(DEGREES).numbers.astype(int), :3].sum(1)
    cosines = np.array(window.ask("Array.from(explorer.encoders[0].cosines)"))
    order = np.argsort(cosines)
    assert colours[order[-20:]].max() < colours[order[:20]].min()  # on a pale ground the similar is dark
    window.rest()
    here = window.ask("""(() => {
        const globe = explorer.globe, gl = globe.renderer.getContext(), out = new Uint8Array(4);
        globe.render();
        gl.readPixels(gl.drawingBufferWidth / 2, gl.drawingBufferHeight / 2, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, out);
        return Array.from(out);
    })()""")
    assert here[3] == 255  # the globe is there, and no hole


def test_arrow_keys_move_the_place_and_escape_clears_it(window: Any) -> None:
    window.ask("explorer.clear(); explorer.pick(20, 10); document.getElementById('stage').focus()")
    for key in ("ArrowRight", "ArrowUp"):
        window.press(key)
    step = window.ask("[explorer.place[0] - 20, explorer.place[1] - 10]")
    assert step == pytest.approx([DEGREES, DEGREES])
    window.press("ArrowLeft", shift=True)
    assert window.ask("explorer.place[0]") == pytest.approx(20 - 9 * DEGREES)
    window.ask("explorer.pick(-30, 40)")
    window.wait("document.getElementById('live').textContent.includes('this page holds no embedding there')")
    window.press("Escape")
    assert window.ask("[explorer.cell, document.querySelectorAll('#cards *').length]") == [-1, 0]
    assert window.complaints == []


def test_everything_can_be_reached_and_has_a_name(window: Any) -> None:
    window.ask("explorer.pick(20, 10)")
    nodes = window("Accessibility.getFullAXTree")["nodes"]
    found = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"] and any(each["name"] == "focusable" for each in node.get("properties", []))
    ]
    roles = {role for role, _ in found}
    assert {"application", "combobox", "button", "spinbutton", "checkbox"} <= roles
    assert all(name for role, name in found if role not in ("RootWebArea", "listbox")), found
    assert "table" in {node["role"]["value"] for node in nodes if not node["ignored"]}


@pytest.mark.parametrize(("width", "height"), [(420, 800), (900, 560), (1400, 900)])
def test_a_window_of_any_size_shows_the_whole_globe(width: int, height: int, window: Any) -> None:
    window.resize(width, height)
    window.rest()
    window.ask("explorer.globe.home()")
    window.rest()
    stage = window.ask(
        "(({width, height}) => [width, height])(document.getElementById('stage').getBoundingClientRect())"
    )
    canvas = window.ask("[explorer.globe.canvas.width, explorer.globe.canvas.height]")
    assert canvas == [int(side) for side in stage]
    assert window.ask("document.documentElement.scrollWidth") <= width
    # The globe's rim: seen from distance d a ball of radius 1 is tan(asin(1 / d)) high.
    distance, fov = window.ask("[explorer.globe.camera.position.length(), explorer.globe.camera.fov]")
    radius = np.tan(np.arcsin(1 / distance)) / np.tan(np.radians(fov / 2)) * stage[1] / 2
    assert 0.8 < 2 * radius / min(stage) < 1
    assert window.complaints == []


def test_every_layer_can_be_shown(window: Any) -> None:
    layers = window.ask("[...document.querySelectorAll('#layer option')].map(option => option.value)")
    assert {"similarity", "colours", "two", "regions", "predicted:elevation", "error:climate_zone"} <= set(layers)
    seen = set()
    for layer in layers:
        window.ask(f"document.getElementById('layer').value = '{layer}'; explorer.paint()")
        seen.add(window.ask("explorer.globe.spheres[0].pixels.reduce((sum, value, k) => (sum * 31 + value) % 1e9, 7)"))
        assert window.ask("document.getElementById('legend').children.length") >= 1
    assert len(seen) == len(layers)
    assert window.complaints == []


def test_two_encoders_turn_together_and_answer_side_by_side(
    chromium: ModuleType, encoder: LocationEncoder, tmp_path: Path
) -> None:
    other = encoder.untrained(5)
    page = build_page({"first": encoder, "second": other}, degrees=DEGREES).write(tmp_path / "two.html")
    with chromium.browser() as window:
        window.open(page.as_uri(), dark=True)
        window.ask("explorer.pick(19.5, 4.5, true)")
        cell = window.ask("explorer.cell")
        for number, each in enumerate((encoder, other)):
            cosines = ranking(each, cell)[1].numpy()
            assert (
                np.abs(np.array(window.ask(f"Array.from(explorer.encoders[{number}].cosines)")) - cosines).max() < 0.05
            )
        assert window.ask("document.querySelectorAll('#cards table').length") == 2
        assert window.ask(
            "[...document.querySelectorAll('.panel')].every(p => p.querySelectorAll('.mark').length === 9)"
        )
        assert window.complaints == []


def test_a_browser_without_webgl_says_so_and_has_the_table(chromium: ModuleType, page: Path) -> None:
    with chromium.browser(webgl=False) as window:
        window.open(page.as_uri())
        assert "This browser has no WebGL" in window.ask("document.querySelector('[role=alert]').textContent")
        window.ask("document.getElementById('lon').value = 20; document.getElementById('lat').value = 10")
        window.ask("document.getElementById('go').requestSubmit()")
        assert len(window.ask(LISTED)) == 8


def test_a_region_s_page_opens_on_the_region(chromium: ModuleType, encoder: LocationEncoder, tmp_path: Path) -> None:
    alps = build_page({"small": encoder}, region=Region.of([5, 44, 16, 48]), degrees=1).write(tmp_path / "alps.html")
    with chromium.browser() as window:
        window.open(alps.as_uri())
        window.click(500, 450)
        lon, lat = window.ask("explorer.place")
        assert 5 < lon < 16
        assert 44 < lat < 48
        assert len(window.ask(LISTED)) == 8
        window.ask("explorer.pick(-60, -5)")
        assert "outside the region" in window.ask("document.getElementById('status').textContent")
        assert window.complaints == []
