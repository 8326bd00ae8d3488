"""What is told about a cluster that has reached the alarm size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from threatmatrix.detect.monitors.window import Entry
from threatmatrix.detect.state import State, ints, ints_of, names, names_of, runs, runs_of, texts, texts_of

__all__ = ["MAX_EVENT_IDS", "MAX_PRINCIPALS", "Alarm", "keep_alarms", "kept_alarms"]

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
    told: bool = False  # by a finding: once a probe counted that no other projection judged

    def add(self, seq: int, entry: Entry) -> None:
        """Count one more probe."""
        self.size += 1
        self.told = self.told or not entry.warming
        self.first_time = min(self.first_time, entry.time)
        self.last_time = max(self.last_time, entry.time)
        self._count(entry.principal, 1, entry.time)
        self.newest.append((seq, entry.event_id))
        if len(self.newest) >= 2 * MAX_EVENT_IDS:
            self._trim()

    def absorb(self, other: Alarm) -> None:
        """Take over everything that ``other`` counted; it stops growing."""
        self.size += other.size
        self.told = self.told or other.told
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


def keep_alarms(alarms: Sequence[Alarm]) -> State:
    """Alarms, in their order; none of them has merged into another."""
    newest = [alarm.event_ids() for alarm in alarms]
    return {
        "root": ints([alarm.root for alarm in alarms]),
        "root_event": texts([alarm.root_event for alarm in alarms]),
        "alarm_event": texts([alarm.alarm_event for alarm in alarms]),
        "system": texts([alarm.system or "" for alarm in alarms]),
        "size": ints([alarm.size for alarm in alarms]),
        "first_time": ints([alarm.first_time for alarm in alarms]),
        "last_time": ints([alarm.last_time for alarm in alarms]),
        "told": ints([alarm.told for alarm in alarms]),
        "newest_runs": runs(newest),
        "newest_seq": ints([seq for alarm in alarms for seq, _ in alarm.newest]),
        "newest_event": texts(list(chain.from_iterable(newest))),
        "principal_runs": ints([len(alarm.principals) for alarm in alarms]),
        "principal": names(list(chain.from_iterable(alarm.principals for alarm in alarms))),
        "probes": ints(list(chain.from_iterable(alarm.principals.values() for alarm in alarms))),
        "since": ints([alarm.firsts[name] for alarm in alarms for name in alarm.principals]),
    }


def kept_alarms(state: State) -> list[Alarm]:
    """The alarms again."""
    newest = list(zip(ints_of(state["newest_seq"]), texts_of(state["newest_event"]), strict=True))
    counted = list(zip(names_of(state["principal"]), ints_of(state["probes"]), ints_of(state["since"]), strict=True))
    parts = zip(
        ints_of(state["root"]),
        texts_of(state["root_event"]),
        texts_of(state["alarm_event"]),
        (system or None for system in texts_of(state["system"])),
        *(ints_of(state[name]) for name in ("size", "first_time", "last_time")),
        strict=True,
    )
    alarms = [Alarm(*part) for part in parts]
    who = runs_of(state["principal_runs"], counted)
    for alarm, told, ids, names_ in zip(
        alarms, ints_of(state["told"]), runs_of(state["newest_runs"], newest), who, strict=True
    ):
        alarm.told, alarm.newest = bool(told), ids
        alarm.principals = Counter({name: count for name, count, _ in names_})
        alarm.firsts = {name: since for name, _, since in names_}
    return alarms
