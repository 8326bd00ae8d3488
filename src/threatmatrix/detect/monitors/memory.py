"""What the near-duplicate monitor remembers of one space: its window, its index, its clusters."""

from __future__ import annotations

from dataclasses import asdict
from typing import NamedTuple

import numpy as np

from threatmatrix.detect.monitors.alarms import Alarm
from threatmatrix.detect.monitors.clusters import ClusterSet
from threatmatrix.detect.monitors.hashing import StableHash
from threatmatrix.detect.monitors.index import NeighbourIndex
from threatmatrix.detect.monitors.vectors import Space, block, squared_radius
from threatmatrix.detect.monitors.window import Window
from threatmatrix.detect.state import State
from threatmatrix.model.detection import Calibration
from threatmatrix.model.event import Event

__all__ = ["Limits", "Memory"]

# Chosen by measurement (docs/monitors.md). The tables keep .99 of pairs at the threshold; REACH bounds the cost
# and gives up lone pairs in crowded buckets.
TABLES = 16
HASHES = 6
WIDTH = 4.0  # of a bucket, in thresholds
REACH = 8  # entries looked at in one bucket, the newest first


class Limits(NamedTuple):
    """The monitor's numbers: probes of an alarm, µs that an input is remembered, inputs remembered at most."""

    alarm_at: int
    window: int
    max_entries: int


class Memory:
    """One space of one tenant, under one threshold."""

    def __init__(self, limits: Limits, tenant: str, space: Space, calibration: Calibration) -> None:
        self.tenant, self.space, self.calibration = tenant, space, calibration
        squared = squared_radius(calibration.threshold, space.vec_scale)
        key = f"{space.model}\0{space.vec_key}".encode()
        hasher = StableHash(space.dims, WIDTH * squared**0.5, tables=TABLES, hashes=HASHES, key=key)
        self.window = Window(limits.window, limits.max_entries)
        self.index = NeighbourIndex(space.dims, squared, hasher, reach=REACH, limit=limits.max_entries)
        self.clusters = ClusterSet(limits.alarm_at, self.window, self.index.tag)
        self._vecs: list[bytes] = []
        self._floors: list[int] = []

    def take(self, event: Event, *, warming: bool = False) -> bool:
        """Queue one event; False if it repeats an input. ``warming``: another projection judges it."""
        current = event.vec_key == self.space.vec_key
        fingerprint, vec = (event.input_fp, event.input_vec) if current else (event.input_fp_prev, event.input_vec_prev)
        if not self.window.admit(event, fingerprint or "", warming=warming):
            return False
        self._vecs.append(vec or b"")
        self._floors.append(self.window.floor)
        return True

    def settle(self) -> list[Alarm]:
        """Link and cluster what is queued; the alarms that changed."""
        done = 0
        while done < len(self._vecs):
            stop = min(done + self.index.room, len(self._vecs))
            first, floors = self.index.next_seq, self._floors[done:stop]
            links = self.index.add(block(self._vecs[done:stop], self.space.dims), np.array(floors, np.int64))
            self.clusters.join(links, first, floors)
            done = stop
        self._vecs, self._floors = [], []
        self.window.trim()
        changed = list(self.clusters.dirty.values())
        self.clusters.dirty.clear()
        return changed

    def snapshot(self) -> State:
        """Everything, once it has settled."""
        return {
            "tenant": self.tenant,
            "space": asdict(self.space),
            "calibration": asdict(self.calibration),
            "window": self.window.snapshot(),
            "index": self.index.snapshot(self.window.floor),
            "clusters": self.clusters.snapshot(),
        }

    @classmethod
    def restored(cls, limits: Limits, state: State) -> Memory:
        """The memory that :meth:`snapshot` was taken of."""
        memory = cls(limits, state["tenant"], Space(**state["space"]), Calibration(**state["calibration"]))
        memory.window.restore(state["window"])
        memory.index.restore(state["index"])
        memory.clusters.restore(state["clusters"])
        if memory.window.next_seq != memory.index.next_seq:
            raise ValueError("inputs and vectors do not agree")
        return memory
