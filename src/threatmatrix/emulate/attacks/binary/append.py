"""Append the same bytes to every file, send each once, and see whether the scanner lets it pass.

Source: Skylight Cyber, "Cylance, I Kill You!", 2019; Kolosnjaji et al., "Adversarial malware binaries: evading deep
learning for malware detection in executables", 2018 (bytes behind the end of a file). Access: label. Cost: 1 query for
each file; 10 more for the most common families where the attacker holds one file of each.

Needs ``universal`` (bytes). Where ``top_ten`` (``Samples``) is held, these files are attacked as well; they count in a
figure of their own. A file that passes without the bytes is ``before=True``. Scores are read as shares of the classes
and told on the product's scale, −1000 (malicious) to 1000.

Figures: ``bypass_rate``, ``appended_bytes``, ``top_ten`` (share that passes), and where there are scores
``score_before`` and ``score_after`` (medians). Result of one file, e.g. ``SampleOutcome(index=3, claimed=True,
confirmed=True, queries=1, distance=8213.0)``; the distance is in bytes. Control: random bytes of the same length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import FloatArray, IntArray, Rows, blobs
from threatmatrix.model.errors import BudgetExhausted, TargetRefused
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["AppendParams", "append_overlay"]

TOGETHER = 20
"""Files in one request of the judge."""


@dataclass(frozen=True, slots=True)
class AppendParams:
    """How the files are sent."""

    rows: int = 1  # in one request
    scale: float = 1000.0  # the product's best score


@dataclass(slots=True)
class _Sent:
    """Labels that the attacker saw, −1 where there is no answer, and whether the defender said no."""

    labels: IntArray
    refused: bool = False


def append_overlay(stage: Stage) -> Brought:
    """Append, send and confirm; see the module's docstring."""
    params = stage.settings(AppendParams)
    text = stage.take("universal", bytes)
    tail = stage.rng.bytes(len(text)) if stage.control else text
    top = stage.held.get("top_ten")
    ten = top if isinstance(top, Samples) else stage.samples.at(np.zeros(0, dtype=np.int64))
    files = np.concatenate([stage.samples.x, ten.x])
    altered = blobs(blob + b"\0" + tail for blob in files)
    n, truth = len(stage.samples), np.concatenate([stage.samples.y, ten.y])
    was = _judge(stage, files)
    sent = _send(stage, altered, params.rows)
    is_now = _judge(stage, altered)
    passes = (is_now[0] != truth) & (sent.labels >= 0) & (len(tail) + 1 <= (stage.threshold or np.inf))
    outcomes = tuple(
        SampleOutcome(
            index=i, claimed=bool(sent.labels[i] >= 0 and sent.labels[i] != truth[i]), confirmed=bool(passes[i]),
            queries=1, distance=float(len(tail) + 1), refused=sent.refused and bool(sent.labels[i] < 0),
            before=bool(was[0][i] != truth[i]),
        )
        for i in range(n)
    )  # fmt: skip
    figures = {"bypass_rate": float(np.mean(passes[:n])), "appended_bytes": float(len(tail) + 1)}
    if len(ten):
        figures["top_ten"] = float(np.mean(passes[n:]))
    for name, share in (("score_before", was[1]), ("score_after", is_now[1])):
        if share is not None and share.shape[1] == 2:
            figures[name] = float(np.median(share[np.arange(n), 1 - truth[:n]] * 2 - 1) * params.scale)
    return Brought(outcomes=outcomes, figures=figures)


def _send(stage: Stage, rows: Rows, width: int) -> _Sent:
    """Each row once, until the budget or the defender's patience ends."""
    sent = _Sent(np.full(len(rows), -1, dtype=np.int64))
    left = min(stage.budget, len(rows))
    at = 0
    while at < len(rows) and left > 0:
        part = rows[at : at + min(width, left)]
        left -= len(part)
        try:
            sent.labels[at : at + len(part)] = stage.target.labels(part)
        except BudgetExhausted:
            break
        except TargetRefused:
            if stage.target.accounts.refused():
                continue
            sent.refused = True
            break
        at += len(part)
    return sent


def _judge(stage: Stage, rows: Rows) -> tuple[IntArray, FloatArray | None]:
    """Fresh labels (n,), and the scores (n, k) where there are any."""
    parts = [stage.judge.ask(rows[i : i + TOGETHER], want_scores=True) for i in range(0, len(rows), TOGETHER)]
    scores = [p.scores for p in parts if p.scores is not None]
    return np.concatenate([p.labels for p in parts]), np.concatenate(scores) if len(scores) == len(parts) else None
