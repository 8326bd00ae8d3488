"""Following a topic of librdkafka's own mock cluster: a broker on a socket of this machine."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator

import pytest
from tests.telemetry.log_records import RECORDS

from threatmatrix.model.errors import FormatError, InputError, MissingExtraError
from threatmatrix.telemetry.following.base import Piece
from threatmatrix.telemetry.following.kafka import KafkaFollower

confluent = pytest.importorskip("confluent_kafka")
QUIET = logging.getLogger("librdkafka")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False


@pytest.fixture(scope="module")
def producer() -> Iterator[object]:
    made = confluent.Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "", "logger": QUIET})
    yield made
    made.flush(5)


def brokers(producer: object) -> str:
    [broker] = producer.list_topics(timeout=5).brokers.values()  # type: ignore[attr-defined]
    return f"{broker.host}:{broker.port}"


def send(producer: object, topic: str, *names: str) -> None:
    for name in names:
        value = json.dumps({**RECORDS["gateway"], "event_id": name})
        producer.produce(topic, value.encode(), partition=len(name) % 2)  # type: ignore[attr-defined]
    assert producer.flush(10) == 0  # type: ignore[attr-defined]


def read(follower: KafkaFollower, wanted: int) -> list[Piece]:
    found: list[Piece] = []
    deadline = time.monotonic() + 20
    while len(found) < wanted and time.monotonic() < deadline:
        found += follower.read(1 << 20)
        time.sleep(0.01)
    return found


def ids(pieces: list[Piece]) -> list[str]:
    return sorted(json.loads(line)["event_id"] for piece in pieces for line in piece.lines)


def test_another_process_goes_on_at_our_offsets_and_not_at_the_groups(producer: object) -> None:
    send(producer, "logs", "a", "bb", "c")
    first = KafkaFollower(brokers(producer), "logs", group="one")
    pieces = read(first, 3)
    assert ids(pieces) == ["a", "bb", "c"]
    assert {piece.reader for piece in pieces} == {"gateway"}
    position = json.loads(json.dumps(first.moved()))
    assert sum(position.values()) == 3
    assert first.moved() == {}
    send(producer, "logs", "d", "ee")
    assert ids(read(first, 2)) == ["d", "ee"]  # read, and never journalled
    first.close()
    second = KafkaFollower(brokers(producer), "logs", group="one")
    second.resume(position)
    assert ids(read(second, 2)) == ["d", "ee"]
    assert second.refused == {}
    with pytest.raises(FormatError, match="where a topic stands"):
        second.resume({"0": -1})
    second.close()


def test_no_broker_is_named_and_waited_for() -> None:
    follower = KafkaFollower("127.0.0.1:9", "logs", group="two", timeout=0.3)
    assert follower.read(1 << 20) == []
    [why] = follower.refused.values()
    assert why.startswith("kafka://127.0.0.1:9/logs: ")
    follower.close()
    with pytest.raises(InputError, match="refuses its settings"):
        KafkaFollower("127.0.0.1:9", "logs", group="two", settings={"no.such.setting": "1"})


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(MissingExtraError, match=r"threatmatrix\[kafka\]"):
        KafkaFollower("127.0.0.1:9", "logs", group="x")
