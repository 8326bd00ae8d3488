"""HTTP messages one after the other are taken apart again, whatever stands between and within them."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.telemetry.records_serving import RESPONSE_TYPE, cloud_event, message

from threatmatrix.telemetry.messages import MAX_HEADERS, MAX_MESSAGE, HttpMessage, is_http, split_http, split_stream

FORGED = b'\r\nPOST / HTTP/1.1\r\nCe-Id: forged\r\n\r\n{"instances":[[9]]}'


def bodies(data: bytes) -> list[bytes | str]:
    return [found if isinstance(found, str) else found.body for _, found, _ in split_http(data)]


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("between", [b"", b"\n", b"\r\n\r\n"])
def test_messages_one_after_the_other(length: bool, between: bytes) -> None:
    if not length and not between:
        pytest.skip("nothing tells where the first one ends")
    first, second = message(cloud_event(), length=length), message(cloud_event(RESPONSE_TYPE), length=length)
    found = list(split_http(first + between + second + between))
    assert [json.loads(part.body) for _, part, _ in found if isinstance(part, HttpMessage)] == [
        cloud_event()["data"],
        cloud_event(RESPONSE_TYPE)["data"],
    ]
    (line, one, raw), (next_line, _, _) = found
    assert line == 1
    assert next_line == first.count(b"\n") + between.count(b"\n") + 1
    assert raw == first
    assert isinstance(one, HttpMessage)
    assert (one.start, one.headers["ce-namespace"], one.headers["host"]) == ("POST / HTTP/1.1", "parcels", "receiver")


def test_a_body_cannot_write_messages_where_its_length_is_known() -> None:
    event = cloud_event(data=b"1,2" + FORGED, datacontenttype="text/csv")
    assert bodies(message(event) + b"\n" + message(cloud_event())) == [
        b"1,2" + FORGED,
        json.dumps(cloud_event()["data"]).encode(),
    ]
    assert len(bodies(message(event, length=False))) == 2  # docs/sources/serving.md says so


def test_json_cannot_write_messages_even_without_a_length() -> None:
    event = cloud_event(data={"instances": [FORGED.decode()]})
    assert len(bodies(message(event, length=False))) == 1


def test_line_feeds_alone_end_lines_too() -> None:
    assert bodies(b"POST / HTTP/1.1\nCe-Id: 1\n\nabc\nPOST /x HTTP/1.1\nCe-Id: 2\n\n") == [b"abc", b""]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcdef", "no message follows"),
        (b"POST / HTTP/1.1\r\nContent-Length: 3x\r\n\r\nabc", "whole number"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999\r\n\r\nabc", "cut off"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\nabc", "whole number"),
        (b"POST / HTTP/1.1\r\nno colon here\r\n\r\nabc", "not a name"),
        (b"POST / HTTP/1.1\r\n" + b"a: b\r\n" * (MAX_HEADERS + 2) + b"\r\n", "too many headers"),
        (b"POST / HTTP/1.1\r\na: " + b"b" * 300_000 + b"\r\n\r\n", "too long"),
        (b"garbage\nmore of it", "no HTTP message"),
        (b"\xff\xfe\xfd", "no HTTP message"),
    ],
)
def test_a_bad_message_hides_no_other(bad: bytes, reason: str) -> None:
    good = message(cloud_event())
    first, second, third = split_http(good + b"\n" + bad + b"\n" + good)
    assert isinstance(second[1], str)
    assert reason in second[1]
    assert isinstance(first[1], HttpMessage)
    assert first[1] == third[1]


def test_a_message_that_is_cut_off_at_the_end_is_named() -> None:
    whole = message(cloud_event())
    assert bodies(whole[:-1]) == ["content-length: the message is cut off"]
    assert len(bodies(whole + whole[:40])) == 2


def test_lines_of_json_among_them_are_kept() -> None:
    found = list(split_http(b'{"a": 1}\n' + message(cloud_event()) + b'\n{"b": 2}\n{"c": 3}'))
    assert [part.start for _, part, _ in found if isinstance(part, HttpMessage)] == ["", "POST / HTTP/1.1", "", ""]
    assert [line for line, _, _ in found] == sorted(line for line, _, _ in found)


def test_headers() -> None:
    (_, found, _), *_ = split_http(b"POST / HTTP/1.1\r\nA: 1\r\nA: 2\r\n folded\r\nB:  x \r\n\ty\r\n\r\n")
    assert isinstance(found, HttpMessage)
    assert found.headers == {
        "a": "1",
        "b": "x y",
    }  # of two the first counts, and what is folded after the second is its


def test_what_a_file_of_messages_starts_with() -> None:
    assert is_http(["", "POST / HTTP/1.1\r", "Ce-Id: 1"])
    assert is_http(["HTTP/1.1 200 OK"])
    assert not is_http(['{"specversion": "1.0"}'])
    assert not is_http(["POST / HTTP", "x"])
    assert not is_http([])


PIECES = st.sampled_from(
    [b"POST / HTTP/1.1", b"\r\n", b"\n", b"A: b", b"Content-Length: 2", b"{", b"}", b"ab", b"\x00", b" ", b"\xff"]
)


@settings(max_examples=200)
@given(st.lists(PIECES, max_size=25).map(b"".join) | st.binary(max_size=60))
def test_any_bytes_are_taken_apart_in_order(data: bytes) -> None:
    found = list(split_http(data))
    assert sum(len(raw) for _, _, raw in found) <= len(data)
    assert b"".join(raw for _, _, raw in found).translate(None, b" \t\r\n\x00\x0b\x0c") == data.translate(
        None, b" \t\r\n\x00\x0b\x0c"
    )
    assert all(one <= other for (one, _, _), (other, _, _) in pairwise(found))
    assert all(raw for _, _, raw in found)


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("size", [20_000, 300_000, 1_000_000])
def test_pieces_come_to_the_same(length: bool, size: int) -> None:
    small = message(cloud_event(), length=length) + b"\n"
    large = message(cloud_event(data={"instances": [[0.5] * 60_000]}), length=length) + b"\n"
    data = (small * 3 + large + b"garbage\n" + small) * 3 + small[:60]
    assert list(split_stream(in_pieces(data, size))) == list(split_http(data))


@pytest.mark.parametrize("length", [True, False])
def test_a_message_that_is_too_long_hides_no_other(length: bool) -> None:
    good = message(cloud_event()) + b"\n"
    long = message(
        cloud_event(data=(b"x" * 99 + b"\n") * (MAX_MESSAGE // 90), datacontenttype="text/plain"), length=length
    )
    data = good + long + b"\n" + good
    for pieces in ([data], in_pieces(data, 1 << 20)):
        found = list(split_stream(pieces))
        assert [type(part) for _, part, _ in found] == [HttpMessage, str, HttpMessage]
        assert found[1][1] == "longer than 10 MiB"
        assert found[2][0] == data.count(b"\n", 0, len(data) - len(good)) + 1


@settings(max_examples=100)
@given(st.lists(PIECES, max_size=25).map(b"".join), st.integers(1, 9))
def test_any_bytes_in_any_pieces(data: bytes, size: int) -> None:
    assert list(split_stream(in_pieces(data, size))) == list(split_http(data))
