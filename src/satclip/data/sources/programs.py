"""What programs write, read as it comes."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from satclip.data.sources.web import CHUNK


@contextmanager
def output_of(command: str | Sequence[str], explained: Callable[[bytes], OSError] | None = None) -> Iterator[IO[bytes]]:
    """What a program writes; it is stopped where the block ends before the program does.

    Args:
        command: a text for the shell, or the program and its arguments.
        explained: what its failure means, from what it wrote to stderr; by default that goes where ours goes.

    Raises:
        OSError: it fails.
    """
    shell = isinstance(command, str)
    stderr = None if explained is None else subprocess.PIPE
    with subprocess.Popen(command, shell=shell, stdout=subprocess.PIPE, stderr=stderr) as process:
        assert process.stdout is not None
        try:
            yield process.stdout
        except BaseException:  # the reader has enough: the command need not finish
            process.kill()
            raise
        while process.stdout.read(CHUNK):
            pass
        said = b"" if process.stderr is None else process.stderr.read()
    if process.returncode:
        if explained is not None:
            raise explained(said)
        raise OSError(f"`{command if shell else ' '.join(command)}` ended with {process.returncode}")
