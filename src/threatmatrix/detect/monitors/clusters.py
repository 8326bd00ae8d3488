"""Clusters of near-duplicates: union-find over entries, and what is told about those that alarm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from threatmatrix.detect.monitors.index import Links
from threatmatrix.detect.monitors.window import Entry, Window

__all__ = ["MAX_EVENT_IDS", "MAX_PRINCIPALS", "Alarm", "ClusterSet"]

MAX_EVENT_IDS = 1000
MAX_PRINCIPALS = 10_000  # counted by name in one alarm; later ones are counted together
OTHERS = "(others)"


@dataclass(slots=True)
class Alarm:
    """The evidence of one cluster since it reached the alarm size. Its counters only grow."""

    root: int  # seq of the cluster's first member when it alarmed: the smallest, whatever the order
    root_event: str
    alarm_event: str
    system: str | None
    size: int = 0
    first_time: int = 2**63 - 1
    last_time: int = -(2**63)
    principals: Counter[str] = field(default_factory=Counter)
    firsts: dict[str, int] = field(default_factory=dict)  # principal -> µs of its first probe
    newest: list[tuple[int, str]] = field(default_factory=list)  # (seq, event id), trimmed now and then
    merged_into: Alarm | None = None

    def add(self, seq: int, entry: Entry) -> None:
        """Count one more probe."""
        self.size += 1
        self.first_time = min(self.first_time, entry.time)
        self.last_time = max(self.last_time, entry.time)
        self._count(entry.principal, 1, entry.time)
        self.newest.append((seq, entry.event_id))
        if len(self.newest) >= 2 * MAX_EVENT_IDS:
            self._trim()

    def absorb(self, other: Alarm) -> None:
        """Take over everything that ``other`` counted; it stops growing."""
        self.size += other.size
        self.first_time = min(self.first_time, other.first_time)
        self.last_time = max(self.last_time, other.last_time)
        for name, count in other.principals.items():
            self._count(name, count, other.firsts[name])
        self.newest += other.newest
        self._trim()
        other.merged_into = self

    def _count(self, name: str, count: int, first: int) -> None:
        if name not in self.principals and len(self.principals) >= MAX_PRINCIPALS:
            name = OTHERS
        self.principals[name] += count
        self.firsts[name] = min(first, self.firsts.get(name, first))

    def event_ids(self) -> tuple[str, ...]:
        """The newest event ids, oldest of them first, at most :data:`MAX_EVENT_IDS`."""
        self._trim()
        return tuple(event_id for _, event_id in self.newest)

    def _trim(self) -> None:
        self.newest.sort()
        del self.newest[:-MAX_EVENT_IDS]


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
