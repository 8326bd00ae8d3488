"""NES: a gradient of the scores, estimated from pairs of opposite random directions.

Source: Ilyas, Engstrom, Athalye, Lin, "Black-box Adversarial Attacks with Limited Queries and Information", 2018
(section 3.1, algorithm 1), L2 or Linf, untargeted. Access: score. Cost: ``1 + 2 * pairs`` rows for each step in one
request, at most the sample's budget; it stops at the first misclassification. It differs from the paper:

- the point reached travels in the same request as the probes around the next estimate, and a probe within the norm
  that is misclassified is a success too;
- estimates are added up with a memory (momentum), and the next point is the farthest one that the norm allows in
  that direction, as only the norm limits the attacker;
- it descends the margin in logarithms, not the cross-entropy, and probes rather in low frequencies where the
  input is a square image.

Result of one sample, e.g. ``SampleOutcome(index=3, claimed=True, confirmed=True, queries=33, distance=0.15,
refused=False, before=False)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatmatrix.emulate.attacks.base import AttackSteps, Attempt, Query, Setting, parse_params, unit
from threatmatrix.emulate.attacks.evasion.ball import Ball, claim_within, directions, margins
from threatmatrix.emulate.attacks.evasion.cosines import Cosines
from threatmatrix.emulate.target import FloatArray

__all__ = ["NESParams", "nes"]


@dataclass(frozen=True, slots=True)
class NESParams:
    """Of the estimate."""

    pairs: int = 4  # of opposite probes for each step
    radius: float = 0.5  # of a probe (L2), as a share of the threshold's L2 length
    memory: float = 0.9  # of earlier estimates
    frequencies: float = 0.5  # share of the cosine basis in which it probes


def nes(attempt: Attempt, setting: Setting) -> AttackSteps:
    """Yield the queries of one attempt; see the module's docstring."""
    params, ball = parse_params(NESParams, setting.params), Ball.of(attempt, setting)
    cosines = Cosines.of(len(attempt.x))
    length = setting.threshold * (1.0 if setting.norm == "l2" else float(np.sqrt(len(attempt.x))))
    radius = params.radius * setting.spread * length
    descent, point, lowest = np.zeros(len(attempt.x)), attempt.x, np.inf
    while (pairs := min(params.pairs, (attempt.rows_left(False) - 1) // 2)) > 0:

        def draw(point: FloatArray = point, pairs: int = pairs) -> FloatArray:
            drawn = cosines.smooth(directions(attempt, pairs, setting.draws), params.frequencies)
            return ball.clip(np.concatenate([point[None], point + radius * drawn, point - radius * drawn]))

        reply = yield Query(draw(), repeat=False, redraw=draw if setting.redraws else None)
        found = margins(reply.scores, attempt.y)
        if (yield from claim_within(attempt, setting, reply, point)):
            return
        if found[0] < lowest:
            attempt.best, lowest = point, found[0]
        ahead, behind = reply.rows[1 : pairs + 1], reply.rows[pairs + 1 :]
        slope = (found[1 : pairs + 1] - found[pairs + 1 :]) @ (ahead - behind)
        descent = params.memory * descent - unit(slope)
        point = ball.outermost(descent)
