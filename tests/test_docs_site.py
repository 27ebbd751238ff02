"""`make docs`: every page is built, no link leads nowhere, and nothing public is left out."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import satclip
from satclip.cli.app import app

pytestmark = pytest.mark.slow
OUTSIDE = {"index": "README.md", "changelog": "CHANGELOG.md", "contributing": "CONTRIBUTING.md"}


def build(project: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """`mkdocs build --strict` as `make docs` calls it."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built once."""
    folder = tmp_path_factory.mktemp("site")
    done = build(Path(__file__).parents[1], folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_reference_has_every_public_name_and_every_command(site: Path) -> None:
    pages = "".join(path.read_text() for path in site.glob("reference/*.html"))
    assert [name for name in satclip.__all__ if f'.{name}" class="doc' not in pages] == []
    assert [name for name in app.commands if f'id="satclip-{name}"' not in pages] == []
    assert "satclip embed places.csv --model blue-marble" in pages.replace("&gt;", ">")


def test_a_list_and_a_table_of_the_checkout_are_so_in_the_site(site: Path, project: Path) -> None:
    for path in [*project.glob("docs/*.md"), *map(project.joinpath, OUTSIDE.values())]:
        name = next((page for page, source in OUTSIDE.items() if source == path.name), path.stem)
        article = (site / f"{name}.html").read_text().split("<article")[1].split("</article>")[0]
        kinds = [token.type for token in MarkdownIt().enable("table").parse(path.read_text())]
        for kind, tag in (("list_item_open", "<li"), ("tr_open", "<tr"), ("fence", "<pre"), ("heading_open", "<h")):
            indented = kinds.count("code_block") if kind == "fence" else 0
            found = len(re.findall(rf"{tag}\d?[ >]", article))
            assert found == kinds.count(kind) + indented, (path.name, kind)


def test_a_page_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="https?://[^"]+', page.read_text()) == [], page


def test_a_link_that_leads_nowhere_stops_the_build(project: Path, tmp_path: Path) -> None:
    for path in [project / "mkdocs.yml", *project.glob("*.md")]:
        shutil.copy(path, tmp_path)
    shutil.copytree(project / "docs", tmp_path / "docs")
    (tmp_path / "src").symlink_to(project / "src")
    with (tmp_path / "docs" / "embed.md").open("a") as page:
        page.write("\n[gone](nowhere.md), [gone](losses.md#no-such-loss)\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert "'nowhere.md', but the target is not found" in done.stderr
    assert "#no-such-loss" in done.stderr
