"""The one hold-out in which a checkpoint is inductive: the blocks whose imagery its own training left out."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from satclip.downstream.benchmark.rows import Rows
from satclip.downstream.benchmark.settings import Settings
from satclip.downstream.contract import Labels

FIXED = "fixed"
FEWEST = 30  # places to be taught by and to be tested, below which a score is luck


@dataclass(frozen=True)
class OwnBlocks:
    """Tasks with that split.

    Attributes:
        tasks: all of them; those that come with a split of their own keep it.
        inductive: by name of the hold-out, the subjects that are inductive in it.
        without: why there is no such hold-out, in a line.
    """

    tasks: tuple[Labels, ...]
    inductive: dict[str, frozenset[str]] = field(default_factory=dict)
    without: tuple[str, ...] = ()


def own_blocks(rows: Rows, tasks: Sequence[Labels], settings: Settings) -> OwnBlocks:
    """Give the tasks, as their fixed split, the blocks that a subject's training left out, where that is asked for.

    The rule of the recipe says which blocks they are, so it holds for any places. Labels of the tested places are
    always held out, for every row; that the imagery was left out as well is true of the subject alone.
    """
    if FIXED not in settings.holdouts:
        return OwnBlocks(tuple(tasks))
    rules = set(rows.held_out.values())
    if len(rules) != 1:
        why = "the recipes left out different blocks: evaluate the encoders one at a time"
        if not rules:
            why = "no task comes with a split, and no recipe says that whole blocks were left out of the training"
        told = any(task.fixed_split is not None for task in tasks)
        return OwnBlocks(tuple(tasks), without=() if told and not rules else (f"hold-out {FIXED}: {why}",))
    (rule,) = rules
    name = f"own blocks {rule.degrees:g}"
    split = []
    for task in tasks:
        inside = rule.holds(task.lonlat)
        enough = FEWEST <= inside.sum() <= len(inside) - FEWEST
        if task.fixed_split is None and enough:
            task = replace(task, fixed_split=inside, fixed_name=name, fixed_degrees=rule.degrees)
        split.append(task)
    return OwnBlocks(tuple(split), {name: frozenset(rows.held_out)})
