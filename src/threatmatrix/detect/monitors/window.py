"""Which inputs count: distinct ones, within the time window and the entry limit."""

from __future__ import annotations

from sys import intern
from typing import NamedTuple

import numpy as np

from threatmatrix.detect.clock import Clock
from threatmatrix.detect.state import State, hexes, hexes_of, ints, ints_of, names, names_of, texts, texts_of
from threatmatrix.model.event import Event

__all__ = ["Entry", "Window"]


class Entry(NamedTuple):
    """What is kept of an event beside its vector."""

    event_id: str
    time: int  # µs, as the event says
    stamp: int  # µs of event time that had passed when it came: what expiry goes by
    principal: str
    system: str | None
    fingerprint: str
    warming: bool  # judged under another projection; this one only learns it


class Window:
    """Distinct inputs in order of arrival, numbered 0, 1, 2 … (``seq``); :attr:`floor` is the oldest live one.

    An input expires when event time has moved ``span`` µs on since its arrival (:class:`Clock`), so late events
    neither expire others nor live shorter, one false time expires nothing, and live entries are always a run of
    numbers. An input whose fingerprint is live is a retry, whoever sends it.
    """

    def __init__(self, span: int, limit: int) -> None:
        self._span = span
        self._limit = limit
        self._entries: list[Entry] = []
        self._base = 0  # seq of _entries[0]
        self._seqs: dict[str, int] = {}  # fingerprint -> seq of live entries
        self._clock = Clock(span)
        self.floor = 0
        self.next_seq = 0

    def __getitem__(self, seq: int) -> Entry:
        return self._entries[seq - self._base]

    def admit(self, event: Event, fingerprint: str, *, warming: bool = False) -> bool:
        """Advance event time; take the event in unless it repeats a live input (then False)."""
        stamp = self._clock.tick(event.time)
        self._expire()
        if fingerprint in self._seqs:
            return False
        if self.next_seq - self.floor >= self._limit:
            self._drop()
        self._seqs[fingerprint] = self.next_seq
        principal = intern(event.principal) if event.principal else "(unknown)"
        entry = Entry(event.event_id, event.time, stamp, principal, event.system, fingerprint, warming)
        self._entries.append(entry)
        self.next_seq += 1
        return True

    def trim(self) -> None:
        """Free expired entries; only between batches, as findings may still ask for them within one."""
        dead = self.floor - self._base
        if dead > 1024 and dead * 2 > len(self._entries):
            del self._entries[:dead]
            self._base = self.floor

    def snapshot(self) -> State:
        """The live inputs, as columns."""
        live = self._entries[self.floor - self._base :]
        return {
            "clock": self._clock.snapshot(),
            "floor": self.floor,
            "event_id": texts([entry.event_id for entry in live]),
            "time": ints([entry.time for entry in live]),
            "stamp": ints([entry.stamp for entry in live]),
            "principal": names([entry.principal for entry in live]),
            "system": names([entry.system or "" for entry in live]),
            "fingerprint": hexes([entry.fingerprint for entry in live]),
            "warming": np.fromiter([entry.warming for entry in live], np.bool_, len(live)),
        }

    def restore(self, state: State) -> None:
        """Go on from :meth:`snapshot`."""
        columns = zip(
            texts_of(state["event_id"]),
            ints_of(state["time"]),
            ints_of(state["stamp"]),
            map(intern, names_of(state["principal"])),
            (system or None for system in names_of(state["system"])),
            hexes_of(state["fingerprint"]),
            state["warming"].tolist(),
            strict=True,
        )
        self._clock.restore(state["clock"])
        self._entries = list(map(Entry._make, columns))
        self.floor = self._base = int(state["floor"])
        self.next_seq = self.floor + len(self._entries)
        self._seqs = {entry.fingerprint: seq for seq, entry in enumerate(self._entries, self.floor)}

    def _expire(self) -> None:
        oldest = self._clock.elapsed - self._span
        while self.floor < self.next_seq and self._entries[self.floor - self._base].stamp <= oldest:
            self._drop()

    def _drop(self) -> None:
        del self._seqs[self._entries[self.floor - self._base].fingerprint]
        self.floor += 1
