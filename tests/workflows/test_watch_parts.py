"""The parts of a watch by themselves: what it writes down, what time it is, who may run."""

from __future__ import annotations

import dataclasses
import gc
import http.client
import json
import os
import signal
import socket
import threading
import time
import weakref
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threatmatrix.model.errors import FormatError, InputError, UsageError
from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.telemetry.lake import Lake
from threatmatrix.telemetry.lake.staging import rewriting
from threatmatrix.workflows.home import Home
from threatmatrix.workflows.watch.chores import Chores, tidy
from threatmatrix.workflows.watch.config import Recovered, Said, Waiting, WatchEvent
from threatmatrix.workflows.watch.durable import only_one
from threatmatrix.workflows.watch.events import decode_events, encode_events
from threatmatrix.workflows.watch.health import Health, serve
from threatmatrix.workflows.watch.journal import Batch, Journal
from threatmatrix.workflows.watch.keeping import Keeper
from threatmatrix.workflows.watch.memory import Sweeps, few_sweeps
from threatmatrix.workflows.watch.metrics import Figures, reason_class
from threatmatrix.workflows.watch.patience import Patience
from threatmatrix.workflows.watch.snapshot import load_snapshot, save_snapshot
from threatmatrix.workflows.watch.stopping import Stop, Stopped
from threatmatrix.workflows.watch.watermark import AHEAD, Watermark

SECOND = 1_000_000
_CELLS: dict[str, st.SearchStrategy[Any]] = {
    "VARCHAR": st.text(max_size=8),
    "BIGINT": st.integers(0, 2**63 - 1),
    "DOUBLE": st.floats(allow_nan=False, allow_infinity=False),
    "BLOB": st.binary(max_size=8),
    "DOUBLE[]": st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3).map(tuple),
}
EVENTS = st.builds(
    Event,
    **{
        name: _CELLS[sql] if name in {"event_id", "time", "source", "category"} else st.none() | _CELLS[sql]
        for name, sql in EVENT_COLUMNS.items()
    },
)


def event(time: int) -> Event:
    return Event(event_id=f"e{time}", time=time, source="gateway", category="inference")


@settings(max_examples=20)
@given(events=st.lists(EVENTS, min_size=1, max_size=4))
def test_events_come_back_as_they_were(events: list[Event]) -> None:
    assert decode_events(encode_events(events), "x") == events


