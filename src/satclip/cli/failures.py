"""What can go wrong outside the program, said in a line instead of a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import click

from satclip.cli.signals import wrote
from satclip.errors import is_raised_on_purpose


@contextmanager
def expected(*kinds: type[Exception], prefix: str = "", remedy: str = "") -> Iterator[None]:
    """Turn exceptions of these kinds into a message and exit code 1, ending in `remedy` where they bring none of their
    own, as this package's do.
    Wrap the boundary, not the program: a bug keeps its traceback.
    """
    try:
        yield
    except kinds as error:
        text = str(error).strip() or type(error).__name__
        ending = f"; {remedy}" if remedy and not is_raised_on_purpose(error) else ""
        raise click.ClickException(f"{prefix}{text.removesuffix('.')}{ending}") from error


def need(extra: str, *modules: str) -> None:
    """Import what an optional extra brings.

    Raises:
        click.ClickException: naming the missing module and the command that installs it.
    """
    for module in modules:
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            raise click.ClickException(f"this needs {error.name}: pip install 'satclip[{extra}]'") from error


def tell_file(path: Path | str) -> None:
    """Say that a file is whole: on standard error, and in the last line of a command that is stopped later."""
    wrote(str(path))
    click.echo(str(path), err=True)
