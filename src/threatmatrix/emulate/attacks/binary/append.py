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

from threatmatrix.emulate.attacks.asking import ask_all
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import FloatArray, IntArray, Rows, blobs
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["AppendParams", "append_overlay"]

TOGETHER = 20
"""Files in one request of the judge."""


@dataclass(frozen=True, slots=True)
class AppendParams:
    """How the files are sent."""

    rows: int = 1  # in one request
    scale: float = 1000.0  # the product's best score


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
    heard = ask_all(stage, altered, params.rows, want_scores=False)
    said = np.full(len(altered), -1, dtype=np.int64)
    said[: len(heard.labels)] = heard.labels
    is_now = _judge(stage, altered)
    passes = (is_now[0] != truth) & (said >= 0) & (len(tail) + 1 <= (stage.threshold or np.inf))
    outcomes = tuple(
        SampleOutcome(
            index=i, claimed=bool(said[i] >= 0 and said[i] != truth[i]), confirmed=bool(passes[i]),
            queries=int(said[i] >= 0), distance=float(len(tail) + 1), refused=heard.refused and bool(said[i] < 0),
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


def _judge(stage: Stage, rows: Rows) -> tuple[IntArray, FloatArray | None]:
    """Fresh labels (n,), and the scores (n, k) where there are any."""
    if not len(rows):
        return np.zeros(0, dtype=np.int64), None
    parts = [stage.judge.ask(rows[i : i + TOGETHER], want_scores=True) for i in range(0, len(rows), TOGETHER)]
    scores = [p.scores for p in parts if p.scores is not None]
    return np.concatenate([p.labels for p in parts]), np.concatenate(scores) if len(scores) == len(parts) else None
