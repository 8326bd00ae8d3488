"""Records as they come: what waits, what revises, what is bounded."""

from __future__ import annotations

import gc
from collections import Counter
from dataclasses import replace

import pytest
from tests.telemetry.joining_world import SECOND, START, Request, records_of

from threatmatrix.model.event import Event
from threatmatrix.telemetry.joining import Joined, Joiner, join
from threatmatrix.telemetry.joining.unit import Unit

BOTH = {None: frozenset({"nginx", "gateway"})}
PAIR = Request(1, START, "r", sources=("nginx", "gateway"))


def ids(joined: Joined) -> list[str]:
    return [event.event_id for event in joined.events]


def test_what_all_expected_sources_have_said_comes_out_at_once() -> None:
    joiner = Joiner(sources=BOTH)
    proxy, content = records_of(PAIR)
    assert joiner.add([proxy]) == Joined()
    (event,) = joiner.add([content]).events
    assert (event.source, event.event_id) == ("gateway+nginx", "req:r")
    assert joiner.flush() == Joined()


def test_rows_that_come_one_by_one_are_waited_for() -> None:
    joiner = Joiner(sources=BOTH)
    proxy, *rows = records_of(replace(PAIR, rows=2))
    assert joiner.add([proxy, rows[1]]) == Joined()
    assert ids(joiner.add([rows[0]])) == ["req:r", "req:r:1"]


def test_request_and_response_of_one_source_wait_for_each_other() -> None:
    joiner = Joiner(sources={None: frozenset({"kserve"})})
    asked, answered = records_of(Request(1, START, "r", sources=("kserve", "answer")))
    assert joiner.add([asked]) == Joined()
    (event,) = joiner.add([answered]).events
    assert (event.source, event.input_fp, event.output_label) == ("kserve", "t1", "t1")


def test_the_watermark_ends_the_waiting() -> None:
    joiner = Joiner(sources=BOTH, hold=10 * SECOND)
    (proxy, _) = records_of(PAIR)
    joiner.add([proxy])
    assert joiner.advance(START + 10 * SECOND - 1) == Joined()
    assert ids(joiner.advance(START + 10 * SECOND)) == ["req:r"]
    assert joiner.advance(START) == Joined(), "it never goes back"


@pytest.mark.parametrize("late", [0, 1])
def test_a_late_partner_revises_under_the_same_id(late: int) -> None:
    joiner = Joiner(sources=BOTH)
    records = records_of(PAIR)
    first = records.pop(1 - late)
    joiner.add([first])
    (before,) = joiner.flush().events
    joined = joiner.add(records)
    assert joined.events == []
    [(was, now)] = joined.revised
    assert was == before
    assert (now.event_id, now.source, now.user_agent, now.session) == (before.event_id, "gateway+nginx", "t1", "t1")


def test_late_rows_take_the_proxy_record_with_them() -> None:
    joiner = Joiner(sources=BOTH)
    proxy, *rows = records_of(replace(PAIR, rows=3))
    joiner.add([proxy])
    joiner.flush()
    joined = joiner.add(rows)
    assert [after.row for _, after in joined.revised] == [0]
    assert ids(joined) == ["req:r:1", "req:r:2"]


def test_a_late_rival_parts_what_was_joined() -> None:
    joiner = Joiner(sources=BOTH)
    proxy, content = records_of(PAIR)
    (was,) = joiner.add([proxy, content]).events
    rival = replace(proxy, time=START + 5 * SECOND, src_ip="198.51.100.66")
    parted = joiner.add([rival])
    assert parted.revised == [(was, replace(content, event_id="req:r"))]
    assert [event.source for event in parted.events] == ["nginx"]
    assert parted.clashes == 2
    assert [event.src_ip for event in joiner.flush().events] == ["198.51.100.66"]


def test_one_source_passes_untouched() -> None:
    records = records_of(PAIR)
    joined = Joiner(sources={None: frozenset({"gateway"}), "a": frozenset()}).add(records)
    assert all(one is other for one, other in zip(joined.events, records, strict=True))
    assert Joiner().add(records).events == records


def test_systems_wait_for_their_own_sources_only() -> None:
    joiner = Joiner(sources={"two": frozenset({"nginx", "gateway"}), "one": frozenset({"gateway"})})
    proxy, content = records_of(PAIR)
    assert joiner.add([replace(content, system="one")]).events == [replace(content, system="one")]
    assert joiner.add([replace(proxy, system="elsewhere")]).events
    assert joiner.add([replace(proxy, system="two")]) == Joined()


def test_what_cannot_be_joined_does_not_wait() -> None:
    joiner = Joiner(sources=BOTH)
    login = Event(event_id="1", time=START, source="linux-auth", category="authentication", principal="root")
    nameless = Event(event_id="2", time=START, source="nginx", category="http", endpoint="/")
    assert joiner.add([login, nameless]).events == [login, nameless]


def test_duplicates_are_dropped_before_and_after_the_release() -> None:
    joiner = Joiner(sources=BOTH)
    proxy, content = records_of(PAIR)
    assert joiner.add([proxy, proxy]).duplicates == 1
    joiner.add([content])
    assert joiner.add([content, proxy]) == Joined(duplicates=2)


def test_what_comes_after_everything_was_forgotten_is_an_event_of_its_own() -> None:
    joiner = Joiner(sources=BOTH, remember=60 * SECOND)
    proxy, content = records_of(PAIR)
    joiner.add([proxy])
    joiner.advance(START + 900 * SECOND)
    assert joiner.stats()["records"] == 0
    assert joiner.add([content]).events == [content]
    assert joiner.stats()["too_late"] == 1


