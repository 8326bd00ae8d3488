"""What each comparison means in SQL, against small oracles: Python's own addresses, numbers, calendar and RE2."""

from __future__ import annotations

import datetime
import ipaddress
from typing import Any

import pytest
import re2  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detect.sigma.conformance import SCHEMA, by_engine

from threatmatrix.detect.sigma.ir import Leaf, Node, Not, Op, Or, Part, Wild
from threatmatrix.detect.sql.addresses import network_pattern
from threatmatrix.detect.sql.conditions import condition
from threatmatrix.model.errors import UnknownNameError

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def holds(node: Node, **record: Any) -> bool:
    return by_engine([node], [{"category": "any", **record}])[0][0]


@pytest.mark.parametrize(
    ("leaf", "matching", "other"),
    [
        (Leaf("message", "matches", ("a", Wild.ONE, "c")), "AÉC", "ac"),
        (Leaf("message", "matches", ("a", Wild.ANY, "c"), cased=True), "a\nxc", "Axc"),
        (Leaf("message", "matches", ("%", Wild.ANY, "_")), "%.(_", "x_"),
        (Leaf("message", "matches", (".", Wild.ONE, "[")), ".\n[", "a\n["),
        (Leaf("message", "contains", "100%_\\"), "is 100%_\\!", "1000_\\"),
        (Leaf("message", "equals", "Straße İ"), "STRAßE i", "strasse i"),
        (Leaf("message", "regex", "^b"), "bc", "a\nb"),
        (Leaf("message", "regex", "(?m)^b"), "a\nb", "ab"),
        (Leaf("message", "regex", "a.b"), "xa-b", "a\nb"),
        (Leaf("message", "lt", 10), "9.5", "x"),
        (Leaf("message", "gt", -1), "+1e2", "nan"),
        (Leaf("message", "gte", 1), "1", "inf"),
        (Leaf("message", "gt", 1), "2", " 3"),
        (Leaf("message", "gt", 1), "2", "1_000"),
        (Leaf("message", "cidr", "10.0.0.0/8"), "10.255.0.1", "10.0.0.01"),
        (Leaf("message", "cidr", "::/0"), "::1", "10.0.0.1"),
    ],
)
def test_text(leaf: Leaf, matching: str, other: str) -> None:
    assert holds(leaf, message=matching)
    assert not holds(leaf, message=other)
    assert not holds(leaf)
    assert holds(Not(leaf))


@pytest.mark.parametrize("op", ["lt", "lte", "gt", "gte", "equals"])
@pytest.mark.parametrize("value", [-(2**70), -1.5, 0, 2, 2.5, 1e300, float("inf"), float("-inf"), float("nan"), 2**63])
def test_whole_numbers_beside_any_number(op: Op, value: float) -> None:
    for have in (-(2**63), -2, 0, 2, 3, 2**63 - 1):
        expected = {
            "lt": have < value,
            "lte": have <= value,
            "gt": have > value,
            "gte": have >= value,
            "equals": have == value,
        }[op]
        assert holds(Leaf("count", op, value), count=have) == expected, (have, op, value)


def test_a_number_that_is_none_is_above_nothing() -> None:
    assert not holds(Leaf("ratio", "gt", 1), ratio=float("nan"))
    assert holds(Leaf("ratio", "lte", 0.1), ratio=0.1)


@settings(max_examples=15)
@given(st.lists(st.integers(-(2**55), 2**55), min_size=1, max_size=20))
def test_parts_of_a_time(times: list[int]) -> None:
    parts: tuple[Part, ...] = ("minute", "hour", "day", "week", "month", "year")
    for time in times:
        moment = EPOCH + datetime.timedelta(microseconds=time)
        values = (*(moment.minute, moment.hour, moment.day), moment.isocalendar().week, *(moment.month, moment.year))
        nodes: list[Node] = [
            Leaf("time", "equals", value, part=part) for part, value in zip(parts, values, strict=True)
        ]
        assert all(found[0] for found in by_engine(nodes, [{"time": time}])), (time, values)


def test_a_time_beyond_every_calendar_has_no_year() -> None:
    assert not holds(Leaf("time", "gte", 0, part="year"), time=2**63 - 1)


TEXTS = st.text("ab\nAé.", max_size=6)


@settings(max_examples=15)
@given(
    pattern=st.sampled_from(
        ["a.b", "^a", "b$", "(?s)a.b", "(?m)^b$", "(?i)É", r"\Aa", r"a\z", r"\bA", "(?-s)a.", "[^a]b"]
    ),
    texts=st.lists(TEXTS, min_size=1, max_size=12),
)
def test_regexes_are_those_of_re2(pattern: str, texts: list[str]) -> None:
    found = by_engine([Leaf("message", "regex", pattern)], [{"message": text} for text in texts])[0]
    assert found == [re2.search(pattern, text) is not None for text in texts]


@settings(max_examples=40)
@given(data=st.data())
def test_networks_hold_the_addresses_that_python_says(data: st.DataObject) -> None:
    wide = data.draw(st.booleans())
    bits, kind = (128, ipaddress.IPv6Address) if wide else (32, ipaddress.IPv4Address)
    sparse = st.integers(0, 2**bits - 1) | st.integers(0, 2**16).map(
        lambda low: low | (0x20010DB8 << 96 if wide else 0)
    )
    base, length = data.draw(sparse), data.draw(st.integers(0, bits))
    network = ipaddress.ip_network((base, length), strict=False)
    address = kind(data.draw(sparse) & int(network.hostmask) | int(network.network_address))
    text = data.draw(
        st.sampled_from([str(address), address.exploded.upper(), f"{address}x", f"0{address}", f"{address}%e"])
    )
    try:
        expected = ipaddress.ip_address(text) in network
    except ValueError:
        expected = False
    assert (re2.fullmatch(network_pattern(str(network)), text) is not None) == expected, (network, text)


def test_two_fields() -> None:
    assert holds(Leaf("message", "same", "user"), message="É", user="é")
    assert not holds(Leaf("message", "same", "user", cased=True), message="É", user="é")
    assert holds(Leaf("message", "same_contains", "user"), message="xABx", user="ab")
    assert holds(Leaf("count", "same", "ratio"), count=2, ratio=2.0)
    assert holds(Leaf("message", "same", "count"), message="5.0", count=5)
    assert not holds(Leaf("message", "same", "user"), message="a")


def test_thousands_of_values() -> None:
    values = Or(tuple(Leaf("message", "equals", f"v{number}") for number in range(3_000)))
    pieces = Or(tuple(Leaf("message", "contains", f"<{number}>") for number in range(3_000)))
    assert by_engine([values, pieces], [{"message": "V2999"}, {"message": "a<2999>"}, {}]) == [
        [True, False, False],
        [False, True, False],
    ]


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(UnknownNameError, match="mesage"):
        condition(Leaf("mesage", "equals", "x"), SCHEMA)
    with pytest.raises(UnknownNameError, match="nowhere"):
        condition(Leaf("message", "same", "nowhere"), SCHEMA)


def test_a_name_is_never_sql() -> None:
    hostile = 'a" OR TRUE; DROP TABLE x; --'
    with pytest.raises(UnknownNameError):
        condition(Leaf(hostile, "equals", "x"), SCHEMA)
