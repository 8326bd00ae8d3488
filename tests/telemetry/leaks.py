"""Canaries: texts and numbers that occur once, planted in logs where secrets stand, and a search for them on disk."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import random
import sqlite3
import string
import struct
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import numpy as np
from tests.telemetry.log_records import EVERY, as_log

from threatmatrix.telemetry.following.content import zstd
from threatmatrix.telemetry.messages import HttpMessage

INPUT_TEXTS = {"content", "text", "prompt", "inputText", "input", "arguments"}
INPUT_BODIES = {"data", "instances", "request_payload", "features"}
ANSWERS = {"outputs", "response", "response_payload", "endpointOutput", "predictions", "output"}  # labels are kept
AGENTS = {"ua", "user_agent", "userAgent", "user-agent", "User-Agent", "http_user_agent"}
PATHS = {"uri", "path", "url", "request_uri", "url.path", "url.full", "url_string"}
HEADERS = {"headers", "metadata"}


class Canaries:
    """Makes them; each is told apart by the source and by what it stands for."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = random.Random(f"canaries {seed}")
        self.texts: dict[str, str] = {}  # canary → source and kind
        self.numbers: dict[float, str] = {}

    def text(self, source: str, kind: str) -> str:
        made = "Cn" + "".join(self._rng.choices(string.ascii_letters + string.digits, k=18))
        self.texts[made] = f"{source}: {kind}"
        return made

    def number(self, source: str, kind: str) -> float:
        made = round(self._rng.random() * 0.9 + 0.05, 12)
        self.numbers[made] = f"{source}: {kind}"
        return made

    def forms(self) -> Iterator[tuple[bytes, str]]:
        """What a leak may look like: plain, base64 at any offset, hex, URL-encoded, UTF-16; hashes without a key."""
        for canary, where in self.texts.items():
            raw = canary.encode()
            yield from ((form, where) for form in _forms(raw))
            yield from ((hashlib.new(name, raw).hexdigest().encode(), where) for name in ("md5", "sha1", "sha256"))
            yield hashlib.blake2b(raw, digest_size=16).hexdigest().encode(), where
        for number, where in self.numbers.items():
            yield repr(number).removeprefix("0.").encode()[:9], where
            for form in ("<d", ">d"):
                yield struct.pack(form, number), where
                yield struct.pack(form, number).hex().encode(), where


def _forms(raw: bytes) -> set[bytes]:
    found = {raw, raw.hex().encode(), raw.hex().upper().encode(), raw.decode().encode("utf-16-le"), raw[::-1]}
    found.add(quote(raw.decode()).encode())
    found.add("".join(f"%{byte:02X}" for byte in raw).encode())
    for offset in range(3):
        # what is left of the canary whatever stands before and behind it
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(encode(b"\0" * offset + raw)[(0, 2, 3)[offset] :].rstrip(b"=")[:-1])
    return found


class Planter:
    """Puts canaries of one source into its records."""

    def __init__(self, canaries: Canaries, source: str) -> None:
        self._new = canaries
        self._source = source

    def plant(self, record: Any) -> Any:
        """The same record with canaries, as far as its form has places for them."""
        if isinstance(record, HttpMessage):
            headers = {**record.headers, **self._headers()}
            return HttpMessage(
                record.start.replace("POST /", f"POST /?token={self._text('query')}", 1),
                headers,
                self._body(record.body),
            )
        if isinstance(record, str):
            return self._line(record)
        answer = str(record.get("type", "")).endswith("response")
        planted = dict(record) if answer else self._walk(record, "")
        return {**planted, **self._unknown()}

    def _text(self, kind: str) -> str:
        return self._new.text(self._source, kind)

    def _line(self, line: str) -> str:
        if line.startswith("{"):
            return json.dumps(self.plant(json.loads(line)))
        line = line.replace("path=", f"token={self._text('query')}&path=", 1)
        line = (
            line.replace("/artifacts/1/", f"/artifacts/1/?password={self._text('query')}&", 1)
            if "?" not in line
            else line
        )
        return line.replace("COMMAND=/usr/bin/id", f"COMMAND=/usr/bin/login --password={self._text('command line')}")

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self._text('bearer token')}",
            "Cookie": f"session={self._text('cookie')}",
            "X-Api-Key": f"sk-{self._text('API key')}",
            "X-Unheard-Of": self._text("unknown header"),
        }

    def _unknown(self) -> dict[str, Any]:
        return {
            "password": self._text("password"),
            "authorization": f"Bearer {self._text('bearer token')}",
            "cookie": f"session={self._text('cookie')}",
            "api_key": f"sk-{self._text('API key')}",
            "unheard_of": {"deep": [self._text("unknown key")]},
        }

    def _body(self, body: bytes) -> bytes:
        return json.dumps(self._walk(json.loads(body), "")).encode()

    def _walk(self, value: Any, key: str) -> Any:
        if key in ANSWERS:
            return value
        if key in INPUT_BODIES and not isinstance(value, dict):
            return self._values(value)
        if isinstance(value, dict):
            found = {name: self._walk(part, name) for name, part in value.items()}
            return {**found, **self._headers()} if key in HEADERS and self._source != "litellm" else found
        if isinstance(value, list):
            return [self._walk(part, key) for part in value]
        return self._leaf(value, key) if isinstance(value, str) else value

    def _leaf(self, value: str, key: str) -> str:
        if key in INPUT_TEXTS:
            return f"my secret is {self._text('prompt')}, keep it to yourself and tell nobody about it at all"
        if key in AGENTS:
            return f"{value} Bearer sk-{self._text('token in the user agent')}"
        if key in PATHS:
            return f"{value}{'&' if '?' in value else '?'}access_token={self._text('query string')}"
        if key in {"body", "metadata"} and value.startswith("{"):
            return json.dumps(self._walk(json.loads(value), key))
        return value

    def _values(self, value: Any) -> Any:
        """Rows of numbers and texts, number for number."""
        if isinstance(value, list):
            return [self._values(part) for part in value]
        if isinstance(value, dict):
            return {name: self._values(part) for name, part in value.items()}
        if isinstance(value, float):
            return self._new.number(self._source, "number of an input")
        return self._cells(value) if isinstance(value, str) else value

    def _cells(self, value: str) -> str:
        """A text that holds values: JSON, CSV, or one."""
        if value.startswith(("[", "{")):
            return json.dumps(self._values(json.loads(value)))
        if not value[:1].isdigit():
            return self._text("text of an input")
        rows = [line.split(",") for line in value.split("\n")]
        return "\n".join(",".join(repr(self._new.number(self._source, "CSV")) for _ in row) for row in rows)


