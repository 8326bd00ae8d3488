"""Chunks: the same bytes are cut at the same places, nothing is lost between them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threatmatrix.telemetry.columnar import chunks
from threatmatrix.telemetry.columnar.chunks import cut, for_reading

TEXT = st.lists(
    st.sampled_from([b"\n", b"a", b"bcd\n", b"\x00", b"\x00\x00\n", b"e" * 30, b"f\n" * 9]), max_size=60
).map(b"".join)


@settings(max_examples=50, deadline=None)
@given(data=TEXT, size=st.integers(1, 80), pieces=st.integers(1, 50))
def test_the_pieces_do_not_matter(data: bytes, size: int, pieces: int) -> None:
    whole = list(cut([data] if data else [], size=size))
    assert list(cut((data[at : at + pieces] for at in range(0, len(data), pieces)), size=size)) == whole
    assert b"".join(chunk.data for chunk in whole).replace(b"\x00", b"") == data.replace(b"\x00", b"")
    assert [chunk.start for chunk in whole[1:]] == [chunk.end for chunk in whole[:-1]]
    assert (whole[-1].end if whole else 0) == len(data)
    lines = data.count(b"\n") + (not data.endswith(b"\n") and data.rpartition(b"\n")[2].strip(b"\x00") != b"")
    assert sum(chunk.lines for chunk in whole) in (lines, lines + 1)  # padding at the end may be a line of its own
    assert all(chunk.data.endswith(b"\n") for chunk in whole[:-1])


@settings(max_examples=40, deadline=None)
@given(data=TEXT, size=st.integers(1, 80), at=st.integers(0, 5))
def test_reading_on_gives_the_chunks_of_the_first_reading(data: bytes, size: int, at: int) -> None:
    whole = list(cut([data], size=size)) if data else []
    ends = [chunk.end for chunk in whole]
    for chunk in whole[at : at + 1]:
        more = data + b"more\n"  # it has grown since
        again = list(cut([more[chunk.start :]], start=chunk.start, line=chunk.first, cuts=ends, size=size))
        assert again[: len(whole) - at] == whole[at:]


def test_of_an_endless_line_only_the_start_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "MAX_LINE", 1000)
    data = b"a\n" + b"x" * 3_000_000 + b"\nb\n"
    found = list(cut((data[at : at + 999] for at in range(0, len(data), 999)), size=2000))
    assert b"".join(chunk.data for chunk in found).count(b"\n") == 3
    assert sum(len(chunk.data) for chunk in found) < 600_000
    assert found[-1].end == len(data)
    assert found[-1].first + found[-1].lines == 4


def test_padding_does_not_make_a_line_too_long() -> None:
    data = b"a\n" + b"\x00" * 2_000_000 + b"b\n"
    (chunk,) = cut([data], size=1_000_000)
    assert (chunk.data, chunk.lines, chunk.end) == (b"a\nb\n", 2, len(data))


def test_bytes_that_mean_something_to_the_line_reader_go() -> None:
    assert for_reading(b"\xef\xbb\xbfa\r\nb\rc\x00\x02\n\xff\n") == b"\x01\xef\xbb\xbfa\nb\x01c\x01\x01\n\xef\xbf\xbd\n"
    plain = b'{"a": "\xc3\xa9"}\n'
    assert for_reading(plain) == plain
