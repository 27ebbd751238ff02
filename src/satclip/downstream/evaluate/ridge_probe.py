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
        columns = np.concatenate([goal.columns for goal in goals], axis=1)
        ends = np.cumsum([goal.columns.shape[1] for goal in goals]).tolist()
        spans = [slice(end - goal.columns.shape[1], end) for end, goal in zip(ends, goals, strict=True)]
        best: list[Answer | None] = [None] * len(goals)
        for candidate in candidates:
            problem = RidgeProblem(candidate, columns, train, inner)
            for number, choice in enumerate(self._choices(problem, goals, spans)):
                before = best[number]
                if before is None or choice.inner_score > before.choice.inner_score:
                    best[number] = Answer(np.empty(0), choice)
            # Only what is so far the best is worth a final fit, and tasks that chose alike share one.
            fits = {}
            for number, (goal, span) in enumerate(zip(goals, spans, strict=True)):
                answer = best[number]
                if answer is None or answer.choice.candidate != candidate.name:
                    continue
                key = (answer.choice.scaling, answer.choice.beta)
                if key not in fits:
                    fits[key] = problem.final(*key)
                predicted = fits[key].predict(problem.rows(test), [answer.choice.setting])[0][:, span]
                best[number] = replace(answer, predicted=predicted[:, 0] if goal.classes is None else predicted)
        return [answer for answer in best if answer is not None]

    def _choices(self, problem: RidgeProblem, goals: Sequence[Goal], spans: Sequence[slice]) -> list[Choice]:
        """The best of the candidate for every task, by the loss over all inner folds together."""
        losses: list[dict[Pair, Array]] = [{} for _ in goals]
        tested: list[list[Rows]] = [[] for _ in goals]
        pairs = list(product(self.scalings, problem.candidate.penalties))
        for teach, held in problem.inner:
            first = not tested[0]
            for number, goal in enumerate(goals):
                tested[number].append(problem.train[held if goal.classes is None else held[:MOST_HELD]])
            for pair, ridge in problem.ridges(teach, held, pairs):
                for number, (goal, span) in enumerate(zip(goals, spans, strict=True)):
                    if not first and pair not in losses[number]:
                        continue  # only another task still asks for it
                    rows = tested[number][-1]
                    predicted = ridge.part(span).predict(problem.x[held[: len(rows)]], self.alphas)
                    loss = goal.losses(predicted, rows)
                    losses[number][pair] = losses[number].get(pair, 0) + loss
            if first and len(problem.train) >= self.many:
                losses = [{(best := min(by, key=lambda pair: by[pair].min())): by[best]} for by in losses]
                pairs = [pair for pair in pairs if any(pair in by for by in losses)]
        if not losses[0]:
            raise ValueError("no inner fold has places both to learn from and to test; give the probe more labels")
        return [
            self._best(by, goal, problem, np.concatenate(rows))
            for by, goal, rows in zip(losses, goals, tested, strict=True)
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
