"""Findings in, incidents and finished playbook runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from threatmatrix.knowledge import Library
from threatmatrix.model.detection import Finding
from threatmatrix.model.response import ActionRecord, Incident, RunRecord, RunState
from threatmatrix.respond.actions import default_executors
from threatmatrix.respond.cacao import Playbook, load_playbook
from threatmatrix.respond.incidents import record_findings
from threatmatrix.respond.runner import Runner
from threatmatrix.store import Store

__all__ = ["LOOPBACK", "IncidentStory", "Responder", "keep", "story"]

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Where http-api actions may go unless somebody allows more."""


@dataclass(frozen=True, slots=True)
class IncidentStory:
    """Everything that the store knows of one incident, for a page or a terminal."""

    incident: Incident
    findings: tuple[Finding, ...]
    runs: tuple[RunRecord, ...]
    actions: tuple[ActionRecord, ...]


def story(store: Store, incident_id: str) -> IncidentStory:
    """The whole story of one incident. Raises UnknownNameError."""
    incident = store.incidents.get(incident_id)
    runs = tuple(store.ledger.runs(incident_id))
    return IncidentStory(
        incident=incident,
        findings=tuple(store.findings.many(incident.finding_ids)),
        runs=runs,
        actions=tuple(action for run in runs for action in store.ledger.actions(run.run_id)),
    )


def keep(store: Store, findings: Sequence[Finding], now: int) -> list[Incident]:
    """Record findings and join them into incidents; returns the incidents that changed. Nothing is acted on."""
    return record_findings(store, findings, now)


class Responder:
    """Joins findings into incidents and runs the playbook of the gravest technique that has one.

    ``policy_path`` is where the snapshot for the gateway is published; ``clock`` gives µs; ``variables`` are values for
    the playbook's own; ``allowed_hosts`` (``host`` or ``host:port``) are those that its http-api actions may reach.
    """

    def __init__(
        self,
        store: Store,
        library: Library,
        policy_path: Path,
        *,
        clock: Callable[[], int],
        variables: Mapping[str, str] | None = None,
        allowed_hosts: Iterable[str] = LOOPBACK,
    ) -> None:
        self._store = store
        self._clock = clock
        self._library = library
        self._variables = dict(variables or {})
        executors = default_executors(store, policy_path, clock, allowed_hosts=allowed_hosts)
        self._runner = Runner(store, executors, clock)

    def handle(self, findings: Sequence[Finding]) -> list[RunRecord]:
        """Record the findings and respond to every incident that they changed."""
        changed = record_findings(self._store, findings, self._clock())
        runs = (self._start(incident) for incident in changed)
        return [run for run in runs if run is not None]

    def respond_to(self, incident_id: str) -> RunRecord | None:
        """Run the playbook for one incident, by hand; only what is new is done.

        Returns the run, or the latest one where nothing is new; None where no technique of the chain has a playbook.
        """
        return self._start(self._store.incidents.get(incident_id))

    def runs(self) -> list[RunRecord]:
        """Every run, in the order in which they were started."""
        return self._store.ledger.runs()

    def actions(self, runs: Sequence[RunRecord]) -> list[ActionRecord]:
        """The actions of these runs, in the order of their plans."""
        return [action for run in runs for action in self._store.ledger.actions(run.run_id)]

    def resume(self) -> list[RunRecord]:
        """Finish what a crash interrupted; doubtful actions end as ``unknown`` and wait for a human."""
        return self._runner.resume()

    def decide(self, key: str, *, happened: bool, by: str) -> RunRecord:
        """A human says whether a doubtful action took effect; the run goes on from there."""
        return self._runner.decide(key, happened=happened, by=by)

    def undo(self, incident_id: str, *, by: str) -> list[ActionRecord]:
        """Withdraw what the incident's runs put in force; a contained incident is open again."""
        incident = self._store.incidents.get(incident_id)  # an unknown id is named before anything is touched
        undone = self._runner.undo(incident_id, by)
        if undone and incident.status == "contained":
            self._store.incidents.set_status(incident_id, "open")
        return undone

    def playbook_for(self, incident: Incident) -> Playbook | None:
        """The playbook of the last technique in the chain that has one: the furthest that the attacker came."""
        for step in reversed(incident.chain):
            technique = self._library.techniques.get(step.technique)
            if technique is not None and technique.playbook:
                return load_playbook(Path(technique.playbook))
        return None

    def _start(self, incident: Incident) -> RunRecord | None:
        playbook = self.playbook_for(incident)
        if playbook is None:
            return None
        run = self._runner.start(playbook, incident, variables=self._variables)
        if run.state is RunState.done and incident.status == "open":
            self._store.incidents.set_status(incident.incident_id, "contained")  # a new principal opens it again
        return run
