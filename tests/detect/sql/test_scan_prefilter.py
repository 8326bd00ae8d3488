"""The fast scan finds what the plain one finds: gates, samples and portions change the cost and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import cache
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detect.sigma.conformance import SCHEMA, by_engine
from tests.detect.sigma.rule_makers import event
from tests.detect.sigma.rule_strategies import conditions, events

from threatmatrix.detect.engines.scanning.scanner import Scanner
from threatmatrix.detect.sigma.ir import And, Leaf, Node, Not, Or, Wild
from threatmatrix.detect.sigma.rules import EventRule, Meta
from threatmatrix.detect.sigma.schema import EVENTS
from threatmatrix.detect.sql.literals import Atom, choices, regex_literal
from threatmatrix.detect.sql.prefilter import Sample, gated


def rules(nodes: Sequence[Node], category: str = "any") -> list[EventRule]:
    return [
        EventRule(meta=Meta(key=f"r{at}", title="A rule", technique="t", file="f"), category=category, condition=node)
        for at, node in enumerate(nodes)
    ]


def scanned(some: Sequence[EventRule], records: Sequence[dict[str, Any]]) -> set[tuple[int, int]]:
    """(rule, number of the record), by ``hits`` over a table."""
    con = database()
    con.execute("DELETE FROM logs")
    marks = ", ".join("?" * (len(SCHEMA.fields) + 1))
    for at, record in enumerate(records):
        con.execute(f"INSERT INTO logs VALUES ({marks})", [at, *map(record.get, SCHEMA.fields)])
    Scanner(some, SCHEMA, con).hits("logs", "found", ["at"])
    rows = con.execute('SELECT rule, "at", event FROM found').fetchall()
    assert len({(rule, event) for rule, _, event in rows}) == len(rows)
    assert len({at for _, at, _ in rows}) == len({event for _, _, event in rows})
    assert con.execute("SELECT count(*) FROM duckdb_tables() WHERE temporary").fetchone() == (1,)
    return {(rule, at) for rule, at, _ in rows}


@cache
def database() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    columns = ", ".join(f'"{name}" {kind}' for name, kind in SCHEMA.fields.items())
    con.execute(f'CREATE TABLE logs ("at" BIGINT, {columns})')
    return con


@settings(max_examples=40)
@given(nodes=st.lists(conditions(SCHEMA), min_size=1, max_size=8), records=st.lists(events(SCHEMA), max_size=8))
def test_the_fast_scan_finds_what_the_plain_one_finds(nodes: list[Node], records: list[dict[str, Any]]) -> None:
    records = [{**record, "category": "any"} for record in (records or [{}])]
    plain = by_engine(nodes, records)
    expected = {(rule, at) for rule, found in enumerate(plain) for at, matches in enumerate(found) if matches}
    assert scanned(rules(nodes), records) == expected


WORDS = ("powershell", "Mimikatz", "--encode", "%_x'; --", "ÄÖÜ straße", "Kelvin K")


@settings(max_examples=30)
@given(
    picks=st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(["contains", "endswith", "equals"])), max_size=6),
    texts=st.lists(st.lists(st.sampled_from((*WORDS, "a", " ", "POWERSHELL")), max_size=3).map("".join), min_size=1),
)
def test_literals_of_any_alphabet(picks: list[tuple[str, Any]], texts: list[str]) -> None:
    nodes: list[Node] = [Leaf("message", op, word) for word, op in picks]
    nodes += [And((Leaf("message", "contains", "shell"), Not(Leaf("user", "present"))))]
    records: list[dict[str, Any]] = [{"category": "any", "message": text} for text in texts]
    plain = by_engine(nodes, records)
    assert scanned(rules(nodes), records) == {
        (rule, at) for rule, found in enumerate(plain) for at, matches in enumerate(found) if matches
    }


def test_hundreds_of_rules_behind_nested_gates() -> None:
    nodes: list[Node] = [Leaf("message", "contains", f"tool{number:04}") for number in range(700)]
    nodes += [Or((Leaf("image", "endswith", f"\\p{number}.exe"), Leaf("count", "gt", number))) for number in range(20)]
    records: list[dict[str, Any]] = [
        {"category": "any", "message": "run TOOL0007 and tool0699"},
        {"category": "any", "message": "tool"},
        {"category": "process_creation", "message": "tool0007"},
        {"category": "any", "image": "c:\\P3.EXE", "count": 1},
    ]
    assert scanned(rules(nodes), records) == {(7, 0), (699, 0), (703, 3), (700, 3)}
    gates = gated(list(enumerate(rules(nodes))), SCHEMA)
    assert sorted(number for gate in gates for number, _ in gate.rules) == list(range(720))
    assert any(gate.inner for gate in gates)


def test_rules_of_each_category_see_their_own_records() -> None:
    some = [*rules([Leaf("message", "contains", "word")]), *rules([Leaf("message", "present")], "process_creation")]
    records = [{"category": "process_creation", "message": "a word"}, {"category": "any", "message": "a word"}]
    assert scanned(some, records) == {(0, 1), (1, 0)}


def test_a_field_that_no_record_has() -> None:
    nodes: list[Node] = [Leaf("nowhere", "equals", "x"), Not(Leaf("nowhere", "equals", "x")), Leaf("nowhere", "absent")]
    assert scanned(rules(nodes), [{"category": "any"}]) == {(1, 0), (2, 0)}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (Leaf("message", "contains", "Word"), {"word"}),
        (Leaf("message", "contains", "Word", cased=True), {"word"}),
        (Leaf("message", "contains", "ab"), None),
        (Leaf("message", "equals", "ÄÖwörter"), {"rter"}),
        (Leaf("message", "matches", ("abc", Wild.ANY, "longer", Wild.ONE)), {"longer"}),
        (Leaf("count", "contains", "123"), None),
        (Leaf("message", "present"), None),
        (Leaf("message", "same", "user"), None),
        (Not(Leaf("message", "contains", "word")), None),
        (Or((Leaf("message", "contains", "one"), Leaf("user", "equals", "two2"))), {"one", "two2"}),
        (Or((Leaf("message", "contains", "one"), Leaf("count", "gt", 2))), None),
        (Or(()), None),
    ],
)
def test_what_is_necessary(node: Node, expected: set[str] | None) -> None:
    found = list(choices(node, SCHEMA))
    assert [{atom.text for atom in atoms} for atoms in found] == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("Evil[0-9]+word", "evil"),
        ("abcd?efg", "abc"),
        ("abcd*", "abc"),
        ("abcd+efg", "abcd"),
        ("ab{0,3}cdef", "cdef"),
        ("(?i)Kernel", "kernel"),
        ("(?i)passwd", "pa"),
        ("(?i:passwd)longer", "longer"),
        (r"a\.exe\s+-k", "a.exe"),
        (r"\\temp\\", r"\temp" + "\\"),
        ("one|two", ""),
        ("(one|two)three", "three"),
        (r"\x41bcdef", ""),
        (r"\Qabc|\E", ""),
        ("[[:alpha:]]word", ""),
        ("^start$", "start"),
        (r"abc\b", "abc"),
        ("a**", ""),
    ],
)
def test_the_literal_of_a_regex(pattern: str, expected: str) -> None:
    assert regex_literal(pattern) == expected


def test_a_common_word_is_no_gate() -> None:
    both = And((Leaf("message", "contains", "everywhere"), Leaf("message", "contains", "rare")))
    sample = Sample({"message": ["it is everywhere"] * 9 + [None]})
    assert sample.share(Atom("message", "everywhere")) > 0.8
    (gate,) = gated(list(enumerate(rules([both]))), SCHEMA, sample.share)
    assert gate.literals() == {"message": ["rare"]}
    (always,) = gated(list(enumerate(rules([both.items[0]]))), SCHEMA, sample.share)
    assert not always.atoms


def test_a_batch_matches_what_a_table_matches() -> None:
    nodes: list[Node] = [Leaf("input_raw", "contains", f"tool{number:04}") for number in range(300)]
    nodes += [Leaf("status", "gte", 500), Not(Leaf("principal", "present")), Leaf("nowhere", "present")]
    events = [
        event(0, input_raw="TOOL0007 and tool0299", status=500),
        event(1, input_raw=None, principal=None),
        event(2, category="http", input_raw="tool0007"),
        event(3, input_raw="a tool0007"),
    ]
    with closing(duckdb.connect()) as con:
        scanner = Scanner(rules(nodes, "inference"), EVENTS, con)
        expected = {"r7": [0, 3], "r299": [0], "r300": [0], "r301": [1]}
        assert {key: at.tolist() for key, at in scanner.match(events).items()} == expected
        assert not scanner.match(events[2:3])
        assert {key: at.tolist() for key, at in scanner.match(events[3:]).items()} == {"r7": [0]}  # nothing stale
        assert not scanner.match([])
