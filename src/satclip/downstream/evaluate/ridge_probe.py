"""The benchmark's own probe: a ridge whose penalty, scaling, column penalty and features inner folds choose."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Array
from satclip.downstream.evaluate.answers import Answer, Candidate, Choice, Goal
from satclip.downstream.evaluate.inner_folds import InnerFolds
from satclip.downstream.evaluate.ridge import ALPHAS, SCALINGS
from satclip.downstream.evaluate.ridge_problem import Pair, RidgeProblem

Rows = NDArray[np.int64]
# Classes cost a column each, times the penalties: five hundred held-out rows a fold choose as well.
MOST_HELD = 500


@dataclass(frozen=True)
class RidgeProbe:
    """What is offered to the inner folds.

    Attributes:
        alphas: penalties, ascending.
        scalings: of the columns.
        many: from so many labels on, scaling and beta are those that do best on the first inner fold (hundreds of
            places), and the others decide the penalty alone: two fifths of the time are saved, more with many betas.
    """

    alphas: Array = field(default_factory=lambda: ALPHAS)
    scalings: tuple[str, ...] = SCALINGS
    many: int = 1000
    name: str = "ridge"

    def answers(
        self, candidates: Sequence[Candidate], goals: Sequence[Goal], train: Rows, test: Rows, inner: InnerFolds
    ) -> list[Answer]:
        """Choose, fit on all training rows and answer, for several tasks on the same places at once.

        Args:
            candidates: features of the same places, among which each task chooses.
            goals: the tasks.
            train: rows of the labels given, [n].
            test: rows to answer for, [M].
            inner: folds of `train`.

        Raises:
            ValueError: when a feature is NaN or infinite, or no inner fold leaves anything to choose by.
        """
        asked = Asked.all_of(goals, train)
        columns = np.concatenate([each.goal.columns[:, each.taught] for each in asked], axis=1)
        best: list[Answer | None] = [None] * len(goals)
        for candidate in candidates:
            problem = RidgeProblem(candidate, columns, train, inner)
            for number, choice in enumerate(self._choices(problem, asked)):
                before = best[number]
                if before is None or choice.inner_score > before.choice.inner_score:
                    best[number] = Answer(np.empty(0), choice)
            # Only what is so far the best is worth a final fit, and tasks that chose alike share one.
            fits = {}
            for number, each in enumerate(asked):
                answer = best[number]
                if answer is None or answer.choice.candidate != candidate.name:
                    continue
                key = (answer.choice.scaling, answer.choice.beta, answer.choice.setting)
                if key not in fits:
                    fits[key] = problem.final(*key).predict(problem.rows(test))
                predicted = fits[key][:, each.columns]
                best[number] = replace(answer, predicted=each.whole(predicted))
        return [answer for answer in best if answer is not None]

    def _choices(self, problem: RidgeProblem, asked: Sequence["Asked"]) -> list[Choice]:
        """The best of the candidate for every task, by the loss over all inner folds together."""
        losses: list[dict[Pair, Array]] = [{} for _ in asked]
        tested: list[list[Rows]] = [[] for _ in asked]
        pairs = list(product(self.scalings, problem.candidate.penalties))
        for teach, held in problem.inner:
            first = not tested[0]
            for rows, each in zip(tested, asked, strict=True):
                rows.append(problem.train[held if each.goal.classes is None else held[:MOST_HELD]])
            for pair, ridge in problem.ridges(teach, held, pairs):
                wanted = [number for number, by in enumerate(losses) if first or pair in by]
                for count in sorted({len(tested[number][-1]) for number in wanted}):
                    alike = [number for number in wanted if len(tested[number][-1]) == count]
                    columns = np.concatenate([asked[number].columns for number in alike])
                    predicted = ridge.part(columns).predict(problem.x[held[:count]], self.alphas)
                    ends = np.cumsum([len(asked[number].columns) for number in alike])[:-1]
                    for number, own in zip(alike, np.split(predicted, ends, axis=2), strict=True):
                        loss = asked[number].goal.losses(own, tested[number][-1], asked[number].taught)
                        losses[number][pair] = losses[number].get(pair, 0) + loss
            if first and len(problem.train) >= self.many:
                losses = [{(best := min(by, key=lambda pair: by[pair].min())): by[best]} for by in losses]
                pairs = [pair for pair in pairs if any(pair in by for by in losses)]
        if not losses[0]:
            raise ValueError("no inner fold has places both to learn from and to test; give the probe more labels")
        return [
            self._best(by, each.goal, problem, np.concatenate(rows))
            for by, each, rows in zip(losses, asked, tested, strict=True)
        ]

    def _best(self, by: dict[Pair, Array], goal: Goal, problem: RidgeProblem, held: Rows) -> Choice:
        """Smallest loss; among equals the strongest penalty, then the first scaling."""
        last = len(self.alphas) - 1
        (scaling, beta), index = min(
            ((key, last - int(loss[::-1].argmin())) for key, loss in by.items()),
            key=lambda found: by[found[0]][found[1]],
        )
        return Choice(
            goal.score(float(by[scaling, beta][index]), problem.train, held),
            problem.candidate.name,
            float(self.alphas[index]),
            scaling,
            beta,
            index in (0, last),
        )


@dataclass(frozen=True)
class Asked:
    """A task among several that are fitted together.

    Attributes:
        goal: the task.
        taught: its columns that the training rows teach anything, [K]; the others are 0 wherever one asks.
        columns: where these stand among the columns of all tasks, [K].
    """

    goal: Goal
    taught: Rows
    columns: Rows

    @classmethod
    def all_of(cls, goals: Sequence[Goal], train: Rows) -> "list[Asked]":
        """One for each task."""
        taught = [goal.taught(train) for goal in goals]
        ends = np.cumsum([len(each) for each in taught]).tolist()
        return [
            cls(goal, each, np.arange(end - len(each), end))
            for goal, each, end in zip(goals, taught, ends, strict=True)
        ]

    def whole(self, predicted: Array) -> Array:
        """Predictions of the columns taught [M, K] as an answer, [M] or [M, C]."""
        if self.goal.classes is None:
            return predicted[:, 0]
        found = np.zeros((len(predicted), self.goal.classes))
        found[:, self.taught] = predicted
        return found
