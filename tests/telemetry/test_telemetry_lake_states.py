"""Any order of appending, revising, compacting, expiring and erasing gives what a plain list would hold."""

from __future__ import annotations

import dataclasses
import tempfile
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.telemetry.columns import to_table
from threatmatrix.telemetry.lake import Lake, compaction, slicing
from threatmatrix.telemetry.lake.reading import NEAR

DAY = 86_400_000_000
FIRST = 20_454 * DAY  # 2026-01-01
HOUR = DAY // 24
NAMES = ["ann", "bob", "eve", None]

moments = st.one_of(
    st.integers(0, 3 * DAY - 1),
    st.sampled_from([0, 1, DAY - 1, DAY, DAY + 1, 2 * DAY - HOUR - 1, 2 * DAY - HOUR, 2 * DAY - 1, 2 * DAY]),
).map(lambda offset: FIRST + offset)
rows = st.builds(
    Event,
    event_id=st.integers(0, 9).map(lambda n: f"e{n}"),
    time=moments,
    source=st.sampled_from(["a", "b"]),
    category=st.just("inference"),
    principal=st.sampled_from(NAMES),
    key_id=st.sampled_from(["ann", "k1", None]),
    session=st.sampled_from(["bob", None]),
    object=st.sampled_from(["eve", "model.bin", None]),
    output_scores=st.sampled_from([None, (), (0.5, 0.25)]),
    input_vec=st.sampled_from([None, b"", b"\x00\xff"]),
)
batches = st.lists(rows, max_size=6)
parts = st.sampled_from(["", "", "w-1", "w-2", "w-3"])


