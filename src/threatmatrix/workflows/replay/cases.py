"""Which replay a case has: the chain of its steps, or the loop of an attack by queries, measured in full."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from threatmatrix.knowledge import Library, load_scope
from threatmatrix.model.errors import UnknownNameError
from threatmatrix.workflows.home import Home
from threatmatrix.workflows.replay import chain, loop
from threatmatrix.workflows.replay.loop.as_row import as_row
from threatmatrix.workflows.replay.progress import ProgressLike
from threatmatrix.workflows.replay.row import CaseRow

__all__ = ["Plan", "Replayed", "plan", "replay", "replayable"]

Plan = chain.ChainPlan | loop.ReplayPlan

_SMALL_LOOP = 3  # samples of the loop in the tests' profile


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay came to. ``loop``: the full report, where the case is that of the loop."""

    row: CaseRow
    loop: loop.ReplayReport | None = None


def replayable(library: Library) -> tuple[str, ...]:
    """The cases that have a replay, in the order of the library."""
    return tuple(slug for slug, case in library.cases.items() if case.replay is not None)


def plan(library: Library, case: str, *, samples: int | None = None, small: bool = False) -> Plan:
    """What the replay of a case will send at most. ``small``: the profile that the tests run.

    Raises UnknownNameError for a case that is unknown or has no replay, FormatError for a parameter that is none.
    """
    study = library.case(case)
    if study.replay is None:
        raise UnknownNameError("replay", case, replayable(library))
    if study.replay.judged:
        return chain.plan(library, study, samples=samples, small=small)
    return loop.plan(library, case, samples=samples or (_SMALL_LOOP if small else None))


def replay(
    planned: Plan,
    home: Home,
    library: Library,
    *,
    seed: int,
    scope_file: Path | None,
    progress: ProgressLike,
    now: int,
) -> Replayed:
    """Run the plan in a workspace of its own and append its evidence to the user's store.

    ``scope_file`` None: a scope for the reference target alone is written into the workspace, and read from there
    like anybody's. ``now`` is wall-clock µs: the scope's expiry is judged by it, and the evidence is dated with it.
    Raises ScopeError or FormatError before anything is sent, MissingExtraError without ``[emulate]``.
    """
    if isinstance(planned, loop.ReplayPlan):
        report = loop.replay(planned, home, library, seed=seed, scope_file=scope_file, progress=progress, now=now)
        return Replayed(as_row(report), report)
    scope = None
    if scope_file is not None:
        scope = load_scope(scope_file, now, techniques=library.techniques)
        planned.check(scope, library, now)
    row = chain.replay_chain(planned, home, library, scope, seed=seed, progress=progress, now=now)
    return Replayed(row)
