"""The chain while detect → respond → enforce runs beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from threatmatrix.knowledge import Library
from threatmatrix.model.detection import Calibration
from threatmatrix.model.response import ActionRecord, ActionState, Incident, PolicyEntry
from threatmatrix.store import Store, open_store
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.lake import Lake
from threatmatrix.workflows.detect import build_session
from threatmatrix.workflows.live import LiveLoop
from threatmatrix.workflows.replay.chain.lab import START, ChainLab
from threatmatrix.workflows.replay.chain.scene import Scene, is_measuring
from threatmatrix.workflows.replay.chain.walk import Walk, walk
from threatmatrix.workflows.respond import Responder

__all__ = ["Defended", "defended", "live_store"]

_DONE = {ActionState.done, ActionState.intent}


@dataclass(frozen=True, slots=True)
class Defended:
    """One walk against the defence. ``in_force``: its measures for everybody at the end (no blocks)."""

    walk: Walk
    incidents: tuple[Incident, ...]
    actions: tuple[ActionRecord, ...]
    blocked: tuple[str, ...]  # the attacker's accounts
    honest_blocked: tuple[str, ...]
    honest_requests: int
    honest_refused: int
    in_force: tuple[PolicyEntry, ...]

    @property
    def main(self) -> Incident | None:
        """The incident of the attack as the case tells it: the longest chain."""
        standing = [each for each in self.incidents if not each.title.startswith("Merged into")]
        return max(standing, key=lambda each: (len(each.chain), -each.first_time), default=None)

    @property
    def done(self) -> int:
        """Actions of playbooks that were carried out."""
        return sum(action.state in _DONE for action in self.actions)


def live_store(lab: ChainLab, scene: str) -> Store:
    """The store of a defended scene: incidents, ledger and policy, apart from the user's."""
    return open_store(lab.workspace / scene / "store.db")


def defended(
    lab: ChainLab,
    library: Library,
    calibrations: Sequence[Calibration],
    name: str,
    accounts: Sequence[str],
    *,
    variant: str,
    seed: int,
    in_force: Sequence[PolicyEntry] = (),
    report: Callable[[str], None],
) -> Defended:
    """Walk the chain in a scene of its own while the loop runs. ``in_force``: measures that it begins with."""
    with Scene(lab, name, accounts, seed=seed) as scene:
        with _loop(lab, library, calibrations, scene, in_force):
            scene.pass_time(lab.number("warm_up_seconds"))
            sent, refused = scene.honest_sent, scene.honest_refused
            found = walk(lab, library, scene, accounts, variant=variant, defended=True, report=report)
        with live_store(lab, name) as store:
            incidents = tuple(store.incidents.list())
            actions = tuple(a for run in store.ledger.runs() for a in store.ledger.actions(run.run_id))
            kept = tuple(entry for entry in store.policy.active(scene.now) if entry.kind != "block")
        blocked = set(scene.blocked())
        return Defended(
            walk=found,
            incidents=incidents,
            actions=actions,
            blocked=tuple(each for each in accounts if each in blocked),
            honest_blocked=tuple(sorted(each for each in blocked if each.startswith("honest-"))),
            honest_requests=scene.honest_sent - sent,
            honest_refused=scene.honest_refused - refused,
            in_force=kept,
        )


@contextmanager
def _loop(
    lab: ChainLab,
    library: Library,
    calibrations: Sequence[Calibration],
    scene: Scene,
    in_force: Sequence[PolicyEntry],
) -> Iterator[None]:
    """The loop on a scene's logs, with a store, a lake and dead letters beside it."""
    folder = lab.workspace / scene.name
    folder.mkdir()

    def clock() -> int:
        return scene.now

    with (
        open_store(folder / "store.db", clock=clock) as store,
        DeadLetterFile(folder / "dead-letters.jsonl") as letters,
    ):
        if in_force:
            for entry in in_force:
                store.policy.add(entry)
            store.policy.publish(scene.policy, START)
        session, _ = build_session(library, calibrations)
        measuring = is_measuring(lab)
        loop = LiveLoop(
            scene.logs,
            session=session,
            lake=Lake(folder / "lake"),
            letters=letters,
            responder=Responder(store, library, scene.policy, clock=clock),
            judged=lambda event: not measuring(event),
        )
        scene.on_tick = loop.tick
        try:
            yield
        finally:
            scene.on_tick = None
            loop.close()
