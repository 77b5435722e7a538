"""*lite* where the user brings the ranker: their function with a program's columns, less the same without them."""

from collections.abc import Mapping

import numpy as np

from tokenrec.compiler.session import Session, make_columns
from tokenrec.dataset.types import FIT, TUNE_A
from tokenrec.evidence.arms import measure_arms
from tokenrec.features.types import Vectors
from tokenrec.ranking.metrics import mean


class OwnLite:
    """As `reward.LiteScore`: one seed of the user's function on fit, measured on tune-A (design, section 9: a retrain
    of one seed orders programs nearly as well). `others` stay in place on both sides: no double credit."""

    def __init__(self, session: Session, others: Mapping[str, tuple[list[Vectors], list[Vectors]]] | None = None):
        self.session = session
        self.known = {"behaviour": tuple(session.behaviour(w) for w in (FIT, TUNE_A))}
        for name, (vectors, met) in (others or {}).items():
            self.known[name] = tuple(session.columns(name, w, vectors, met) for w in (FIT, TUNE_A))
        self.before = self._measure(self.known)

    def per_list(self, vectors: list[Vectors], met: list[Vectors] = ()) -> np.ndarray:
        """float64[tune-A lists]: what the program's columns add to the objective."""
        session = self.session
        columns = (make_columns("program", vectors, session.dataset, session.lists[w], met) for w in (FIT, TUNE_A))
        return self._measure({**self.known, "program": tuple(columns)}) - self.before

    def __call__(self, vectors: list[Vectors], met: list[Vectors] = ()) -> float:
        return mean(self.per_list(vectors, met))

    def _measure(self, blocks: dict) -> np.ndarray:
        session, objective = self.session, self.session.recipe.objective
        scores = measure_arms(
            session.dataset, session.lists[FIT], session.lists[TUNE_A], blocks, {"all": [*blocks]}, session.settings,
            [0],
        )  # fmt: skip
        return scores.per_list("all", objective.metric, objective.slice)
