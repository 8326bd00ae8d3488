"""Records of one request become one event while a day is compacted: in slices, and as over the whole day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.telemetry.lake_kills import FIRST

from threatmatrix.model.event import Event
from threatmatrix.telemetry.joining import Joiner, join
from threatmatrix.telemetry.lake import Lake, joined, slicing

SECOND = 1_000_000


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with Lake(tmp_path / "lake") as opened:
        yield opened


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slicing, "_MOST_ROWS", 7)
    monkeypatch.setattr(slicing, "_LEAST_ROWS", 1)


def rows(lake: Lake, *columns: str) -> list[tuple[Any, ...]]:
    with closing(lake.connect()) as con:
        found = con.execute(f"SELECT {', '.join(columns)} FROM events WHERE system = 's'").fetchall()
    return sorted(found, key=repr)


def same(events: Sequence[Event], *columns: str) -> list[tuple[Any, ...]]:
    return sorted((tuple(getattr(event, column) for column in columns) for event in events), key=repr)


def twins(number: int, apart: int) -> list[Event]:
    """One request as a proxy and as a model server saw it."""
    at = FIRST + number * 1_000_000
    proxy = Event(
        event_id=f"n{number}",
        time=at,
        source="nginx",
        category="http",
        system="s",
        request_ref=f"r{number}",
        status=200,
    )
    served = {"source": "kserve", "category": "inference", "output_label": "x", "input_bytes": 5, "status": None}
    return [proxy, replace(proxy, event_id=f"k{number}", time=at + apart, **served)]  # type: ignore[arg-type]


@pytest.mark.usefixtures("small_slices")
def test_records_of_one_request_are_joined_across_slices(lake: Lake) -> None:
    records = [record for number in range(20) for record in twins(number, 2_500_000)]
    lake.append(records[::2])
    lake.append([*records[1::2], replace(records[0], event_id="other", system="alone")])
    report = lake.compact(join=True, grace=0, threads=1)
    assert (report.joined, report.events, report.forgotten_early) == (20, 21, 0)
    columns = ("event_id", "source", "status", "output_label")
    assert rows(lake, *columns) == same(join(records).events, *columns)
    lake.append([replace(records[0], event_id="o0", source="otel", trace_id="t")])  # one more, later
    assert lake.compact(join=True, grace=0, threads=1).joined == 1
    assert lake.count() == 21


@pytest.mark.usefixtures("small_slices")
def test_a_second_that_fills_several_slices_is_joined_as_a_whole(lake: Lake) -> None:
    records = [replace(record, time=FIRST + n) for n in range(20) for record in twins(n, 0)]
    lake.append(records)
    assert lake.compact(join=True, grace=0, threads=1).joined == 20
    assert rows(lake, "event_id", "source") == same(join(records).events, "event_id", "source")


def test_what_a_later_record_parts_is_put_right_before_anybody_sees_it(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first two are one request until a third claims the same trace: by then their event has been written."""
    monkeypatch.setattr(slicing, "_MOST_ROWS", 1)
    monkeypatch.setattr(slicing, "_LEAST_ROWS", 1)
    base = Event(event_id="", time=0, source="", category="http", system="s", trace_id="t")
    records = [
        replace(base, event_id="k", time=165, source="kserve", category="inference", output_label="x"),
        replace(base, event_id="o", time=193, source="otel", request_ref="r1"),
        replace(base, event_id="n", time=286, source="nginx", request_ref="r2", principal="p", trace_id="t2"),
        replace(base, event_id="m", time=288, source="nginx", request_ref="r2", status=200),
    ]
    records = [replace(record, time=FIRST + record.time * SECOND) for record in records]
    lake.append(records)
    report = lake.compact(join=True, grace=0, threads=1)
    columns = ("time", "source", "output_label", "status", "trace_id")
    assert rows(lake, *columns) == same(join(records).events, *columns)
    assert report.events == lake.count() == 4
    assert not list(lake.root.rglob("revision-*"))


def test_a_lack_of_room_is_told(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joined, "Joiner", partial(Joiner, most=5))
    lake.append([record for number in range(20) for record in twins(number, 1)])
    report = lake.compact(join=True, grace=0, threads=1)
    assert report.forgotten_early > 0
    assert report.events + report.joined == 40
