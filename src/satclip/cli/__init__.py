"""The `satclip` command.

Nothing but the standard library is imported before the signal handlers are set: an interrupt in the first tenth of a
second ends the command as quietly as a later one.
"""

import sys
from collections.abc import Sequence

from satclip.cli.signals import Heard, Stopped, heeded


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0 done, 1 bad input, 2 bad usage, 129, 130 or 143 stopped by SIGHUP, SIGINT or SIGTERM: 128 and the signal's number.
    """
    with heeded() as stopped:
        try:
            from satclip.cli.run import run

            return run(arguments)
        except (Stopped, KeyboardInterrupt):
            return _interrupted(stopped)
        except Exception:
            if stopped.number is None:
                raise
            return _interrupted(stopped)  # what an import made of it on its way up


def _interrupted(stopped: Heard) -> int:
    if sys.stderr is not None:
        written = ", ".join(stopped.written)
        line = f"only {written} had been written, and stayed" if written else "no file was written"
        sys.stderr.write(f"Interrupted: {line}.\n")
    return 128 + (stopped.number or 2)
