"""One command line, from its words to an exit code."""

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

import click

from satclip.cli.app import app
from satclip.optional_import import remedy


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line: 0 done, 1 bad input, 2 bad usage, each failure in a line.

    Raises:
        KeyboardInterrupt: it was stopped.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name may be of any bytes
    try:
        outcome = app.main(arguments, prog_name="satclip", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where a failure can still be told
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort as error:
        raise KeyboardInterrupt from error
    except SystemExit as error:  # click's, where standard output is a closed pipe
        return error.code if isinstance(error.code, int) else 1
    except BrokenPipeError:
        _forget_output()
        return 1
    except UnicodeEncodeError as error:  # of a library that takes names as UTF-8 only: GDAL, pyarrow, onnx
        name = os.fsencode(error.object).decode(errors="backslashreplace").strip()
        click.echo(f"Error: {name} is no UTF-8, as this format needs its names to be; rename it", err=True)
        return 1
    except UnicodeDecodeError as error:
        click.echo(f"Error: a name in the file is no UTF-8 ({error}); save it again so", err=True)
        return 1
    except MemoryError as error:
        click.echo(f"Error: not enough memory ({error}); take smaller --batch-size or a coarser --resolution", err=True)
        return 1
    except ModuleNotFoundError as error:
        line = remedy(error)
        if line is None:
            raise
        click.echo(f"Error: {line}", err=True)
        return 1
    except OSError as error:
        click.echo(f"Error: {error}", err=True)
        return 1
    return outcome if isinstance(outcome, int) else 0


def _forget_output() -> None:
    """Send the rest of a closed pipe's output to the null device, or Python reports a broken pipe at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
