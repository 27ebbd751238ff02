"""SIGINT, SIGTERM and SIGHUP: the command unwinds, removes unfinished files and reports the signal."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_HEEDED = tuple(getattr(signal, name) for name in ("SIGHUP", "SIGINT", "SIGTERM") if hasattr(signal, name))


class Stopped(BaseException):
    """Raised by the signal handler; not KeyboardInterrupt, for which click prints a message of its own."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Heard:
    """The first signal that came; None before. `held` puts off what a signal does.

    Attributes:
        number: of the signal.
        holding: whether what it does waits.
        written: files that the command has written whole, for the last line of one that is stopped between two.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.holding = False
        self.written: list[str] = []

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The handler."""
        self.number = self.number or number
        if not self.holding:
            raise Stopped(self.number)


_heard = Heard()


@contextmanager
def heeded() -> Iterator[Heard]:
    """Turn signals into `Stopped` while the block lasts; those that the caller ignores (nohup, `&`) stay ignored."""
    global _heard
    _heard = heard = Heard()
    before = {}
    if threading.current_thread() is threading.main_thread():  # no other thread may say what a signal does
        for number in _HEEDED:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, heard)
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held() -> Iterator[None]:
    """Defer signals to the end of the block: for work whose threads would keep writing after an exception.

    Raises:
        Stopped: at the end, where a signal came.
    """
    heard = _heard
    heard.holding = True
    try:
        yield
    finally:
        heard.holding = False
        if heard.number is not None:
            raise Stopped(heard.number)


def wrote(path: str) -> None:
    """Say that a file is whole, where a command writes more than one."""
    _heard.written.append(path)