def day_of(time: int) -> str:
    return datetime.fromtimestamp(time // 1_000_000, UTC).date().isoformat()


@dataclasses.dataclass
class Kept:
    """An event and the folder that it lies in: a revision stays with what it revised."""

    event: Event
    day: str


def mentioned(event: Event, name: str) -> Event:
    named = [field for field in ("principal", "key_id", "session", "object") if getattr(event, field) == name]
    return dataclasses.replace(event, **dict.fromkeys(named, "gone"))


def revises(event: Event, day: str, kept: Kept) -> bool:
    """The same id, in the same folder, near in time: far from it the same id is another request's."""
    same = (kept.event.event_id, kept.day) == (event.event_id, day)
    return same and abs(kept.event.time - event.time) <= NEAR


def is_of(event: Event, name: str) -> bool:
    return event.principal == name or (event.principal is None and name in (event.key_id, event.session))


class Lakes(RuleBasedStateMachine):
    @initialize(most=st.sampled_from([1, 3, 250_000]), small=st.sampled_from([0, 3, 125_000]))
    def begin(self, most: int, small: int) -> None:
        self.before = slicing._MOST_ROWS, slicing._LEAST_ROWS, compaction._SMALL
        slicing._MOST_ROWS, slicing._LEAST_ROWS, compaction._SMALL = most, 1, small  # many slices, runs, merged parts
        self.folder = tempfile.TemporaryDirectory()
        self.lake = Lake(Path(self.folder.name))
        self.other = Lake(Path(self.folder.name))  # a second writer, with caches of its own
        self.kept: list[Kept] = []
        self.ids: set[tuple[str, str]] = set()  # (day, part id)
        self.revision_ids: set[tuple[str, str]] = set()
        self.revised: set[str] = set()
        self.erased: dict[str, int] = {}

    def teardown(self) -> None:
        slicing._MOST_ROWS, slicing._LEAST_ROWS, compaction._SMALL = self.before
        self.lake.close()
        self.other.close()
        self.folder.cleanup()

    def cleaned(self, events: list[Event]) -> list[Event]:
        for name, before in self.erased.items():
            events = [
                mentioned(event, name) if event.time < before and touches(event, name) else event
                for event in events
                if not (is_of(event, name) and event.time < before)
            ]
        return events

    @rule(events=batches, part=parts, table=st.booleans(), other=st.booleans())
    def append(self, events: list[Event], part: str, table: bool, other: bool) -> None:
        events = [event for event in events if event.event_id not in self.revised]  # see docs/lake.md
        wanted = [
            Kept(event, day_of(event.time))
            for event in self.cleaned(events)
            if not part or (day_of(event.time), part) not in self.ids
        ]
        self.kept += wanted
        if part:
            self.ids |= {(kept.day, part) for kept in wanted}
        lake = self.other if other else self.lake
        if table:
            with closing(duckdb.connect()) as con:
                to_table(con, "some table", events)
                assert lake.append_table(con, "some table", part=part) == len(wanted)
        else:
            assert lake.append(events, part=part) == len(wanted)

    @rule(events=st.lists(rows, max_size=3, unique_by=lambda event: event.event_id), part=parts, other=st.booleans())
    def revise(self, events: list[Event], part: str, other: bool) -> None:
        (self.other if other else self.lake).revise(events, part=part)
        placed = [(self.place(event), event) for event in events]  # before any of them is there
        done = set(self.revision_ids)
        for day, event in placed:
            self.revised.add(event.event_id)
            if part and (day, part) in done:
                continue
            for kept_event in self.cleaned([event]):
                if part:
                    self.revision_ids.add((day, part))
                self.kept = [k for k in self.kept if not revises(kept_event, day, k)]
                self.kept.append(Kept(kept_event, day))

    def place(self, event: Event) -> str:
        """Own day, but near midnight the neighbour's where only that has the event, not far off."""
        own = day_of(event.time)
        within = event.time % DAY
        near = day_of(event.time - DAY if within < HOUR else event.time + DAY if within >= DAY - HOUR else event.time)
        has = {
            k.day
            for k in self.kept
            if k.event.event_id == event.event_id and abs(k.event.time - event.time) <= 2 * HOUR
        }
        return near if near in has and own not in has else own

    @rule(days=st.none() | st.sets(st.sampled_from(["2026-01-01", "2026-01-02", "2026-01-03"])))
    def compact(self, days: set[str] | None) -> None:
        self.lake.compact(days, threads=1, grace=0)
        unique: list[Kept] = []
        for kept in self.kept:
            if (days is None or kept.day in days) and kept in unique:
                continue
            unique.append(kept)
        self.repeated = len(self.kept) - len(unique)
        self.kept = unique

    @rule(day=st.sampled_from(["2026-01-01", "2026-01-02"]))
    def expire(self, day: str) -> None:
        self.lake.expire(day)
        self.kept = [kept for kept in self.kept if kept.day >= day]
        self.ids = {entry for entry in self.ids if entry[0] >= day}
        self.revision_ids = {entry for entry in self.revision_ids if entry[0] >= day}

    @rule(name=st.sampled_from(["ann", "bob", "eve"]), before=moments)
    def erase(self, name: str, before: int) -> None:
        report = self.lake.erase(name, alias="gone", at=before)
        before = max(before, self.erased.pop(name, 0))
        self.erased[name] = before
        assert report.events == sum(is_of(kept.event, name) for kept in self.kept)
        self.kept = [
            dataclasses.replace(kept, event=mentioned(kept.event, name))
            for kept in self.kept
            if not is_of(kept.event, name)
        ]

    @invariant()
    def the_view_is_the_list(self) -> None:
        if not hasattr(self, "lake"):
            return
        with closing(self.lake.connect()) as con:
            found = Counter(map(repr, con.execute("SELECT * FROM events").fetchall()))
        wanted = Counter(repr(as_row(kept.event)) for kept in self.kept)
        assert +(found - wanted) == Counter()  # nothing that was not put there
        assert set(wanted) == set(found)  # nothing lost; exact repeats may be gone


def touches(event: Event, name: str) -> bool:
    return name in (event.key_id, event.session, event.object, event.principal)


def as_row(event: Event) -> tuple[object, ...]:
    scores = None if event.output_scores is None else list(event.output_scores)
    return tuple(scores if name == "output_scores" else getattr(event, name) for name in EVENT_COLUMNS)


TestLakes = Lakes.TestCase
TestLakes.settings = settings(max_examples=3, stateful_step_count=8)


@pytest.mark.nightly
class TestLakesForLong(Lakes.TestCase):  # type: ignore[name-defined,misc]
    settings = settings(max_examples=30, stateful_step_count=20)
