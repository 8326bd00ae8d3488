"""First calls: every account that the attacker holds sends one input, to see that it is served.

Source: MITRE ATT&CK T1078; MITRE ATLAS AML.CS0004, where accounts were registered in the victims' names, and
AML.CS0012, where a valid account opened the interface. Access: none. Cost: one query for each account, at most the
budget. There is no control and no confirmation: nothing is guessed, and an answer is its own proof.

Result of one account, e.g. ``SampleOutcome(index=2, claimed=True, confirmed=True, queries=1, distance=0.0)``. Figures:
``accounts_served``.
"""

from __future__ import annotations

from dataclasses import dataclass

from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.model.errors import TargetRefused
from threatmatrix.model.evidence import SampleOutcome

__all__ = ["FirstCallsParams", "first_calls"]


@dataclass(frozen=True, slots=True)
class FirstCallsParams:
    """There is nothing to choose."""


def first_calls(stage: Stage) -> Brought:
    """One ordinary input from each account."""
    stage.settings(FirstCallsParams)
    pool = stage.target.accounts
    were_in_turn, pool.round_robin = pool.round_robin, True
    outcomes = []
    try:
        for index in range(min(len(pool.keys), stage.budget)):
            row = stage.samples.x[[index % len(stage.samples)]]
            served = True
            try:
                stage.target.labels(row)
            except TargetRefused:
                pool.refused()
                served = False
            outcomes.append(
                SampleOutcome(
                    index=index, claimed=served, confirmed=served, queries=1, distance=0.0, refused=not served
                )
            )
    finally:
        pool.round_robin = were_in_turn
    return Brought(outcomes=tuple(outcomes), figures={"accounts_served": float(sum(o.confirmed for o in outcomes))})
