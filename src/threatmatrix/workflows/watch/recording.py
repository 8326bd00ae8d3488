"""Findings → the store, and what is done about them."""

from __future__ import annotations

from collections.abc import Sequence

from threatmatrix.model.detection import Finding
from threatmatrix.model.response import Incident
from threatmatrix.store import Store
from threatmatrix.workflows.respond import Responder, keep

__all__ = ["Recorder"]


class Recorder:
    """``now`` is the batch's own time, so that recording it again says the same."""

    def __init__(self, store: Store, responder: Responder | None = None) -> None:
        self._store = store
        self._responder = responder
        self.now = 0

    def clock(self) -> int:
        return self.now

    def record(self, findings: Sequence[Finding], now: int, *, again: bool) -> None:
        """Keep the findings, join them into incidents, respond. Raises StoreError; may then be called again.

        ``again``: it may have been done before, up to any point. The store then sees no change, and what was to be
        done about it is looked at once more: of a playbook, only what was not done yet is done.
        """
        self.now = now
        if self._responder is None:
            keep(self._store, findings, now)
            return
        self._responder.handle(findings)
        if again:
            ids = {finding.finding_id for finding in findings}
            for incident in self._open():
                if not ids.isdisjoint(incident.finding_ids):
                    self._responder.respond_to(incident.incident_id)

    def respond_with(self, responder: Responder) -> None:
        self._responder = responder

    def _open(self) -> list[Incident]:
        return self._store.incidents.list("open")
