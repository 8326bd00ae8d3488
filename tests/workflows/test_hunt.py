"""Hunting a lake: days and hours, names, damage, and what a compaction does meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.detect.sigma.rule_makers import SECOND, compiled, count, event, feed, selection, source

from threatmatrix.knowledge import Library, load_library
from threatmatrix.model.detection import Finding
from threatmatrix.model.errors import InputError, UnknownNameError, UsageError
from threatmatrix.model.event import Event
from threatmatrix.model.matrix import RuleSource
from threatmatrix.model.system import PrincipalMapping, System
from threatmatrix.telemetry.lake import Lake
from threatmatrix.workflows import hunted_days
from threatmatrix.workflows.home import Home
from threatmatrix.workflows.hunt import HuntReport, Wanted, hunt
from threatmatrix.workflows.hunt_times import moment, span
from threatmatrix.workflows.hunted_days import SOURCE, HuntedDays

DAY = 86_400 * SECOND
MIDNIGHT = 20_454 * DAY  # 2026-01-01 00:00 UTC
NOW = MIDNIGHT + 10 * DAY
RULES = ({**selection(output_label="7"), "name": "base", "title": "Sevens"}, count(3, "60s", generate=True))


def seven(number: int, at: float, **fields: Any) -> Event:
    """Event ``number``, ``at`` seconds after midnight."""
    return replace(event(number, output_label="7", **fields), time=MIDNIGHT + round(at * SECOND))


OVER_MIDNIGHT = [seven(n, -25 + 10 * n) for n in range(6)]


@pytest.fixture(scope="module")
def library() -> Library:
    """One technique, two rules: what is hunted here is the lake."""
    shipped = load_library()
    return with_rules(replace(shipped, suppressions=(), pipelines=()), source(*RULES))


def with_rules(library: Library, *rules: RuleSource) -> Library:
    techniques = {slug: replace(each, rules=()) for slug, each in library.techniques.items()}
    techniques["online-evasion"] = replace(techniques["online-evasion"], rules=rules)
    return replace(library, techniques=techniques)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def fill(home: Home, *parts: Sequence[Event]) -> Lake:
    with Lake(home.lake) as lake:
        for part in parts:
            lake.append(part)
        return lake


def run(home: Home, library: Library, described: Sequence[System] = (), **wanted: Any) -> HuntReport:
    return hunt(home, library, Wanted(**wanted), systems=described, now=NOW)


def by_id(findings: Sequence[Finding]) -> dict[str, Finding]:
    return {finding.finding_id: finding for finding in findings}


def streamed(events: Sequence[Event]) -> dict[str, Finding]:
    return feed(compiled(*RULES), sorted(events, key=lambda one: (one.time, one.event_id)), lateness=10**15)


@pytest.mark.parametrize("large", [1_000_000, 1])
def test_a_lake_in_parts_is_hunted_over_midnight(
    home: Home, library: Library, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hunted_days, "_LARGE", large)
    with fill(home, OVER_MIDNIGHT[::2], OVER_MIDNIGHT[1::2], OVER_MIDNIGHT[:2]) as lake:
        stages: list[tuple[str, int]] = []
        wanted = Wanted()
        report = hunt(home, library, wanted, now=NOW, on_progress=lambda stage, done: stages.append((stage, done)))
        assert by_id(report.findings) == streamed(OVER_MIDNIGHT)
        assert [one.event_count for one in report.findings] == [3, 6, 3]
        lake.compact(grace=0)
    compacted = run(home, library)
    assert compacted.findings == report.findings
    assert (compacted.events, compacted.days, compacted.rules) == (6, ("2025-12-31", "2026-01-01"), 2)
    assert {stage for stage, _ in stages} == {"2025-12-31, day 1 of 2", "2026-01-01, day 2 of 2", "correlations"}
    assert list(home.lake.glob(".*.writer")) == []
    assert list(home.lake.glob(".*.spill")) == []


def test_a_revision_that_lies_in_the_neighbouring_day_is_of_its_own_time(home: Home, library: Library) -> None:
    first = seven(1, -2, principal=None)
    with fill(home, [first, *OVER_MIDNIGHT[3:]]) as lake:
        lake.revise([replace(first, time=MIDNIGHT + SECOND, principal="alice")])
        wanted = streamed([seven(1, 1), *OVER_MIDNIGHT[3:]])
        assert by_id(run(home, library).findings) == wanted
        lake.compact(grace=0)
        assert by_id(run(home, library).findings) == wanted


@pytest.mark.parametrize(
    ("since", "until", "events"),
    [
        ("2026-01-01", "", 3),
        ("", "2025-12-31", 3),
        ("2026-01-01T00:00:05Z", "2026-01-01T00:00:15", 1),  # the first is included, the last is not
        ("2026-01-01T01:00:05+01:00", "2026-01-01T00:00:25.000001", 3),
        ("10d", "-24h", 3),
    ],
)
def test_ranges_and_their_edges(home: Home, library: Library, since: str, until: str, events: int) -> None:
    fill(home, OVER_MIDNIGHT)
    report = run(home, library, since=since, until=until)
    assert report.events == events
    low, high = span(since, until, NOW)
    inside = [one for one in OVER_MIDNIGHT if (low or 0) <= one.time < (high or NOW)]
    assert by_id(report.findings) == streamed(inside)


def test_times_that_mean_nothing_are_refused() -> None:
    assert moment("2026-01-01", NOW) == MIDNIGHT
    assert moment("2026-01-01", NOW, end=True) == MIDNIGHT + DAY
    assert moment("90m", NOW) == NOW - 5400 * SECOND
    for text in ("yesterday", "7", "-7y", "2026-02-30", "9999-12-31x", "0001-01-01T00:00:00+23:00-"):
        with pytest.raises(UsageError, match="is no time"):
            moment(text, NOW)
    assert moment("9999-12-31", NOW, end=True) == moment("9999-12-31", NOW) + DAY  # beyond the calendar
    with pytest.raises(UsageError, match="nothing lies between"):
        span("1d", "2d", NOW)


def test_damaged_files_are_named_and_the_rest_is_hunted(home: Home, library: Library) -> None:
    many = [seven(100 + n, DAY / SECOND + n / 1000, principal=f"p{n % 7}", object="x" * (n % 90)) for n in range(3000)]
    fill(home, OVER_MIDNIGHT, many)
    torn = next((home.lake / "day=2025-12-31").glob("part-*.parquet"))
    torn.write_bytes(torn.read_bytes()[:-9])
    inside = next((home.lake / "day=2026-01-02").glob("part-*.parquet"))
    data = bytearray(inside.read_bytes())
    data[200 : len(data) // 2] = bytes(len(data) // 2 - 200)
    inside.write_bytes(data)
    report = run(home, library)
    assert report.damaged == (f"day=2025-12-31/{torn.name}", f"day=2026-01-02/{inside.name}")
    assert by_id(report.findings) == streamed(OVER_MIDNIGHT[3:])
    assert report.days == ("2026-01-01",)


def test_what_a_compaction_moves_meanwhile_is_listed_anew(home: Home) -> None:
    with fill(home, OVER_MIDNIGHT[3:], [seven(50, 50)]) as lake, closing(duckdb.connect()) as connection:
        days = HuntedDays(home.lake, connection, None, None)
        (portion,) = days.portions("2026-01-01")
        tries: list[int] = []

        def work() -> list[Any]:
            tries.append(1)
            if len(tries) == 1:
                lake.compact(grace=0)
                lake.compact(grace=0)  # sweeps
            return connection.execute(f"SELECT count(*) FROM {SOURCE} WHERE principal = 'alice'").fetchall()

        assert days.read(portion, work) == [(4,)]
        assert len(tries) == 2
        assert not days.damaged
        lake.expire("2026-01-02")
        assert days.read(portion, work) == [(0,)]

        def fail() -> None:
            connection.execute("SELECT no_such_column FROM events")

        with pytest.raises(InputError, match="the lake failed"):
            days.read(portion, fail)


def test_nothing_there_is_never_clean(home: Home, library: Library) -> None:
    with pytest.raises(InputError, match="there is no lake"):
        run(home, library)
    assert not home.root.exists()
    fill(home, OVER_MIDNIGHT)
    report = run(home, library, until="2020-01-01")
    assert (report.events, report.days, report.findings) == (0, (), ())
    assert {blind.title for blind in report.no_visibility} == {"Sevens", "Many"}


def test_names_are_known_or_refused_with_the_nearest(home: Home, library: Library) -> None:
    fill(home, [*OVER_MIDNIGHT, seven(9, 30, principal="key-9", system="shop", model="m9")])
    named = PrincipalMapping(names=(("key-9", "Nightly job"),))
    shop = System(name="shop", owner="o", criticality="low", models=(), principal=named)
    report = run(home, library, [shop], principals=["Nightly job"], systems=["shop"], models=["m9"])
    assert report.events == 1
    assert [one.principals[0].principal for one in report.findings] == ["key-9"]
    assert report.names == {"key-9": "Nightly job"}
    assert run(home, library, [shop], principals=["key-9"], until="2025-12-31").events == 0
    for kind, wrong, near in [
        ("principals", "alcie", "alice"),
        ("systems", "shpo", "shop"),
        ("models", "digit", "digits"),
        ("principals", "nightly-job", "Nightly job"),
        ("techniques", "online-evason", "online-evasion"),
        ("rules", "seven", "Sevens"),
    ]:
        with pytest.raises(UnknownNameError, match=f"Did you mean {near}"):
            run(home, library, [shop], **{kind: [wrong]})


def test_techniques_by_slug_or_id_and_rules_of_ones_own(home: Home, library: Library, tmp_path: Path) -> None:
    fill(home, OVER_MIDNIGHT)
    for name in ("online-evasion", "AML.T0015", "Online evasion"):
        assert len(run(home, library, techniques=[name]).findings) == 3
    with pytest.raises(UsageError, match="no rule looks for"):
        run(home, library, techniques=["valid-account"])
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "own.yml").write_text(source({**selection(principal="alice"), "title": "Alice", "level": "high"}).text)
    (mine / "bad.yml").write_text(
        "title: Bad\nlogsource: {category: inference}\ndetection: {s: {model|near: x}, condition: s}\n"
    )
    report = run(home, library, rule_paths=[mine], rules=["alice"])
    assert [(one.title, one.event_count) for one in report.findings] == [("Alice", 3), ("Alice", 3)]
    assert [error.file for error in report.refused] == [str(mine / "bad.yml")]


def test_suppressed_events_are_set_aside_and_counted(home: Home, library: Library) -> None:
    fill(home, [*OVER_MIDNIGHT, seven(9, 2, principal="load-test")])
    text = """
title: The load test
id: 5b0c9c9e-7a35-4b5c-8a63-0f3f2f6d1c11
description: It is ours.
owner: Operations
expires: 2026-03-01
logsource: {category: inference}
filter:
    rules: [base]
    selection: {principal: load-test}
    condition: not selection
"""
    suppression = RuleSource("own.yml", text, "")
    report = hunt(home, library, Wanted(), suppressions=[suppression], now=NOW)
    assert report.refused == ()
    assert by_id(report.findings) == streamed(OVER_MIDNIGHT)
    assert [(one.title, events) for one, events in report.suppressed] == [("The load test", 1)]
