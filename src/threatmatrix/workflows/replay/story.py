"""A replay's incidents in the user's store, so that the story can be read there."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from threatmatrix.store import Store

__all__ = ["adopt", "adopted_id"]


def adopted_id(incident_id: str, origin: str) -> str:
    """The id of a replay's incident in the user's store: the same seed run twice tells two stories."""
    return "inc-" + hashlib.sha256(f"{origin}:{incident_id}".encode()).hexdigest()[:12]


def adopt(workspace: Store, users: Store, incident_id: str, *, origin: str) -> None:
    """Copy an incident with its findings, runs and actions into the user's store.

    No policy is copied: what was enforced in a replay is nothing to the user's gateways.
    """
    incident, new_id = workspace.incidents.get(incident_id), adopted_id(incident_id, origin)

    def renamed(key: str) -> str:
        return key.replace(incident_id, new_id)  # run ids and idempotency keys begin with the incident's id

    names = {finding_id: f"{new_id}:{finding_id}" for finding_id in incident.finding_ids}
    users.findings.save(
        replace(finding, finding_id=names[finding.finding_id])
        for finding in workspace.findings.many(list(incident.finding_ids))
    )
    chain = tuple(replace(step, finding_ids=tuple(names[each] for each in step.finding_ids)) for step in incident.chain)
    finding_ids = tuple(names.values())
    users.incidents.save([replace(incident, incident_id=new_id, finding_ids=finding_ids, chain=chain, origin=origin)])
    for run in workspace.ledger.runs(incident_id):
        users.ledger.adopt(
            replace(run, run_id=renamed(run.run_id), incident_id=new_id),
            workspace.ledger.plan(run.run_id),
            [
                replace(action, run_id=renamed(run.run_id), idempotency_key=renamed(action.idempotency_key))
                for action in workspace.ledger.actions(run.run_id)
            ],
        )
