"""The lake: several writers, one reader, nothing lost, nothing half-seen."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from threatmatrix.model.errors import InputError
from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.telemetry.lake import Lake
from threatmatrix.telemetry.lake.reading import SCHEMA
from threatmatrix.telemetry.readers import Where, get_reader

DAY = 86_400_000_000
FIRST = 20_454 * DAY  # 2026-01-01


def events(writer: int, batch: int, size: int = 50) -> list[Event]:
    return [
        Event(
            event_id=f"{writer}/{batch}/{n}",
            time=FIRST + (n % 2) * DAY + n,
            source="gateway",
            category="inference",
            input_vec=bytes([writer, batch, n]),
            output_scores=(n / size, 1 - n / size),
        )
        for n in range(size)
    ]


def write(root: str, writer: int, batches: int) -> None:
    lake = Lake(Path(root))
    for batch in range(batches):
        lake.append(events(writer, batch))


def test_round_trip_of_every_field(tmp_path: Path, record: Callable[..., dict[str, Any]]) -> None:
    (event,) = get_reader("gateway").parse(record("gateway"), Where())
    lake = Lake(tmp_path / "lake")
    assert lake.append([event]) == 1
    with closing(lake.connect()) as con:
        (row,) = con.execute("SELECT * FROM events").fetchall()
        shape = {name: kind for name, kind, *_ in con.execute("DESCRIBE events").fetchall()}
    assert shape == dict(EVENT_COLUMNS)
    assert list(shape) == list(EVENT_COLUMNS)
    back = dict(zip(EVENT_COLUMNS, row, strict=True))
    assert Event(**{**back, "output_scores": tuple(back["output_scores"])}) == event


def test_empty_lake_has_its_columns_and_a_view_is_of_one_moment(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    assert lake.append([]) == 0
    assert lake.count() == 0
    assert lake.days() == []
    with closing(lake.connect()) as con:
        assert con.execute("SELECT count(*), max(latency_ms) FROM events").fetchone() == (0, None)
    assert not (tmp_path / "lake").exists()  # looking at a lake makes none
    lake.append(events(1, 1))
    with closing(lake.connect()) as con:
        lake.append(events(2, 1))
        assert con.execute("SELECT count(*) FROM events").fetchone() == (50,)
    assert lake.count() == 100


def test_days_are_folders_of_event_time(tmp_path: Path) -> None:
    with closing(Lake(tmp_path)) as lake:
        lake.append(events(1, 1))
    assert {path.parent.name for path in tmp_path.rglob("part-*.parquet")} == {
        "day=2026-01-01",
        "day=2026-01-02",
    }
    assert {path.name for path in tmp_path.iterdir()} == {"day=2026-01-01", "day=2026-01-02", SCHEMA}


@pytest.mark.parametrize("name", ["plain", "it's [1]* a? {lake}", "день"])
def test_odd_names(tmp_path: Path, name: str) -> None:
    lake = Lake(tmp_path / name)
    lake.append(events(1, 1))
    assert lake.count() == 50


@pytest.mark.usefixtures("uncounted")
def test_several_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write, args=(str(tmp_path), number, 8)) for number in range(2)]
    for process in writers:
        process.start()
    counts = []
    while any(process.is_alive() for process in writers):
        counts.append(Lake(tmp_path).count())  # reading meanwhile neither fails nor sees halves
        writers[0].join(0.02)
    for process in writers:
        process.join()
        assert process.exitcode == 0
    assert counts == sorted(counts)
    assert all(count % 25 == 0 for count in counts)
    with closing(Lake(tmp_path).connect()) as con:
        found = con.execute("SELECT event_id, input_vec FROM events ORDER BY event_id").fetchall()
    wanted = [event for number in range(2) for batch in range(8) for event in events(number, batch)]
    assert found == sorted((event.event_id, event.input_vec) for event in wanted)


def test_a_part_of_an_older_version_gives_nulls_for_what_it_lacks(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.append(events(1, 1))
    old = tmp_path / "day=2025-12-31" / "part-0.parquet"
    old.parent.mkdir()
    with duckdb.connect() as con:
        con.sql("SELECT 'old' AS event_id, 5 AS time, 'x' AS gone").write_parquet(str(old))
    with closing(lake.connect()) as con:
        assert con.execute("SELECT event_id, time, trace_id FROM events WHERE time < 10").fetchall() == [
            ("old", 5, None)
        ]


def test_a_damaged_part_and_a_lake_that_is_a_file_are_named(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.append(events(1, 1))
    (tmp_path / "lake" / "day=2026-01-01" / "part-x.parquet").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="lake failed"):
        lake.count()
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="file: the lake failed"):
        Lake(tmp_path / "file").append(events(1, 1))


def test_a_request_id_that_is_sent_again_later_hides_nothing(tmp_path: Path) -> None:
    """Two requests may carry one id, minutes apart: a newer version of one is not a newer version of the other."""
    first = replace(events(1, 1)[0], event_id="req:A")
    second = replace(first, time=first.time + 600_000_000, status=200)
    revised = replace(second, user_agent="curl/8")
    with closing(Lake(tmp_path)) as lake:
        lake.append([first])
        lake.append([second])
        lake.revise([revised])
        for _ in range(2):
            with closing(lake.connect()) as con:
                found = con.execute("SELECT time, user_agent FROM events ORDER BY time").fetchall()
            assert found == [(first.time, first.user_agent), (second.time, "curl/8")]
            lake.compact()
