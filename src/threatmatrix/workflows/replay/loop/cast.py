"""Who takes part in a scene: the attacker's accounts, and an auditor for every confirmation."""

from __future__ import annotations

from collections.abc import Sequence

from threatmatrix.workflows.replay.loop.lab import Lab
from threatmatrix.workflows.replay.loop.plan import Run

__all__ = ["auditors", "crew", "per_sample"]


def per_sample(lab: Lab, variant: str) -> int:
    """How many accounts each sample has of its own; 0: one account for all samples."""
    if variant in {"plain", "blocked-account", "random-control"}:
        return 0
    return int(lab.number("fresh_accounts" if variant == "fresh-accounts" else "adaptive_accounts"))


def crew(lab: Lab, run: Run, samples: int) -> list[str]:
    """The attacker's accounts for one run, in order."""
    each = per_sample(lab, run[1])
    if not each:
        return ["mallory"]
    name = run[1].removeprefix("adaptive-").removesuffix("-accounts")
    return [f"{name}-{run[0]}-{number:03d}" for number in range(1, samples * each + 1)]


def auditors(runs: Sequence[Run], samples: int) -> dict[Run, list[str]]:
    """An account for each sample of each run, which confirms and does nothing else."""
    return {run: [f"auditor-{run[0]}-{run[1]}-{number:02d}" for number in range(1, samples + 1)] for run in runs}
