"""Where a correlation fires, merged into episodes: one finding for each.

Firing occurrences of one group at most ``timespan`` apart make one episode (``detect.sql.correlations`` says the same
of a table at rest). Events are taken one at a time in the order of their arrival, so that what is found cannot depend
on how they were cut into batches. Whether an occurrence fires is for its judge to say (``judging``).

µs of CPU for an occurrence (``benchmarks/bench_stream_correlations.py``: 50 groups, 100 occurrences of a group within
the timespan, matching not included), all in order, and with every tenth late. On the same machine the engine that knew
nothing but the plain count took 5 where none fires and 11 where all do.

==================================  ========  =========
kind                                in order  10 % late
==================================  ========  =========
event_count, none fires                    7         10
event_count, all fire                     20         21
event_count within bounds                 13         22
value_count                               18         26
value_sum (of DOUBLE)                15 (15)    22 (29)
value_avg, value_percentile           15, 16     21, 20
temporal, none fires                      11         22
temporal expression, all fire             35         50
temporal_ordered, all fire                36         60
temporal_ordered, 3 of 4, all fire        47        100
expression with ``not``                   11         10
==================================  ========  =========

A rule with ``not`` also asks 1.2 µs of every event that it does not count, for its clock. What an occurrence costs in
order does not grow with the window or the group (30,000 in one group cost no more); a late one costs as much as its
window and the one after it hold.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from operator import attrgetter

from threatmatrix.detect.clock import Clock
from threatmatrix.detect.engines.counting.chains import Plan
from threatmatrix.detect.engines.counting.evidence import Evidence, Row
from threatmatrix.detect.engines.counting.groups import Episode, Group, HotRows
from threatmatrix.detect.engines.counting.identity import episode_id
from threatmatrix.detect.engines.counting.occurrences import Key, Occurrence, Part
from threatmatrix.detect.engines.judging.choosing import judge_of
from threatmatrix.detect.engines.judging.judges import Firing

__all__ = ["MAX_OPEN", "Episodes"]

MAX_OPEN = 5_000  # episodes that may still grow; beyond that the one that grew longest ago is let go

_LAST = attrgetter("last")
_FIRED = attrgetter("fired")
_STARTED = attrgetter("started")


class Episodes:
    """The groups and episodes of one correlation.

    ``grown`` holds the episodes that are new or have grown, and ``fired`` the firing occurrences (with whether an
    episode begins with it), both since somebody last emptied them.
    """

    def __init__(self, plan: Plan) -> None:
        self._rule = plan.rule
        self.judge = judge_of(plan.rule)
        self.keep = plan.keep
        # A rule that waits goes by the clock of all events; one that is the first for long must be able to move it.
        self.clock = Clock(4 * plan.keep if plan.rule.waits else plan.keep)
        self.hot = HotRows(plan.keep, self.judge, self._let_go)
        self.open: OrderedDict[str, tuple[Group, Episode]] = OrderedDict()  # the one that grew longest ago first
        self.grown: dict[str, tuple[Group, Episode]] = {}
        self.fired: list[tuple[Group, Occurrence, bool]] = []
        self.serial = 0

    def take(self, part: Part, row: Row, stamp: int, *, again: bool = False) -> tuple[Group, Occurrence]:
        """Count an occurrence; ``again``: of an event that has been counted already, for another of its rules."""
        self.serial += 1
        one = Occurrence(row, self.serial, part.slots, part.values)
        group, place = self.hot.add(part.key, one, stamp, self.clock.elapsed, again=again)
        firings = self.judge.firings(group, place)
        changed = [self._place(group, firing) for firing in firings] if firings else []
        if group.episodes:
            around = bisect_right(group.episodes, row.time, key=_STARTED) - 1
            if around >= 0 and row.time <= group.episodes[around].last:
                changed.append(group.episodes[around])
        if changed:
            self._grow(group, changed, stamp)
        elif self.open:
            self._forget()
        return group, one

    def fire(self, group: Group, firing: Firing) -> None:
        """Note a firing that was judged late."""
        self._grow(group, [self._place(group, firing)], self.clock.elapsed)

    def slots_of(self, key: Key, row: Row) -> int:
        """The rules by which an event is counted already; 0 where it is not hot."""
        group = self.hot.groups.get(key)
        return 0 if group is None else group.slots_of(row)

    def _grow(self, group: Group, changed: Iterable[Episode], stamp: int) -> None:
        for episode in dict.fromkeys(changed):
            self._gather(group, episode, stamp)
        self._forget()

    def _place(self, group: Group, firing: Firing) -> Episode:
        """The episode of a firing occurrence: a new one, or what those within a timespan of it become."""
        started, fired = firing.started, firing.at.row.time
        reach, episodes = self._rule.timespan, group.episodes
        begin = bisect_left(episodes, fired - reach, key=_LAST)
        end = bisect_right(episodes, fired + reach, key=_FIRED)
        self.fired.append((group, firing.at, begin == end))
        if begin == end:
            episode = self._opened(group, firing)
            episodes.insert(begin, episode)
            return episode
        winner = episodes[begin]
        for loser in episodes[begin + 1 : end]:
            winner.evidence.absorb(loser.evidence)
            winner.last = max(winner.last, loser.last)
            loser.merged_into = winner.finding_id
            self.open.pop(loser.finding_id, None)
            self.grown[loser.finding_id] = group, loser
        merged = end - begin > 1
        del episodes[begin + 1 : end]
        first = fired < winner.fired
        earlier = first or started < winner.started
        winner.started, winner.fired = min(started, winner.started), min(fired, winner.fired)
        winner.last = max(fired, winner.last)
        if first:
            self._is_first(group, winner, firing)
        if merged or earlier:
            self._set_alarm(group, winner)
        return winner

    def _opened(self, group: Group, firing: Firing) -> Episode:
        started, fired = firing.started, firing.at.row.time
        finding_id = episode_id(self._rule.meta.detector, group.key, started)
        opened = group.rows[group.first_at(started)].row
        episode = Episode(finding_id, started, fired, fired, 0, opened, firing.at.row, Evidence(opened, opened))
        self._is_first(group, episode, firing)
        self._set_alarm(group, episode)
        return episode

    def _is_first(self, group: Group, episode: Episode, firing: Firing) -> None:
        episode.alarm, episode.figure = firing.at.row, firing.figure
        episode.steps = self.judge.steps(group, firing)

    def _gather(self, group: Group, episode: Episode, stamp: int) -> None:
        """Move what lies within the episode into its evidence."""
        begin = bisect_left(group.loose, ((episode.started,),))
        end = bisect_left(group.loose, ((episode.last + 1,),))
        rows = [one.row for one in group.loose[begin:end]]
        del group.loose[begin:end]
        episode.evidence.fresh += rows
        if rows and rows[0].time <= episode.alarm.time:
            self._set_alarm(group, episode)
        episode.touched = stamp
        self.grown[episode.finding_id] = self.open[episode.finding_id] = group, episode
        self.open.move_to_end(episode.finding_id)

    def _set_alarm(self, group: Group, episode: Episode) -> None:
        """The event that completes the first window; a late event can move it."""
        alarm = self.judge.alarm(group, episode)
        if alarm is not None:
            episode.alarm = alarm

    def _forget(self) -> None:
        horizon = self.clock.elapsed - self.keep
        while self.open:
            group, episode = next(iter(self.open.values()))
            if episode.touched > horizon and len(self.open) <= MAX_OPEN:
                return
            del self.open[episode.finding_id]
            group.episodes.remove(episode)

    def _let_go(self, group: Group) -> None:
        for episode in group.episodes:
            del self.open[episode.finding_id]