def test_a_journal_says_what_was_written_and_what_is_damaged(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    batches = [
        Batch(number=n, arrived=n, elapsed=0, events=[event(n)], positions={"log": {"at": n}}, letters=n, flush=n == 2)
        for n in (1, 2, 3)
    ]
    for batch in batches:
        journal.write(batch)
    assert list(journal.read(0)) == batches
    assert list(journal.read(2)) == batches[2:]
    path = tmp_path / f"{2:016}.batch"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(FormatError, match="is damaged"):
        list(journal.read(0))
    path.write_bytes(whole.replace(b'"v":1', b'"v":9'))
    with pytest.raises(FormatError, match="another version"):
        list(journal.read(0))
    path.unlink()
    with pytest.raises(FormatError, match="is missing"):
        list(journal.read(0))
    journal.trim(2)
    assert journal.numbers() == [3]


def test_a_snapshot_keeps_arrays_bytes_and_plain_values_and_nothing_that_runs(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.npz"
    state = {
        "a": [1, 2.5, None, "ü", True, [b"", None, b"xyz"], [[b"q"], {"d": [7]}]],
        "b": {"raw": b"\x00\xff", "vec": np.arange(6, dtype=np.int8)},
        "c": {},
    }
    assert load_snapshot(path) is None
    save_snapshot(path, state)
    back = load_snapshot(path)
    assert back is not None
    assert np.array_equal(back["b"].pop("vec"), state["b"].pop("vec"))  # type: ignore[attr-defined]
    assert back == state
    for odd in ({"x": object()}, {"x": {1: 2}}, {"x": np.array([object()])}, {"x": {"$bytes": "0"}}):
        with pytest.raises(TypeError):
            save_snapshot(path, odd)
    whole = path.read_bytes()
    beyond = '{"x":{"$bytes":1,"lengths":[1,1]}}'
    np.savez(path, json=np.frombuffer(beyond.encode(), np.uint8), raw=np.zeros(2, np.uint8))
    with pytest.raises(FormatError, match="no sound snapshot"):
        load_snapshot(path)
    for broken in (b"", whole[: len(whole) // 2], b"PK" + whole[2:-40]):
        path.write_bytes(broken)
        with pytest.raises(FormatError, match="no sound snapshot"):
            load_snapshot(path)
    np.savez(path, json=np.array([object()], dtype=object), raw=np.zeros(2, np.uint8))
    with pytest.raises(FormatError, match="no sound snapshot"):
        load_snapshot(path)


def test_the_watermark_follows_the_events_and_the_clock_only_while_nothing_comes() -> None:
    mark, now = Watermark(5 * SECOND), 1_000 * SECOND
    assert mark.take([], now, SECOND) is None
    assert mark.take([event(now)], now, SECOND) == now - 5 * SECOND
    assert mark.take([event(now - 60 * SECOND)], now, SECOND) == now - 4 * SECOND  # late, and nothing newer for 1 s
    assert mark.take([event(now + AHEAD + 1)], now, 0) == now - 4 * SECOND
    assert (mark.late, mark.ahead) == (1, 1)
    assert mark.take([], now - 10**12, 10 * SECOND) == now + 6 * SECOND  # the wall clock jumped back; time went on
    assert mark.take([event(now + 2 * SECOND)], now, SECOND) == now + 6 * SECOND  # it never moves back
    copy = Watermark(5 * SECOND)
    copy.restore(json.loads(json.dumps(mark.snapshot())))
    later = [event(now + 100 * SECOND)]
    assert copy.take(later, now, 1) == mark.take(later, now, 1)


def test_one_watch_of_a_name(tmp_path: Path) -> None:
    with only_one(tmp_path, "a watch"), pytest.raises(UsageError, match="running already"), only_one(tmp_path, "it"):
        pass
    with only_one(tmp_path, "a watch"):
        pass
    with pytest.raises(UsageError, match="cannot name a watch"):
        Keeper(Home(tmp_path / "home"), "../x")


def test_a_journal_that_was_removed_does_not_share_lake_parts_with_its_successor(tmp_path: Path) -> None:
    first = Keeper(Home(tmp_path), "w")
    assert Keeper(Home(tmp_path), "w").origin == first.origin
    (first.folder / "origin").unlink()
    assert Keeper(Home(tmp_path), "w").origin != first.origin


def test_waiting_until_it_works_and_stopping_meanwhile() -> None:
    said: list[WatchEvent] = []
    counted: list[str] = []
    tries = iter([OSError(28, "No space left on device"), InputError("lake", "failed"), None])

    def work(tried: bool) -> bool:
        error = next(tries)
        if error is not None:
            raise error
        return tried

    health, stop = Health(60), Stop()
    patience = Patience(stop, health, said.append, counted.append)
    assert patience.until("lake", work) is True
    assert [type(event) for event in said] == [Waiting, Waiting, Recovered]
    assert counted == ["lake", "lake"]
    assert health.state()[0]
    threading.Timer(0.05, stop.ask).start()

    def never(_: bool) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(Stopped):
        patience.until("journal", never)
    assert health.state()[1]["reasons"] == ["stuck: journal: No space left on device"]
    stop.close()


def test_a_signal_asks_once_and_then_means_what_it_always_did() -> None:
    before = signal.getsignal(signal.SIGTERM)
    stop = Stop()
    with stop.on_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(5)
        assert signal.getsignal(signal.SIGTERM) is before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    stop.close()


def test_two_routes_and_no_more() -> None:
    figures, health = Figures(), Health(60)
    figures.read("log", 3, 400)
    with ExitStack() as stack:
        url = stack.enter_context(serve(("127.0.0.1", 0), figures.text, health.state))
        port = int(url.rpartition(":")[2])

        def get(path: str, method: str = "GET") -> tuple[int, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request(method, path)
            answer = connection.getresponse()
            content = answer.status, answer.read()
            connection.close()
            return content

        status, content = get("/metrics")
        assert status == 200
        assert b'threatmatrix_watch_events_total{source="log"} 3.0' in content
        assert get("/healthz")[0] == 200
        health.blind = {"log": "log: no reader recognises its first lines"}
        status, content = get("/healthz")
        assert (status, json.loads(content)["reasons"]) == (503, ["blind: log: no reader recognises its first lines"])
        for path in ("/", "/../etc/passwd", "/metrics/x", "/%6detrics"):
            assert get(path)[0] == 404
        assert get("/metrics", "POST")[0] == 501
        with pytest.raises(UsageError, match="cannot be served"):
            stack.enter_context(serve(("127.0.0.1", port), figures.text, health.state))
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(12)]  # more than may be served at once
        for client in idle:
            client.close()
        assert get("/healthz")[0] == 503


def test_a_label_never_holds_what_a_log_says() -> None:
    reasons = ["not JSON: x at column 3", "longer than 10 MiB", "nested too deeply", "inputs[0].secret: is a text"]
    assert [reason_class(reason) for reason in reasons] == ["not-json", "too-long", "too-deep", "field"]


def test_what_goes_in_circles_is_found_after_so_many_records_and_not_before() -> None:
    class Circle:
        def __init__(self) -> None:
            self.me = self

    gone: list[str] = []
    with few_sweeps():
        assert not gc.isenabled()
        weakref.finalize(Circle(), gone.append, "circle")
        sweeps = Sweeps()
        sweeps.after(49_999)
        assert gone == []
        sweeps.after(1)
        assert gone == ["circle"]
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_every_part_of_a_batch_is_in_the_journal() -> None:
    from threatmatrix.workflows.watch.journal import _KEYS

    assert {field.name for field in dataclasses.fields(Batch)} == {*_KEYS, "events"}


def test_days_that_are_over_are_merged_once_and_old_ones_go_beside_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("COVERAGE")]:
        monkeypatch.delenv(name)
    now = int(time.time() * SECOND)
    day = 24 * 3600 * SECOND
    with Lake(tmp_path) as lake:
        for number, age in enumerate((9, 3, 3, 3, 0, 0)):
            lake.append([event(now - age * day + number)], part=f"p{number}")
    said: list[WatchEvent] = []
    chores = Chores(tmp_path, 5, said.append, first=0)
    deadline = time.monotonic() + 60
    while not said and time.monotonic() < deadline:
        chores()
        time.sleep(0.02)
    chores.close()
    [notice] = said
    assert isinstance(notice, Said)
    assert notice.text.startswith("1 events of 1 days before ")
    with Lake(tmp_path) as lake:
        assert [(status.parts, status.fresh, status.events) for status in lake.days()] == [(1, 0, 3), (2, 2, 2)]
        assert lake.append([event(now - 3 * day + 1)], part="p1") == 0  # its part is known, though it was merged


def test_somebody_else_at_work_on_the_lake_is_said_and_stops_nothing(tmp_path: Path) -> None:
    with Lake(tmp_path) as lake:
        lake.append([event(SECOND)])
    with rewriting(tmp_path):
        (expired, compacted), merged = tidy(tmp_path, "1970-01-01", "2000-01-01")
    assert ("not removed" in expired, "not merged" in compacted, merged) == (True, True, False)
    assert tidy(tmp_path, "1970-01-01", "2000-01-01") == ([], True)
    [expired], merged = tidy(tmp_path, "2000-01-01", "2000-01-01")
    assert (expired, merged) == ("1 events of 1 days before 2000-01-01 left the lake", True)
    assert tidy(tmp_path / "none", "", "2000-01-01") == ([], True)
