"""Sliding counts: which groups reached the count, merged into episodes.

SQL decides whether and when a count was reached (``detect.sigma.sql.episodes``); this module keeps the hot rows that
the next batch may still need, and the evidence of each episode. Rows are kept for as long as an event may come late,
plus one timespan: a late event can neither complete nor prolong anything older.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import duckdb
import numpy as np

from threatmatrix.detect.engines.evidence import Evidence, Row, make_finding, row_of
from threatmatrix.detect.engines.identity import stable_id
from threatmatrix.detect.sigma.ir import EventCountRule
from threatmatrix.detect.sigma.sql import episodes
from threatmatrix.model.detection import Finding
from threatmatrix.model.event import Event

__all__ = ["EpisodeFindings"]

Key = tuple[Any, ...]
Span = tuple[int, int, int]  # started, fired, last: µs, as detect.sigma.sql.episodes gives them


@dataclass(slots=True)
class _Episode:
    finding_id: str
    started: int
    fired: int
    last: int
    opened: Row
    alarm: Row
    evidence: Evidence
    grown: bool = True  # since the last finding


@dataclass(slots=True)
class _Group:
    key: Key
    rows: list[Row] = field(default_factory=list)  # hot, in order
    loose: list[Row] = field(default_factory=list)  # those of them that belong to no episode yet
    episodes: list[_Episode] = field(default_factory=list)

    def add(self, fresh: list[Row]) -> None:
        for rows in (self.rows, self.loose):
            in_order = not rows or rows[-1] <= fresh[0]
            rows.extend(fresh)
            if not in_order:
                rows.sort()

    def reach(self, fresh: list[Row], rule: EventCountRule) -> list[Row]:
        """The hot rows that decide about ``fresh``: back to the first that can share a window, on to the last."""
        begin = bisect_left(self.rows, (fresh[0].time - rule.timespan,))
        begin = max(begin, bisect_left(self.rows, (fresh[0].time,)) - rule.minimum + 1)
        return self.rows[begin : bisect_left(self.rows, (fresh[-1].time + rule.timespan + 1,))]

    def forget(self, before: int) -> bool:
        """Drop what no event can change any more; true where nothing is left."""
        for rows in (self.rows, self.loose):
            del rows[: bisect_left(rows, (before,))]
        self.episodes = [episode for episode in self.episodes if episode.last >= before]
        return not self.rows and not self.episodes


class EpisodeFindings:
    """The growing findings of one event_count correlation. ``lateness`` in µs: how late an event may come."""

    def __init__(self, rule: EventCountRule, lateness: int) -> None:
        self._rule = rule
        self._keep = lateness + rule.timespan
        self._sql = episodes(rule, "hot", ["group"])
        self._key_of = [attrgetter(name) for name in rule.group_by]
        self._groups: dict[Key, _Group] = {}
        self._forgotten = 0  # rows before this time are gone

    def feed(
        self, connection: duckdb.DuckDBPyConnection, events: Sequence[Event], positions: Iterable[int], oldest: int
    ) -> list[Finding]:
        """Add the events at ``positions`` of a batch whose oldest event is at ``oldest`` (µs).

        Gives the findings that are new or have grown. Raises nothing of its own.
        """
        fresh = self._by_group(events, positions)
        for key, rows in fresh.items():
            self._groups.setdefault(key, _Group(key)).add(rows)
        findings: list[Finding] = []
        for group, spans in self._spans(connection, fresh):
            findings.extend(self._update(group, spans))
        self._forget(oldest - self._keep)
        return findings

    def _by_group(self, events: Sequence[Event], positions: Iterable[int]) -> dict[Key, list[Row]]:
        fresh: defaultdict[Key, list[Row]] = defaultdict(list)
        for position in positions:
            event = events[position]
            key = tuple(get(event) for get in self._key_of)
            if None not in key:
                fresh[key].append(row_of(event))
        for rows in fresh.values():
            rows.sort()
        return fresh

    def _spans(
        self, connection: duckdb.DuckDBPyConnection, fresh: dict[Key, list[Row]]
    ) -> Iterator[tuple[_Group, list[Span]]]:
        """Ask SQL about the groups with fresh rows; give each of them with the spans found in its reach."""
        groups = [self._groups[key] for key in fresh]
        reaches = [group.reach(rows, self._rule) for group, rows in zip(groups, fresh.values(), strict=True)]
        asked = [(index, reach) for index, reach in enumerate(reaches) if len(reach) >= self._rule.minimum]
        found: defaultdict[int, list[Span]] = defaultdict(list)
        if asked:
            sizes = [len(reach) for _, reach in asked]
            times = np.fromiter((row.time for _, reach in asked for row in reach), np.int64, sum(sizes))
            hot = {"group": np.repeat([index for index, _ in asked], sizes), "time": times}
            connection.register("hot", hot)
            for index, *span in connection.execute(self._sql).fetchall():
                found[index].append((span[0], span[1], span[2]))
            connection.unregister("hot")
        for index, group in enumerate(groups):
            yield group, sorted(found[index])

    def _update(self, group: _Group, spans: list[Span]) -> Iterator[Finding]:
        absorbed: list[tuple[_Episode, _Episode]] = []
        for span in spans:
            absorbed += self._place(group, span)
        for episode in group.episodes:
            begin = bisect_left(group.loose, (episode.started,))
            end = bisect_left(group.loose, (episode.last + 1,))
            rows = group.loose[begin:end]
            if rows:
                del group.loose[begin:end]
                episode.evidence.add(rows)
            if rows or episode.grown:
                episode.grown = False
                self._set_alarm(group, episode)
                yield self._finding(group, episode)
        for loser, winner in absorbed:
            yield self._finding(group, loser, merged_into=winner.finding_id)

    def _place(self, group: _Group, span: Span) -> list[tuple[_Episode, _Episode]]:
        """Make a new episode of a span, or join it with those within a timespan of it: (absorbed, by which)."""
        started, fired, last = span
        reach = self._rule.timespan
        near = [e for e in group.episodes if fired - e.last <= reach and e.fired - last <= reach]
        if not near:
            group.episodes.append(self._open(group, span))
            return []
        winner = min(near, key=lambda episode: episode.fired)
        losers = [episode for episode in near if episode is not winner]
        for loser in losers:
            winner.evidence.absorb(loser.evidence)
            group.episodes.remove(loser)
        winner.started = min(started, *(episode.started for episode in near))
        winner.fired = min(fired, winner.fired)
        winner.last = max(last, *(episode.last for episode in near))
        winner.grown = True
        return [(loser, winner) for loser in losers]

    def _open(self, group: _Group, span: Span) -> _Episode:
        started, fired, last = span
        first = bisect_left(group.loose, (started,))
        rows = group.loose[first : bisect_left(group.loose, (last + 1,))]
        # The start's time stands for the first event: of several at the same time, which is first depends on portions.
        finding_id = stable_id(self._rule.meta.detector, *group.key, started)
        del group.loose[first : first + len(rows)]
        alarm = rows[self._rule.minimum - 1]
        return _Episode(finding_id, started, fired, last, rows[0], alarm, Evidence.of(rows))

    def _set_alarm(self, group: _Group, episode: _Episode) -> None:
        """The event that completes the first window; a late event can move it."""
        first = bisect_left(group.rows, (episode.started,))
        window = group.rows[first : first + self._rule.minimum]
        if len(window) == self._rule.minimum and window[0].time == episode.started:  # else: no longer hot, and settled
            episode.alarm = window[-1]

    def _finding(self, group: _Group, episode: _Episode, merged_into: str = "") -> Finding:
        rule = self._rule
        details: dict[str, Any] = {
            "group": dict(zip(rule.group_by, group.key, strict=True)),
            "minimum": rule.minimum,
            "timespan_seconds": rule.timespan // 1_000_000,
        }
        if merged_into:
            details["merged_into"] = merged_into
        return make_finding(rule, episode.finding_id, episode.evidence, episode.alarm, details, opened=episode.opened)

    def _forget(self, before: int) -> None:
        # Once per timespan is enough, and keeps the cost of idle groups away from most batches. The clock may also
        # jump back: when an older log file is read after a newer one.
        if abs(before - self._forgotten) >= self._rule.timespan:
            self._forgotten = before
            self._groups = {key: group for key, group in self._groups.items() if not group.forget(before)}
