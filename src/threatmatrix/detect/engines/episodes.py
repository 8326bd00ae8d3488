"""Sliding counts: which groups reached the count, merged into episodes.

An event fires where the one ``minimum - 1`` before it is at most ``timespan`` older (both ends included). Firing events
at most ``timespan`` apart make one episode (``detect.sql.scan.episodes`` says the same of a table at rest). Events are
taken one at a time in the order of their arrival, so that what is found cannot depend on how they were cut into
batches; what an event costs grows with the logarithm of its group, and for a late one with ``minimum``.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any

from threatmatrix.detect.clock import Clock
from threatmatrix.detect.engines.episode_state import keep_episodes, keep_groups, kept_episodes, kept_groups
from threatmatrix.detect.engines.evidence import Evidence, make_finding, row_of
from threatmatrix.detect.engines.groups import Episode, Group, HotRows, Key
from threatmatrix.detect.engines.identity import identity, stable_id
from threatmatrix.detect.sigma.rules import Correlation, EventRule
from threatmatrix.detect.state import State
from threatmatrix.model.detection import Finding
from threatmatrix.model.event import EVENT_COLUMNS, Event

__all__ = ["MAX_OPEN", "EpisodeFindings"]

MAX_OPEN = 5_000  # episodes that may still grow; beyond that the one that grew longest ago is let go

_LAST = attrgetter("last")
_FIRED = attrgetter("fired")
_STARTED = attrgetter("started")


class EpisodeFindings:
    """The growing findings of one event_count correlation over ``rules``.

    ``lateness`` (µs): how late an event may come and be counted exactly. One that comes later is counted with those
    that arrived within ``lateness`` and one timespan before it, by the clock of the counted events.
    """

    def __init__(self, rule: Correlation, lateness: int, rules: Sequence[EventRule] = ()) -> None:
        self._rule = rule
        self._minimum = rule.minimum or 1
        self.identity = identity(rule.meta.detector, rule, *rules)
        self._keep = lateness + rule.timespan
        self._clock = Clock(self._keep)
        self._key_of = [_getter(name) for name in rule.group_by]
        self._hot = HotRows(self._keep, self._minimum, self._let_go)
        self._open: OrderedDict[str, tuple[Group, Episode]] = OrderedDict()  # the one that grew longest ago first
        self._grown: dict[str, tuple[Group, Episode]] = {}  # since the last findings

    @property
    def detector(self) -> str:
        return self._rule.meta.detector

    @property
    def rows(self) -> int:
        """Hot rows held."""
        return self._hot.count

    @property
    def _groups(self) -> OrderedDict[Key, Group]:
        return self._hot.groups

    def group_of(self, event: Event) -> Key | None:
        """The group that an event is counted in; None where it lacks a field of it."""
        key = tuple([get(event) for get in self._key_of])
        return None if None in key else key

    def feed(self, events: Sequence[Event], positions: Iterable[int]) -> list[Finding]:
        """Count the events at ``positions``, in this order; the findings that are new or have grown."""
        for position in positions:
            event = events[position]
            key = self.group_of(event)
            if key is not None:
                self._take(key, event)
        grown, self._grown = self._grown, {}
        return [self._finding(group, episode) for group, episode in grown.values()]

    def snapshot(self) -> State:
        """The clock, the hot rows and the episodes that may still grow. Only between two feeds."""
        groups = list(self._groups.values())
        return {
            "clock": self._clock.snapshot(),
            "groups": keep_groups(groups),
            "episodes": keep_episodes(groups),
            "order": list(self._open),
        }

    def restore(self, state: State) -> None:
        """Go on from :meth:`snapshot`."""
        groups = kept_groups(state["groups"])
        found: dict[str, tuple[Group, Episode]] = {}
        for group, episodes in zip(groups, kept_episodes(state["episodes"]), strict=True):
            group.episodes = episodes
            found.update((episode.finding_id, (group, episode)) for episode in episodes)
        self._clock.restore(state["clock"])
        self._hot.groups = OrderedDict((group.key, group) for group in groups)
        self._hot.count = sum(len(group.rows) for group in groups)
        self._open = OrderedDict((finding_id, found[finding_id]) for finding_id in state["order"])
        self._grown = {}

    def _take(self, key: Key, event: Event) -> None:
        row = row_of(event)
        stamp = self._clock.tick(row.time)
        group, place = self._hot.add(key, row, stamp, self._clock.elapsed)
        changed = [self._place(group, *span) for span in self._spans(group, place)]
        around = bisect_right(group.episodes, row.time, key=_STARTED) - 1
        if around >= 0 and row.time <= group.episodes[around].last:
            changed.append(group.episodes[around])
        for episode in dict.fromkeys(changed):
            self._gather(group, episode, stamp)
        self._forget()

    def _spans(self, group: Group, place: int) -> Iterator[tuple[int, int]]:
        """(started, time) of the events that fire now that there is a row at ``place``: itself or later ones."""
        rows, back, timespan = group.rows, self._minimum - 1, self._rule.timespan
        time = rows[place].time
        for at in range(max(place, back), min(place + back + 1, len(rows))):
            fired = rows[at].time
            if fired - time > timespan:
                return
            started = rows[at - back].time
            if fired - started <= timespan:
                yield started, fired

    def _place(self, group: Group, started: int, fired: int) -> Episode:
        """The episode of a firing event: a new one, or what those within a timespan of it become."""
        reach, episodes = self._rule.timespan, group.episodes
        begin = bisect_left(episodes, fired - reach, key=_LAST)
        end = bisect_right(episodes, fired + reach, key=_FIRED)
        if begin == end:
            episode = self._opened(group, started, fired)
            episodes.insert(begin, episode)
            return episode
        winner = episodes[begin]
        for loser in episodes[begin + 1 : end]:
            winner.evidence.absorb(loser.evidence)
            winner.last = max(winner.last, loser.last)
            loser.merged_into = winner.finding_id
            self._open.pop(loser.finding_id, None)
            self._grown[loser.finding_id] = group, loser
        merged = end - begin > 1
        del episodes[begin + 1 : end]
        earlier = started < winner.started or fired < winner.fired
        winner.started, winner.fired = min(started, winner.started), min(fired, winner.fired)
        winner.last = max(fired, winner.last)
        if merged or earlier:
            self._set_alarm(group, winner)
        return winner

    def _opened(self, group: Group, started: int, fired: int) -> Episode:
        first = bisect_left(group.rows, (started,))
        # The start's time stands for the first event: of several at the same time, which is first depends on portions.
        finding_id = stable_id(self._rule.meta.detector, *group.key, started)
        opened = group.rows[first]
        alarm = group.rows[first + self._minimum - 1]
        return Episode(finding_id, started, fired, fired, 0, opened, alarm, Evidence(opened, opened))

    def _gather(self, group: Group, episode: Episode, stamp: int) -> None:
        """Move what lies within the episode into its evidence."""
        begin = bisect_left(group.loose, (episode.started,))
        end = bisect_left(group.loose, (episode.last + 1,))
        rows = group.loose[begin:end]
        del group.loose[begin:end]
        episode.evidence.fresh += rows
        if rows and rows[0].time <= episode.alarm.time:
            self._set_alarm(group, episode)
        episode.touched = stamp
        self._grown[episode.finding_id] = self._open[episode.finding_id] = group, episode
        self._open.move_to_end(episode.finding_id)

    def _set_alarm(self, group: Group, episode: Episode) -> None:
        """The event that completes the first window; a late event can move it."""
        first = bisect_left(group.rows, (episode.started,))
        window = group.rows[first : first + self._minimum]
        if len(window) == self._minimum and window[0].time == episode.started:  # else: no longer hot, and settled
            episode.alarm = window[-1]

    def _forget(self) -> None:
        horizon = self._clock.elapsed - self._keep
        while self._open:
            group, episode = next(iter(self._open.values()))
            if episode.touched > horizon and len(self._open) <= MAX_OPEN:
                return
            del self._open[episode.finding_id]
            group.episodes.remove(episode)

    def _let_go(self, group: Group) -> None:
        for episode in group.episodes:
            del self._open[episode.finding_id]

    def _finding(self, group: Group, episode: Episode) -> Finding:
        rule = self._rule
        details: dict[str, Any] = {
            "group": dict(zip(rule.group_by, group.key, strict=True)),
            "minimum": self._minimum,
            "timespan_seconds": rule.timespan // 1_000_000,
        }
        if episode.merged_into:
            details["merged_into"] = episode.merged_into
        return make_finding(rule, episode.finding_id, episode.evidence, episode.alarm, details, opened=episode.opened)


def _getter(name: str) -> Callable[[Event], Any]:
    get = attrgetter(name)
    if EVENT_COLUMNS.get(name) == "BLOB":  # a key is JSON: in ids, in findings, in snapshots
        return lambda event: None if get(event) is None else get(event).hex()
    return get
