"""Which inputs count: distinct ones, within the time window and the entry limit."""

from __future__ import annotations

from sys import intern
from typing import NamedTuple

from threatmatrix.model.event import Event

__all__ = ["Entry", "Window"]


class Entry(NamedTuple):
    """What is kept of an event beside its vector."""

    event_id: str
    time: int  # µs, as the event says
    stamp: int  # µs, the newest event time met until then: what expiry goes by
    principal: str
    system: str | None
    fingerprint: str


class Window:
    """Distinct inputs in order of arrival, numbered 0, 1, 2 … (``seq``); :attr:`floor` is the oldest live one.

    An input expires when event time has moved ``span`` µs past the newest time known at its arrival, so
    late events neither expire others nor live shorter, and live entries are always a run of numbers. An
    input whose fingerprint is live is a retry, whoever sends it.
    """

    def __init__(self, span: int, limit: int) -> None:
        self._span = span
        self._limit = limit
        self._entries: list[Entry] = []
        self._base = 0  # seq of _entries[0]
        self._seqs: dict[str, int] = {}  # fingerprint -> seq of live entries
        self._now = -(2**63)
        self.floor = 0
        self.next_seq = 0

    def __getitem__(self, seq: int) -> Entry:
        return self._entries[seq - self._base]

    def admit(self, event: Event, fingerprint: str) -> bool:
        """Advance event time; take the event in unless it repeats a live input (then False)."""
        self._now = max(self._now, event.time)
        self._expire()
        if fingerprint in self._seqs:
            return False
        if self.next_seq - self.floor >= self._limit:
            self._drop()
        self._seqs[fingerprint] = self.next_seq
        principal = intern(event.principal) if event.principal else "(unknown)"
        entry = Entry(event.event_id, event.time, self._now, principal, event.system, fingerprint)
        self._entries.append(entry)
        self.next_seq += 1
        return True

    def trim(self) -> None:
        """Free expired entries; only between batches, as findings may still ask for them within one."""
        dead = self.floor - self._base
        if dead > 1024 and dead * 2 > len(self._entries):
            del self._entries[:dead]
            self._base = self.floor

    def _expire(self) -> None:
        oldest = self._now - self._span
        while self.floor < self.next_seq and self._entries[self.floor - self._base].stamp <= oldest:
            self._drop()

    def _drop(self) -> None:
        del self._seqs[self._entries[self.floor - self._base].fingerprint]
        self.floor += 1