def test_memory_is_bounded_and_said() -> None:
    joiner = Joiner(sources=BOTH, most=50)
    out = 0
    for number in range(200):
        proxy, _ = records_of(replace(PAIR, number=number, ref=f"r{number}", time=START + number * 1000))
        out += len(joiner.add([proxy]).events)
        assert joiner.stats()["records"] <= 50
    assert out == 150, "the oldest come out early, and none is lost"
    assert joiner.stats()["forgotten_early"] == 150
    assert len(joiner.flush().events) == 50


def test_a_flood_with_one_id_is_bounded_too() -> None:
    joiner = Joiner(sources=BOTH, most=300)
    proxy, content = records_of(PAIR)
    out = 0
    for number in range(1000):
        at = START + number * 1000
        joined = joiner.add([replace(proxy, time=at), replace(content, time=at)])
        out += len(joined.events)
    out += len(joiner.flush().events)
    assert out + 0 >= 2000 - 1, "only the first pair could be one"
    assert joiner.stats()["records"] <= 300


def test_two_events_that_turn_out_to_be_one_stay_two() -> None:
    """The gateway's record ties a proxy's to a span, after both have come out."""
    joiner = Joiner(sources={None: frozenset({"nginx", "gateway", "otel"})})
    proxy, span = records_of(replace(PAIR, sources=("nginx", "otel")))
    link = replace(records_of(replace(PAIR, trace="t"))[1])
    joiner.add([proxy, replace(span, trace_id="t")])
    assert len(joiner.flush().events) == 2
    assert joiner.add([link]) == Joined(), "a third source is expected"
    joined = joiner.flush()
    assert joined.events == []
    assert [after.source for _, after in joined.revised] == ["gateway+nginx"]
    assert joiner.stats()["kept_apart"] >= 1


def test_a_snapshot_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="another version"):
        Joiner().restore({"format": 0})


def test_a_damaged_snapshot_is_refused() -> None:
    joiner = Joiner(sources=BOTH)
    joiner.add(records_of(PAIR)[:1])
    state = joiner.snapshot()
    state["events"]["source"] = []
    with pytest.raises(ValueError, match="lengths"):
        Joiner(sources=BOTH).restore(state)


def test_a_source_whose_clock_is_hours_ahead_pushes_nothing_else_out() -> None:
    joiner = Joiner(sources=BOTH, most=100)
    joiner.advance(START)
    ahead = [replace(records_of(PAIR)[0], request_ref=f"f{n}", time=START + 7200 * SECOND + n) for n in range(300)]
    out = [event for record in ahead for event in joiner.add([record]).events]
    for number in range(50):
        request = replace(PAIR, number=number, ref=f"r{number}", time=START + number * SECOND)
        for record in records_of(request):
            out += joiner.add([record]).events
        out += joiner.advance(START + number * SECOND).events
    out += joiner.flush().events
    assert Counter(event.source for event in out) == {"gateway+nginx": 50, "nginx": 300}
    assert joiner.stats()["records"] <= 100


def test_what_is_forgotten_early_does_not_stay_while_the_watermark_stands_still() -> None:
    joiner = Joiner(sources=BOTH, most=50)
    joiner.advance(START)
    for number in range(500):
        joiner.add([replace(records_of(PAIR)[0], request_ref=f"r{number}", time=START + number)])
    held = [len(heap) for heap in (joiner._waiting, joiner._aging, joiner._far)]
    assert max(held) <= 101


def test_what_is_forgotten_is_freed_without_a_search_for_garbage() -> None:
    joiner = Joiner(sources=BOTH, remember=SECOND, most=60)
    gc.collect()
    gc.disable()
    try:
        before = units_alive()
        for number in range(300):
            joiner.add(records_of(replace(PAIR, number=number, ref=f"r{number}", time=START + number * SECOND)))
        joiner.flush()
        assert units_alive() - before <= 3 * 60, "the heaps hold twice as many at most"
        joiner.advance(START + 3600 * SECOND)
        assert units_alive() - before == joiner.stats()["records"] == 0
    finally:
        gc.enable()


def units_alive() -> int:
    return sum(isinstance(each, Unit) for each in gc.get_objects())


def test_one_trace_each_and_one_principal_for_all_costs_the_same_for_each_record() -> None:
    """Counted in records looked at: what was joined by trace is not gone through for each new one of its principal."""
    looked = 0
    joiner = Joiner(sources={None: frozenset({"nginx", "otel"})}, hold=0)
    in_doubt = joiner._board.in_doubt
    for number in range(400):
        time = START + number * 5000
        records = records_of(Request(number, time, None, trace=f"t{number}", principal="p", sources=("nginx", "otel")))
        joiner.add(records)
        joiner.advance(time)
        looked += sum(len(in_doubt(unit)) for unit in joiner._board if unit.time == time)
    assert joiner.stats()["records"] == 800
    assert looked <= 400 * 20


def test_records_that_differ_in_nothing_but_their_own_id_have_ids_of_their_own() -> None:
    _, content = records_of(PAIR)
    crowd = [replace(content, event_id=f"gateway:{number}") for number in range(300)]
    first, again = join(crowd), join(crowd[::-1])
    assert first == again
    assert len({event.event_id for event in first.events}) == 300
    assert join(first.events).events == first.events, "joined once more, they keep them"
