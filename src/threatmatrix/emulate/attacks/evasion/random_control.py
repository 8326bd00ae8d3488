"""The random control: what luck alone finds, at equal queries and norm.

Source: none needed; it is the control beside which HopSkipJump and Square are read. Access: label.
Cost: the sample's budget in batches, and no further batch after a hit. Draws: uniform directions at
the threshold (L2), or plus or minus the threshold in each value (Linf); clipped to the bounds.

Result of one sample, e.g. ``SampleOutcome(index=7, claimed=False, confirmed=False, queries=600,
distance=inf, refused=False)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.base import EDGE, AttackSteps, Attempt, Query, Setting, parse_params, unit

__all__ = ["RandomControlParams", "random_control"]


@dataclass(frozen=True, slots=True)
class RandomControlParams:
    """How many draws one request holds."""

    batch: int = 50


def random_control(attempt: Attempt, setting: Setting) -> AttackSteps:
    """Yield the queries of one attempt; see the module's docstring."""
    params = parse_params(RandomControlParams, setting.params)
    while (n := min(params.batch, attempt.rows_left(True))) > 0:
        noise = attempt.rng.normal(size=(n, len(attempt.x)))
        delta = np.sign(noise) if setting.norm == "linf" else unit(noise)
        rows = np.clip(attempt.x + delta * setting.threshold * EDGE, *setting.bounds)
        reply = yield Query(rows)
        hits = np.flatnonzero(reply.labels != attempt.y)
        if len(hits):
            attempt.best, attempt.claimed = rows[hits[0]], True
            return
