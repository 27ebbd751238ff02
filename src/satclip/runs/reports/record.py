"""One run as its folder tells it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FINISHED, RUNNING, PRUNED, STOPPED, FAILED, MISSING = "finished", "running", "pruned", "stopped", "failed", "missing"
STATES = (FINISHED, RUNNING, PRUNED, STOPPED, FAILED, MISSING)
Curve = tuple[tuple[float, float], ...]  # (step, value), by step


@dataclass(frozen=True)
class Record:
    """One run.

    Attributes:
        name: unique among those that are shown together.
        folder: where it lies; where it would lie, of a missing one.
        state: one of STATES.
        note: why it is not finished, in words.
        choices: Hydra group -> option.
        config: option -> value as text, by dotted names, as far as it is not looked up from another one.
        overrides: as they were given.
        figures: of metrics.json, or as far as validations went.
        curves: figure -> (step, value).
        scores: lines of the benchmark that are of this run.
        command: that begins the same run again.
    """

    name: str
    folder: Path
    state: str
    note: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    scores: tuple[Mapping[str, str], ...] = ()
    command: str = ""

    def figure(self, name: str) -> float | None:
        """`best/NAME`, else NAME as runs of before have it, else `last/NAME`; None where it is not there."""
        return next((self.figures[key] for key in (f"best/{name}", name, f"last/{name}") if key in self.figures), None)

    def option(self, name: str) -> str | None:
        """The value of an option or the option of a group; None where the run has none of that name."""
        return self.choices.get(name, self.config.get(name))
