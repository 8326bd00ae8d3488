"""A whole watch in this process: what it reports, what it goes on with, what it waits for."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from benchmarks.watch_trial import LOGS, Writer, config_for, outcome
from tests.workflows.watch_child import small

from threatmatrix.knowledge import Library, load_library
from threatmatrix.model.errors import UnknownNameError, UsageError
from threatmatrix.workflows.watch import BatchDone, Recovered, Said, Started, Waiting, WatchConfig, WatchEvent, run
from threatmatrix.workflows.watch.stopping import Stop

Watch = Callable[..., Any]


@pytest.fixture(scope="module")
def library() -> Library:
    return small(load_library())


@pytest.fixture
def config(tmp_path: Path, library: Library) -> Callable[..., WatchConfig]:
    def build(**changes: Any) -> WatchConfig:
        made = config_for(tmp_path / "home", tmp_path / "logs", once=True, library=library, grace_seconds=0.0)
        return dataclasses.replace(made, **changes)

    return build


def test_what_it_reports_and_what_it_goes_on_with(config: Callable[..., WatchConfig], tmp_path: Path) -> None:
    writer = Writer(tmp_path / "logs", 1)
    writer.write(900)
    said: list[WatchEvent] = []
    report = run(config(), on_event=said.append)
    assert isinstance(said[0], Started)
    assert not said[0].resumed
    assert (report.events, report.dead_letters, report.again, report.waiting) == (899, 1, 0, "")
    assert report.joined == 359
    assert set(report.findings) == {"online-evasion"}
    first = outcome(tmp_path / "home")
    assert first.rows == 540
    said.clear()
    writer.write(100)
    again = run(config(), on_event=said.append)
    assert (again.events, again.total_events, again.again) == (100, 999, 0)
    grown = {finding.finding_id for event in said if isinstance(event, BatchDone) for finding in event.findings}
    assert grown
    assert grown <= first.findings.keys()  # the same clusters, which remember what they had


def test_rules_that_were_changed_begin_anew_and_it_says_so(
    config: Callable[..., WatchConfig], tmp_path: Path, library: Library
) -> None:
    Writer(tmp_path / "logs", 1).write(50)
    run(config())
    said: list[WatchEvent] = []
    technique = library.techniques["online-evasion"]
    monitor = dataclasses.replace(technique.monitors[0], params={**technique.monitors[0].params, "alarm_at": 20})
    changed = dataclasses.replace(technique, monitors=(monitor,))
    other = dataclasses.replace(library, techniques={**library.techniques, "online-evasion": changed})
    run(config(library=other), on_event=said.append)
    [notice] = [event.text for event in said if isinstance(event, Said)]
    assert "begin with no memory" in notice
    assert "near-duplicate-clusters" in notice


def test_a_locked_store_is_waited_for(config: Callable[..., WatchConfig], tmp_path: Path) -> None:
    Writer(tmp_path / "logs", 1).write(300)
    settings = config()
    settings.home.open_store().close()
    other = sqlite3.connect(tmp_path / "home" / "store.db", isolation_level=None, check_same_thread=False)
    said: list[WatchEvent] = []

    def listen(event: WatchEvent) -> None:
        said.append(event)
        if isinstance(event, Waiting):
            other.execute("ROLLBACK")

    def on_step(step: str) -> None:
        if step == "judge" and not other.in_transaction and not said[1:]:
            other.execute("BEGIN EXCLUSIVE")

    from threatmatrix.store import database

    before, database._BUSY_MS = database._BUSY_MS, 50
    try:
        run(settings, on_event=listen, on_step=on_step)
    finally:
        database._BUSY_MS = before
        other.close()
    assert [type(event) for event in said if isinstance(event, Waiting | Recovered)] == [Waiting, Recovered]
    assert outcome(tmp_path / "home").findings


def test_what_cannot_be_read_is_reported_and_hides_nothing_else(
    config: Callable[..., WatchConfig], tmp_path: Path
) -> None:
    Writer(tmp_path / "logs", 1).write(50)
    (tmp_path / "logs" / "binary.jsonl").write_bytes(bytes(range(256)) * 10 + b"\n")
    report = run(config(sources=[str(tmp_path / "logs")]))
    assert report.events == 50
    [why] = report.refused.values()
    assert "binary" in why


def test_nothing_of_an_input_or_a_line_lies_in_the_watchs_folder(
    config: Callable[..., WatchConfig], tmp_path: Path
) -> None:
    (tmp_path / "logs").mkdir()
    secret = "the patient is called Ada"
    call = {
        "litellm_call_id": "c-1",
        "call_type": "acompletion",
        "startTime": 1767225600.25,
        "endTime": 1767225601.75,
        "model": "house-model",
        "messages": [{"role": "user", "content": secret}],
    }
    torn = f'{{"messages": "{secret}'
    (tmp_path / "logs" / LOGS[0]).write_text(f"{json.dumps(call)}\n{torn}\n")
    seen: dict[str, bytes] = {}

    def keep(step: str) -> None:
        for path in (tmp_path / "home").rglob("*"):
            if path.is_file():
                seen[f"{step} {path.name}"] = path.read_bytes()

    report = run(config(), on_step=keep)
    assert (report.events, report.dead_letters) == (1, 1)
    assert any(name.endswith(".batch") for name in seen)
    assert not [name for name, content in seen.items() if b"patient" in content or b"Ada" in content]


def test_refusals(config: Callable[..., WatchConfig], tmp_path: Path) -> None:
    log = str(tmp_path / "a.jsonl")
    for changes, error in (
        ({"sources": []}, UsageError),
        ({"sources": [log, log]}, UsageError),
        ({"sources": ["kafka://host"]}, UsageError),
        ({"source": "nonsense", "sources": [log]}, UnknownNameError),
        ({"name": "../up"}, UsageError),
    ):
        with pytest.raises(error):
            run(config(**changes))


def test_asked_to_stop_before_it_began(config: Callable[..., WatchConfig], tmp_path: Path) -> None:
    Writer(tmp_path / "logs", 1).write(10)
    stop = Stop()
    stop.ask()
    report = run(config(), stop=stop)
    stop.close()
    assert (report.events, report.waiting) == (0, "")