def broken(canaries: Canaries, source: str) -> list[bytes]:
    """Lines that no reader can take, each wrong in a way of its own, each with a canary."""

    def text(kind: str) -> str:
        return canaries.text(source, f"malformed: {kind}")

    record = next((each for each in EVERY[source] if isinstance(each, dict)), {"time": 1, "category": "inference"})
    wrong = [{**record, name: {"not": text("type")}} for name in list(record)[:12]]
    wrong += [{**record, name: text("value")} for name, value in record.items() if isinstance(value, int | float)]
    return [
        *(json.dumps(each).encode() for each in wrong),
        json.dumps({**record, "prompt": text("cut off")}).encode()[:-3],
        json.dumps(record).encode() + f" password={text('text behind')}".encode(),
        f"Authorization: Bearer {text('no JSON')}".encode(),
        f'{{"prompt": "{text("bad escape")}\\q"}}'.encode(),
        f'["{text("a list")}"]'.encode(),
        f'"{text("a text")}"'.encode(),
        f'{{"time": NaN, "prompt": "{text("NaN")}"}}'.encode(),
        b'{"prompt": "\xff\xfe ' + text("no UTF-8").encode() + b"\x00",
        b'{"a":' * 2000 + f'"{text("nested deeply")}"'.encode(),
    ]


def seeded_log(canaries: Canaries, source: str) -> bytes:
    """A log of the source: its records with canaries, then lines that are none."""
    planter = Planter(canaries, source)
    parts = [as_log(planter.plant(record)) for record in EVERY[source] if not isinstance(record, bytes)]
    end = b"\n"
    if source == "kserve":  # messages one after the other; malformed ones would hide where the next begins
        return end.join(parts) + end
    return end.join([*parts, *broken(canaries, source)]) + end


def leaked(canaries: Canaries, contents: Iterable[tuple[str, bytes]]) -> set[tuple[str, str]]:
    """(where it was found, source and kind) of every canary in ``contents``."""
    named = list(contents)
    forms = list(canaries.forms())
    beginnings = np.array([int.from_bytes(form[:8], "little") for form, _ in forms], np.uint64)
    found = set()
    for name, content in named:
        # the first eight bytes of all forms at once: thousands of searches would take ten times as long
        seen = np.unique(np.concatenate([_windows(content, offset) for offset in range(8)]))
        for at in np.flatnonzero(np.isin(beginnings, seen)).tolist():
            form, where = forms[at]
            if form in content:
                found.add((name, where))
    return found


def _windows(content: bytes, offset: int) -> np.ndarray:
    return np.frombuffer(content, "<u8", max(0, len(content) - offset) // 8, min(offset, len(content)))


def everything(folder: Path) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every file, and again as decoded: Parquet, npz, zstd frames, SQLite."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.stat().st_size:
            raw = path.read_bytes()
            yield str(path.relative_to(folder)), raw
            yield f"{path.relative_to(folder)} (decoded)", b"\n".join(_decoded(path, raw))


def _decoded(path: Path, raw: bytes) -> Iterator[bytes]:
    if raw.startswith(b"PAR1"):
        for row in _database().execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchall():
            for cell in row:
                yield cell if isinstance(cell, bytes) else str(cell).encode()
    elif raw.startswith(b"PK\x03\x04"):
        with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
            for name in arrays.files:
                yield arrays[name].tobytes()
    elif raw.startswith(b"SQLite format 3\0"):
        with closing(sqlite3.connect(path)) as con:
            yield "\n".join(con.iterdump()).encode()
    for start in _places(raw, b"\x28\xb5\x2f\xfd"):
        try:
            yield zstd.ZstdDecompressor().decompress(raw[start:])
        except zstd.ZstdError:
            continue


@cache
def _database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def _places(raw: bytes, mark: bytes) -> Iterator[int]:
    place = raw.find(mark)
    while place >= 0:
        yield place
        place = raw.find(mark, place + 1)
