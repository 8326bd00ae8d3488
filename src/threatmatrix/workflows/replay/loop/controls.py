"""One control of the gateway alone: nobody detects, nobody is blocked."""

from __future__ import annotations

from threatmatrix.knowledge import Library
from threatmatrix.model.evidence import AttackResult
from threatmatrix.model.matrix import Control
from threatmatrix.model.response import PolicyEntry
from threatmatrix.workflows.replay.loop.baseline import Samples
from threatmatrix.workflows.replay.loop.cast import auditors
from threatmatrix.workflows.replay.loop.lab import START, Lab
from threatmatrix.workflows.replay.loop.plan import CONTROLLED, Run
from threatmatrix.workflows.replay.loop.scene import Scene

__all__ = ["measure_control"]

_MONTH = 30 * 86_400_000_000


def measure_control(lab: Lab, library: Library, control: Control, samples: Samples) -> dict[Run, AttackResult]:
    """Every run that the plan has for this control, through a gateway that enforces nothing else."""
    runs, n = CONTROLLED[control.policy["kind"]], len(samples[1])
    checkers = auditors(runs, n)
    each = 0 if control.policy["kind"] == "query_budget" else 1  # accounts of its own for each sample
    numbers = range(1, n + 1) if each else (1,)
    attackers = {run: [f"mallory-{run[0]}-{run[1]}-{number:02d}" for number in numbers] for run in runs}
    everyone = [a for cast in (checkers, attackers) for crew in cast.values() for a in crew]
    with Scene(lab, f"control-{control.id}", everyone, seed=10 + len(control.id), honest=False) as scene:
        scene.enforce(
            PolicyEntry(
                entry_id=f"control-{control.id}",
                kind=control.policy["kind"],
                owner="replay",
                reason="measured alone",
                created_at=START,
                expires_at=START + _MONTH,
                params={key: value for key, value in control.policy.items() if key not in {"kind", "ttl_seconds"}},
            )
        )
        return {
            run: scene.attack(
                library.procedure(run[0]),
                run[1],
                lab.accounts.pool(attackers[run], per_sample=each),
                checkers[run],
                samples,
            )
            for run in runs
        }
