"""HTTP messages that a receiver wrote to a file one after the other (RFC 9112), taken apart again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Found", "HttpMessage", "is_http", "split_http", "split_stream"]

MAX_HEADERS = 256
MAX_HEAD = 256 * 1024  # bytes of the headers
MAX_MESSAGE = 10 * 1024 * 1024  # bytes of a message, as of a line elsewhere

_LONGEST_START = 9 * 1024  # bytes of a start line
_MARGIN = MAX_HEAD + _LONGEST_START  # what follows a message has to be in sight, up to the end of its head
_CUT_OFF = "content-length: the message is cut off"
_TOO_LONG = f"longer than {MAX_MESSAGE // 2**20} MiB"

_VERSION = rb"HTTP/[0-9](?:\.[0-9])?"
_START = re.compile(
    rb"(?:[A-Z]{3,16} [^\s]{1,8192} " + _VERSION + rb"|" + _VERSION + rb" [0-9]{3}(?: [^\r\n]{0,256})?)\r?(?=\n|\Z)"
)
_NEXT = re.compile(rb"^" + _START.pattern, re.MULTILINE)
_BLANKS = re.compile(rb"[ \t\r\n\x00]*")
_HEADER = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}):[ \t]*(.*)", re.DOTALL
)  # field-name of RFC 9110, section 5.1
_LENGTH = re.compile(r"[0-9]{1,12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class HttpMessage:
    """One message: its start line, its headers by lower-case name (the first of several counts), its body.

    ``start`` is empty for a line that is no message but JSON: ``body`` is that line.
    """

    start: str
    headers: Mapping[str, str]
    body: bytes


def is_http(first_lines: Sequence[str]) -> bool:
    """Whether a file starts with an HTTP message, and so has to be split; otherwise its records are lines."""
    first = next((line for line in first_lines if line.strip()), "")
    return _START.fullmatch(first.strip("\r\n").encode("utf-8", "replace")) is not None


Found = tuple[int, HttpMessage | str, bytes]
"""The line where a message starts (1-based), the message or why it is none, and its bytes."""


def split_http(data: bytes) -> Iterator[Found]:
    """The messages of a file that is in memory; see :func:`split_stream`."""
    return split_stream((data,))


def split_stream(chunks: Iterable[bytes]) -> Iterator[Found]:
    """Yield each message of a file that comes in pieces. Never raises; holds one message and one piece in memory.

    A body ends where ``Content-Length`` says, and that has to be where a line, a message or the file ends. Without
    that header it ends before the next start line: a JSON body cannot hold one (a line break within its texts is
    escaped), but whoever sends any other body can then write messages of his own into the file.
    Bytes that belong to no message are one record with a reason, and so is a message of more than ``MAX_MESSAGE``. The
    bytes of all other records together are those of the file without the blanks between them.
    """
    splitter = _Splitter()
    pending: bytes | None = None
    for chunk in chunks:
        if pending is not None:
            yield from splitter.feed(pending, last=False)
        pending = chunk
    if pending is not None:
        yield from splitter.feed(pending, last=True)


class _Splitter:
    """What has come and is not yet told apart: ``_buffer``, which starts on line ``_line``; ``_skip`` bytes to drop."""

    def __init__(self) -> None:
        self._buffer = b""
        self._line = 1
        self._skip = 0
        self._lost = False  # in the middle of a message without an end, up to the next start line

    def feed(self, chunk: bytes, *, last: bool) -> Iterator[Found]:
        data = self._buffer + chunk
        position = self._resume(data)
        counted = 0
        while (position := _skip(data, position)) < len(data):
            message, end = _one(data, position)
            unsure = not last and (message == _CUT_OFF or len(data) - _MARGIN < end <= len(data))
            if unsure and len(data) - position <= MAX_MESSAGE + _MARGIN:
                break  # what is still to come may belong to it
            if unsure:
                message, end, self._lost = _TOO_LONG, len(data), True
            self._line += data.count(b"\n", counted, position)
            counted = position
            yield self._line, message, data[position:end].rstrip(b" \t\r\n\x00")
            self._skip = max(0, end - len(data))
            position = min(end, len(data))
        self._keep(data, counted, position)

    def _resume(self, data: bytes) -> int:
        """Where to go on in ``data``, after what is to be passed over."""
        if self._skip:
            position = min(self._skip, len(data))
            self._skip -= position
            return position
        if self._lost:
            found = _NEXT.search(data)
            self._lost = found is None
            return found.start() if found else len(data)
        return 0

    def _keep(self, data: bytes, counted: int, position: int) -> None:
        if self._lost:  # a start line may be cut in two
            position = max(counted, len(data) - _LONGEST_START)
        self._line += data.count(b"\n", counted, position)
        self._buffer = data[position:]


def _skip(data: bytes, position: int) -> int:
    match = _BLANKS.match(data, position)
    return match.end() if match else position


def _following(data: bytes, position: int) -> int:
    """Where the next start line is, from ``position`` on, or the end."""
    match = _NEXT.search(data, position)
    return match.start() if match else len(data)


def _one(data: bytes, position: int) -> tuple[HttpMessage | str, int]:
    start = _START.match(data, position)
    if start is None:
        return _no_message(data, position)
    head = _head(data, start.end())
    if isinstance(head, str):
        return head, _following(data, start.end())
    headers, position = head
    body, end = _body(data, position, headers.get("content-length"))
    if isinstance(body, str):
        return body, end
    return HttpMessage(start[0].decode("latin-1").strip(), headers, body), end


def _body(data: bytes, position: int, length: str | None) -> tuple[bytes | str, int]:
    """The body that starts at ``position``, or why there is none; and where to go on."""
    if length is None:
        end = _following(data, position)
        return data[position:end].rstrip(b"\r\n") if end - position <= MAX_MESSAGE else _TOO_LONG, end
    if not _LENGTH.fullmatch(length):
        return "content-length: must be a whole number", _following(data, position)
    end = position + int(length)
    if int(length) > MAX_MESSAGE:
        return _TOO_LONG, end
    if end > len(data):
        return _CUT_OFF, _following(data, position)
    if not _is_boundary(data, end):
        return "content-length: no message follows where the body should end", _following(data, position)
    return data[position:end], end


def _is_boundary(data: bytes, position: int) -> bool:
    if data[position : position + 1] in (b"\r", b"\n"):  # whatever the next line is, it is no part of this body
        return True
    after = _skip(data, position)
    return after == len(data) or data[after : after + 1] == b"{" or _START.match(data, after) is not None


def _no_message(data: bytes, position: int) -> tuple[HttpMessage | str, int]:
    end = data.find(b"\n", position)
    end = len(data) if end < 0 else end
    if data[position : position + 1] == b"{":
        return HttpMessage("", {}, data[position:end]), end
    return "no HTTP message starts here", _following(data, position)


def _head(data: bytes, position: int) -> tuple[dict[str, str], int] | str:
    """The headers after a start line, and where the body starts; or what is wrong with them."""
    headers: dict[str, str] = {}
    last = ""
    limit = position + MAX_HEAD
    position = min(position + 1, len(data))
    for _ in range(MAX_HEADERS + 1):
        end = data.find(b"\n", position, limit)
        if end < 0 and len(data) >= limit:
            return "its headers are too long"
        end = len(data) if end < 0 else end
        field = data[position:end].rstrip(b"\r")
        position = min(end + 1, len(data))
        if not field:
            return headers, position
        if field[:1] in (b" ", b"\t") and headers:  # obs-fold, RFC 9112, section 5.2
            if last:
                headers[last] += " " + field.strip().decode("utf-8", "replace")
            continue
        match = _HEADER.fullmatch(field)
        if match is None:
            return "a header is not a name, a colon and a value"
        last = match[1].decode("latin-1").lower()
        if last in headers:
            last = ""
        else:
            headers[last] = match[2].decode("utf-8", "replace").strip()
    return "it has too many headers"
