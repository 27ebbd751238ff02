"""A probe fitted on all labels of a set: kept in a file, and asked about any place."""

import json
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Array, Encoder, Group, Labels, Places, Predictor
from satclip.downstream.evaluate.answers import Candidate, Goal
from satclip.downstream.evaluate.holdouts import Draw, cell_of, keyed, middle_cells
from satclip.downstream.evaluate.inner_folds import inner_folds
from satclip.downstream.evaluate.penalties import penalties_of
from satclip.downstream.evaluate.ridge_probe import RidgeProbe
from satclip.downstream.evaluate.ridge_problem import RidgeProblem
from satclip.files import atomic_file

SUFFIXES = (".npz", ".safetensors")


@dataclass(frozen=True)
class Fitted:
    """A linear probe: vectors [N, D] @ weights [D, T] + intercept [T].

    Attributes:
        weights: [D, T]; T = 1 for a regression, a column per class otherwise.
        intercept: [T].
        classes: their names; None for a regression.
        about: what it was fitted on and how it was chosen, in words and numbers.
    """

    weights: Array
    intercept: Array
    classes: tuple[str, ...] | None
    about: dict[str, str]

    def __call__(self, vectors: NDArray[np.floating]) -> NDArray[np.float64] | NDArray[np.int64]:
        """Answers for vectors [N, D]: numbers [N], or codes into `classes` [N].

        Raises:
            ValueError: for vectors of another width.
        """
        if vectors.shape[-1] != len(self.weights):
            raise ValueError(f"the probe is for vectors of {len(self.weights)} numbers, got {vectors.shape[-1]}")
        found: Array = vectors.astype(np.float64) @ self.weights + self.intercept
        return found[:, 0] if self.classes is None else found.argmax(1)

    def save(self, path: Path) -> None:
        """Write .npz or .safetensors: `weights`, `intercept`, and `about` with the classes as JSON.

        Raises:
            ValueError: for another ending.
        """
        if path.suffix not in SUFFIXES:
            raise ValueError(f"{path.name} must end in one of {', '.join(SUFFIXES)}")
        told = json.dumps({"classes": self.classes, **self.about})
        with atomic_file(path) as part:
            if path.suffix == ".npz":
                with part.open("wb") as file:
                    np.savez(file, weights=self.weights, intercept=self.intercept, about=np.array(told))
            else:
                from safetensors.numpy import save_file

                save_file({"weights": self.weights, "intercept": self.intercept}, part, {"about": told})

    def predict(self, encoder: Places, lonlat: Array) -> NDArray[np.float64] | NDArray[np.int64]:
        """Answers for places in degrees [N, 2], from the encoder that the probe was fitted on.

        Raises:
            ValueError: it is another encoder: other weights, whatever its width.
        """
        mine, other = self.about.get("fingerprint", ""), getattr(encoder, "fingerprint", "")
        if mine != other:
            raise ValueError(
                f"the probe was fitted on {self.about.get('encoder', 'another encoder')}, whose weights are not those "
                f"of {encoder.name}; give that one, or fit a probe on this"
            )
        return self(encoder(lonlat))

    @classmethod
    def load(cls, path: Path) -> "Fitted":
        """What `save` wrote.

        Raises:
            ValueError: the file is damaged, or holds something else.
            FileNotFoundError: there is none.
        """
        from safetensors import SafetensorError

        try:
            weights, intercept, told = _npz(path) if path.suffix == ".npz" else _safetensors(path)
            about: dict[str, str] = json.loads(told)
            names = about.pop("classes")
        except FileNotFoundError:
            raise
        except (LookupError, TypeError, ValueError, OSError, BadZipFile, SafetensorError) as error:
            raise ValueError(f"{path} is no probe that `satclip probe --save` wrote ({error}); save it anew") from error
        return cls(weights, intercept, None if names is None else tuple(names), about)


def _npz(path: Path) -> tuple[Array, Array, str]:
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        return file["weights"], file["intercept"], str(file["about"])


def _safetensors(path: Path) -> tuple[Array, Array, str]:
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        return file.get_tensor("weights"), file.get_tensor("intercept"), file.metadata()["about"]


def check_vectors(encoder: Encoder) -> Places | Group:
    """The encoder, which gives vectors; without them no probe can be fitted on it.

    Raises:
        ValueError: it answers from labels alone.
    """
    if isinstance(encoder, Predictor):
        raise ValueError(f"{encoder.name} gives no vectors, so there is no probe to keep; give an encoder")
    return encoder


def fit(encoder: Encoder, labels: Labels, *, seed: int = 0) -> tuple[Fitted, Places]:
    """The benchmark's ridge on all labels, chosen by inner folds of held-out cells; and the encoder that it reads.

    That is `encoder` itself, or the one that the folds choose of its candidates.

    Raises:
        ValueError: for a method that gives no vectors.
    """
    reading = check_vectors(encoder)
    members = reading.candidates if isinstance(reading, Group) else (reading,)
    vectors = [np.asarray(member(labels.lonlat)) for member in members]
    candidates = [
        Candidate(member.name, each, penalties_of(member, each.shape[1]))
        for member, each in zip(members, vectors, strict=True)
    ]
    goal = Goal(labels.target, None if labels.classes is None else len(labels.classes))
    rows = keyed(seed, "fitted").permutation(len(labels.target))
    cells = cell_of(labels.lonlat, middle_cells(labels))
    draw = Draw("cells", 0, "", rows[:0], rows, cells, cells)
    inner = inner_folds(draw, rows, labels.lonlat, folds=3, seed=seed)
    (answer,) = RidgeProbe().answers(candidates, [goal], rows, rows[:1], inner)
    chosen = answer.choice
    at = [candidate.name for candidate in candidates].index(chosen.candidate)
    problem = RidgeProblem(candidates[at], goal.columns, rows, inner)
    ridge = problem.final(chosen.scaling, chosen.beta, chosen.setting)
    weights = ridge.weights
    intercept = ridge.intercept - (ridge.mean + problem.shift) @ weights
    about = {
        "encoder": members[at].name,
        "fingerprint": getattr(members[at], "fingerprint", ""),
        "task": labels.name,
        "unit": labels.unit,
        "labels": str(len(labels.target)),
        "alpha": f"{chosen.setting:g}",
        "scaling": chosen.scaling,
        "beta": f"{chosen.beta:g}",
        "inner_score": f"{chosen.inner_score:.4f}",
    }
    return Fitted(weights, intercept, labels.classes, about), members[at]
