"""Progress bars, shown where standard error is a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Bar:
    """What is being counted."""

    progress: Progress
    task: TaskID

    def advance(self, count: int) -> None:
        """Count `count` more."""
        self.progress.advance(self.task, count)


@contextmanager
def bar(title: str, total: int | None = None) -> Iterator[Bar]:
    """A bar on standard error, a spinner where the total is unknown; nothing at all where that is not a terminal."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        *(() if total is None else (BarColumn(),)),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        *(() if total is None else (TextColumn("left"), TimeRemainingColumn())),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bar(progress, progress.add_task(title, total=total))


@contextmanager
def counted(title: str, encoder: "nn.Module", total: int) -> Iterator[None]:
    """A bar that counts the places which `encoder` embeds within the block, whatever code calls it."""
    with bar(title, total) as progress:
        hook = encoder.register_forward_hook(lambda _, places, embeddings: progress.advance(len(embeddings)))
        try:
            yield
        finally:
            hook.remove()
