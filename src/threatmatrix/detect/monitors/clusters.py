"""Clusters of near-duplicates: union-find over entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from threatmatrix.detect.monitors.alarms import Alarm, keep_alarms, kept_alarms
from threatmatrix.detect.monitors.index import CHUNK, Links
from threatmatrix.detect.monitors.window import Window
from threatmatrix.detect.state import State, ints, ints_of, runs, runs_of

__all__ = ["ClusterSet"]


@dataclass(slots=True)
class _Cluster:
    """At least two linked entries. ``members`` may hold expired ones until the next look."""

    members: list[int]
    live: int
    alarm: Alarm | None = None


class ClusterSet:
    """Union-find over entries by weighted quick-find: each entry has a label, the smaller side is relabelled.

    A cluster's root is its smallest (first) live entry. A cluster never splits: it ends when its last
    entry has expired. Entries that touch nothing own no object, so honest traffic costs next to nothing.
    """

    def __init__(self, alarm_at: int, window: Window, retag: Callable[[list[int], int], None]) -> None:
        self._alarm_at = alarm_at
        self._window = window
        self._retag = retag
        self._clusters: dict[int, _Cluster] = {}
        self._labels: dict[int, int] = {}  # only of entries in a cluster; any other is its own label
        self._masks: dict[int, int] = {}  # label -> members within the current chunk, as bits
        self._chunk = -1
        self._swept = 0
        self.dirty: dict[int, Alarm] = {}  # by root: alarms that changed since the caller cleared this

    def __len__(self) -> int:
        return len(self._clusters)

    def join(self, links: Links, first: int, floors: Sequence[int]) -> None:
        """Let rows ``first …`` join, in order, every cluster they touch; alarms land in :attr:`dirty`."""
        if links.chunk_start != self._chunk:
            self._chunk, self._masks = links.chunk_start, {}
        get = self._labels.get
        touched: dict[int, list[int]] = {}
        for row, near in zip(links.rows.tolist(), links.seqs.tolist(), strict=True):
            touched.setdefault(row, []).append(near)
        for row, mask in enumerate(links.local):
            if floors[row] > self._swept:
                self._expire(floors[row])
            if not mask and row not in touched:
                continue
            labels = {get(near, near) for near in touched.get(row, ())}
            bits = mask
            while bits:
                place = (bits & -bits).bit_length() - 1
                label = get(self._chunk + place, self._chunk + place)
                labels.add(label)
                bits &= ~self._masks.get(label, 1 << place)
            self._unite(first + row, labels, floors[row])

    def snapshot(self) -> State:
        """The live members of each cluster, its alarm if it has one, and what the current chunk knows."""
        live = [[member for member in cluster.members if member >= self._swept] for cluster in self._clusters.values()]
        alarmed = [(place, each.alarm) for place, each in enumerate(self._clusters.values()) if each.alarm]
        return {
            "swept": self._swept,
            "chunk": self._chunk,
            "names": ints(list(self._clusters)),
            "runs": runs(live),
            "members": ints([member for members in live for member in members]),
            "masks": {str(label): mask.to_bytes(CHUNK // 8, "little") for label, mask in self._masks.items()},
            "alarmed": ints([place for place, _ in alarmed]),
            "alarms": keep_alarms([alarm for _, alarm in alarmed]),
        }

    def restore(self, state: State) -> None:
        """Go on from :meth:`snapshot`; tells the index again which entries are one cluster."""
        self._swept, self._chunk = int(state["swept"]), int(state["chunk"])
        self._masks = {int(label): int.from_bytes(mask, "little") for label, mask in state["masks"].items()}
        self._clusters, self._labels = {}, {}
        found = zip(ints_of(state["names"]), runs_of(state["runs"], ints_of(state["members"])), strict=True)
        for name, members in found:
            self._clusters[name] = _Cluster(members, len(members))
            self._labels.update(dict.fromkeys(members, name))
            self._retag(members, name)
        clusters = list(self._clusters.values())
        for place, alarm in zip(ints_of(state["alarmed"]), kept_alarms(state["alarms"]), strict=True):
            clusters[place].alarm = alarm
        self.dirty = {}

    def _expire(self, floor: int) -> None:
        """Forget entries before ``floor``; a cluster whose last entry goes is dropped."""
        for seq in range(self._swept, floor):
            label = self._labels.pop(seq, None)
            if label is not None:
                cluster = self._clusters[label]
                cluster.live -= 1
                if not cluster.live:
                    del self._clusters[label]
        self._swept = floor

    def _unite(self, seq: int, labels: set[int], floor: int) -> None:
        """Make one cluster of entry ``seq`` and the clusters or lone entries called ``labels``."""
        parts = {
            label: self._clusters.pop(label) if label in self._clusters else _Cluster([label], 1) for label in labels
        }
        name = max(parts, key=lambda label: (parts[label].live, -label))
        whole = parts[name]
        alarm = self._alarm_of(list(parts.values()), floor)
        moved = [seq]
        for label, part in parts.items():
            if label != name:
                moved += [member for member in part.members if member >= floor]
        if name not in self._labels:
            self._labels[name] = name
        for member in moved:
            self._labels[member] = name
        self._retag(moved, name)
        mask = 1 << (seq - self._chunk)
        for label in labels:
            mask |= self._masks.pop(label, 1 << (label - self._chunk) if label >= self._chunk else 0)
        self._masks[name] = mask
        whole.members += moved
        whole.live += len(moved)
        if len(whole.members) > 2 * whole.live + 64:
            whole.members = [member for member in whole.members if member >= floor]
        self._clusters[name] = whole
        whole.alarm = self._grow(alarm, whole, seq, floor)

    def _alarm_of(self, parts: list[_Cluster], floor: int) -> Alarm | None:
        """The first alarm among the parts, with every other part's evidence added to it."""
        alarms = sorted((part.alarm for part in parts if part.alarm), key=lambda alarm: alarm.root)
        if not alarms:
            return None
        for other in alarms[1:]:
            alarms[0].absorb(other)
            self.dirty[other.root] = other
        for part in parts:
            if part.alarm is None:
                for member in part.members:
                    if member >= floor:
                        alarms[0].add(member, self._window[member])
        return alarms[0]

    def _grow(self, alarm: Alarm | None, whole: _Cluster, seq: int, floor: int) -> Alarm | None:
        """Count ``seq`` into the alarm; raise one where the cluster has just become large enough."""
        if alarm is not None:
            alarm.add(seq, self._window[seq])
        elif whole.live >= self._alarm_at:
            members = sorted(member for member in whole.members if member >= floor)
            last = self._window[seq]
            alarm = Alarm(members[0], self._window[members[0]].event_id, last.event_id, last.system)
            for member in members:
                alarm.add(member, self._window[member])
        if alarm is not None:
            self.dirty[alarm.root] = alarm
        return alarm
