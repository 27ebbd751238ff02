"""What the site has from elsewhere: README and its like, the notebooks, and the help of every `satclip` command.

MkDocs calls `on_files` and `on_page_markdown` (https://www.mkdocs.org/dev-guide/plugins/#events).
"""

import re
from collections.abc import Iterator
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from satclip.cli.app import app

PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
PAGES |= {"SECURITY.md": "security.md"}
WIDTH = 88  # columns of the help: what fits beside the menu


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that do not lie in docs/, and the notebooks as files."""
    root = Path(config.config_file_path).parent
    for path in sorted(root.glob("notebooks/*.ipynb")):
        files.append(File.generated(config, f"notebooks/{path.name}", abs_src_path=str(path)))
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(root / source).read_text()))
    files.append(File.generated(config, "reference/command.md", content="\n".join(_help())))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links that hold in the checkout, as links that hold in the site."""
    for source, name in PAGES.items():
        markdown = re.sub(rf"\]\((\.\./)?{re.escape(source)}", f"]({name}", markdown)
    if page.file.src_uri in PAGES.values():
        return markdown.replace("](docs/", "](")
    return markdown.replace("](../notebooks/", "](notebooks/")


def _help() -> Iterator[str]:
    """`satclip COMMAND --help` of every command, under a heading each."""
    yield "# The satclip command\n"
    for name, command in [("", app), *app.commands.items()]:
        called = f"satclip {name}".strip()
        parent = None if command is app else click.Context(app, info_name="satclip", **app.context_settings)
        settings = {**app.context_settings, **command.context_settings, "max_content_width": WIDTH}
        context = click.Context(command, parent, info_name=name or called, terminal_width=WIDTH, **settings)
        yield f"## {called}\n\n```text\n{command.get_help(context)}\n```\n"
