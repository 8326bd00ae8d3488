"""Asking in batches until it is paid for no longer or somebody says no: what most attacks on everything at once share.

Access and cost are the attack's: each row is one query, refused ones too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.stage import Stage
from threatmatrix.emulate.target import FloatArray, IntArray, Rows
from threatmatrix.model.errors import BudgetExhausted, TargetRefused

__all__ = ["Heard", "ask_all", "even_shares"]


@dataclass(frozen=True, slots=True)
class Heard:
    """What came back: of the first m rows the labels (m,) and scores (m, k); ``refused``: the rest was not answered.

    Where the target gives labels only, scores are 1 at the label and 0 elsewhere.
    """

    labels: IntArray
    scores: FloatArray
    graded: bool  # real scores, not just labels
    refused: bool
    texts: tuple[str, ...] | None = None  # m of them, where the target answers with texts


def ask_all(stage: Stage, rows: Rows, batch: int, *, since: int | None = None, want_scores: bool = True) -> Heard:
    """Ask all rows, ``batch`` in one request, each at most once; another account goes on where one is refused.

    Sends no more than the stage's budget, refused rows included, and stops when every account was refused. ``since``:
    what the target's count was when the step began, where it has asked before.
    """
    target = stage.target
    labels, scores = [np.zeros(0, dtype=np.int64)], [np.zeros((0, target.classes))]
    said: list[str] | None = []
    start, refused, graded = 0, False, True
    first = target.queries if since is None else since
    while start < len(rows) and not refused:
        part = rows[start : start + max(0, min(batch, stage.budget - (target.queries - first)))]
        if not len(part):
            break
        try:
            answer = target.ask(part, want_scores=want_scores)
        except TargetRefused:
            refused = not target.accounts.refused()
            continue
        except BudgetExhausted:
            break
        graded = graded and answer.scores is not None
        labels.append(answer.labels)
        scores.append(np.eye(target.classes)[answer.labels] if answer.scores is None else answer.scores)
        said = None if said is None or answer.texts is None else [*said, *answer.texts]
        start += len(part)
    texts = None if said is None else tuple(said)
    return Heard(np.concatenate(labels), np.concatenate(scores), graded, refused, texts)


def even_shares(queries: int, units: int) -> list[int]:
    """The queries of an attack on all units, spread evenly; what is left over falls to the first ones."""
    share, rest = divmod(queries, units) if units else (0, 0)
    return [share + (i < rest) for i in range(units)]
