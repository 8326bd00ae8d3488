"""Two processes that record findings at once: neither overwrites what the other one did."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from tests.respond.examples import finding

from threatmatrix.model.errors import StoreError
from threatmatrix.respond.incidents import record_findings
from threatmatrix.store import Store, open_store

EACH = 12


def record(path: Path, name: str, ready: Connection) -> None:
    """Findings of one principal, one by one: each of them grows the one incident that both processes share."""
    with open_store(path) as store:
        ready.send("ready")
        ready.recv()
        for number in range(EACH):
            record_findings(store, [finding(f"{name}-{number}", {"m": 9}, events=(f"{name}{number}",))], 100)


def test_no_finding_is_missing_in_the_incident_that_two_processes_grow(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    open_store(path).close()
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(2)]
    workers = [
        context.Process(target=record, args=(path, name, pipe[1])) for name, pipe in zip("ab", pipes, strict=True)
    ]
    for worker in workers:
        worker.start()
    for mine, _ in pipes:
        assert mine.recv() == "ready"
    for mine, _ in pipes:
        mine.send("go")
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    with open_store(path) as store:
        [incident] = store.incidents.list("open")
        assert sorted(incident.finding_ids) == sorted(f"{name}-{n}" for name in "ab" for n in range(EACH))
        assert incident.chain[0].event_count == 2 * EACH


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "store.db") as opened:
        yield opened


def test_recorded_is_all_or_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store.incidents, "save", broken)
        with pytest.raises(StoreError):
            record_findings(store, [finding("a", {"m": 9})], 100)
    assert store.findings.list() == []
    [incident] = record_findings(store, [finding("a", {"m": 9})], 100)
    assert incident.finding_ids == ("a",)
