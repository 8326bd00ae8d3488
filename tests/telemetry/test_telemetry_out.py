"""What leaves as syslog, CEF and OCSF: whatever a value holds, a receiver reads the fields that were meant."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threatmatrix.model.detection import Finding, PrincipalShare, Severity
from threatmatrix.model.errors import InputError
from threatmatrix.model.event import CATEGORIES, EVENT_COLUMNS, Event
from threatmatrix.model.response import ChainStep, Incident
from threatmatrix.telemetry.out import event_to_ocsf, framed, in_syslog, send, to_cef, to_syslog
from threatmatrix.telemetry.readers import Where, get_reader

AT = 1_767_225_600_123_456  # 2026-01-01T00:00:00.123456Z
NASTY = st.one_of(
    st.text(max_size=40),
    st.text(alphabet='\n\r\t\0\x1b|=\\"[]<> \ufeff\u2028\x85a1', max_size=30),
    st.sampled_from(["", "=", "a=b c=d", "x|y", '"] evil="1', "\\", "\\\\n", "é" * 40_000, "|" * 65_536, "5 <34>1"]),
)
WORDS = st.none() | NASTY


def make_event(**changes: Any) -> Event:
    fields: dict[str, Any] = {"event_id": "e-1", "time": AT, "source": "gateway", "category": "inference", **changes}
    return Event(**fields)


def make_finding(**changes: Any) -> Finding:
    fields: dict[str, Any] = {
        "finding_id": "f-1",
        "detector": "rule:abc",
        "title": "Burst",
        "technique": "online-evasion",
        "severity": Severity.high,
        "confidence": 0.8,
        "explanation": "One client asks very often.",
        "event_ids": ("e1",),
        "event_count": 9,
        "first_time": AT - 60_000_000,
        "last_time": AT,
        "alarm_event": "e1",
        "principals": (PrincipalShare("acct-1", 9, 1.0),),
        "system": "sorting",
    }
    return Finding(**{**fields, **changes})


def make_incident(**changes: Any) -> Incident:
    fields: dict[str, Any] = {
        "incident_id": "i-1",
        "title": "Evasion",
        "severity": Severity.critical,
        "status": "open",
        "system": "sorting",
        "model": None,
        "first_time": AT - 60_000_000,
        "last_time": AT,
        "chain": (ChainStep("model-discovery", 1, 2, ("f-0",), 3),),
        "principals": (PrincipalShare("acct-1", 9, 1.0),),
        "finding_ids": ("f-0",),
    }
    return Incident(**{**fields, **changes})


ITEMS = st.one_of(
    st.builds(
        make_event,
        event_id=NASTY,
        category=st.sampled_from(CATEGORIES),
        time=st.integers(-(10**18), 10**18),
        principal=WORDS,
        src_ip=WORDS | st.sampled_from(["10.0.0.1", "2001:db8::1", "fe80::1%eth0"]),
        user_agent=WORDS,
        endpoint=WORDS,
        host=WORDS,
        operation=WORDS,
        object=WORDS,
        method=WORDS,
    ),
    st.builds(
        make_finding,
        title=NASTY,
        explanation=NASTY,
        detector=NASTY,
        system=WORDS,
        principals=NASTY.map(lambda name: (PrincipalShare(name, 1, 1.0),)),
    ),
    st.builds(make_incident, title=NASTY, model=WORDS),
)


FOUND = ("id", "count", "system", "model", "first", "last", "principal", "principals")


class Reader:
    """A few lines of RFC 5424's grammar, written from the standard."""

    HEADER = re.compile(
        r"<(?P<pri>\d{1,3})>1 (?P<time>\S+) (?P<host>[\x21-\x7e]{1,255}) "
        r"(?P<app>[\x21-\x7e]{1,48}) (?P<proc>[\x21-\x7e]{1,128}) (?P<msg>[\x21-\x7e]{1,32}) "
    )

    def __init__(self, text: str) -> None:
        found = self.HEADER.match(text)
        assert found, text[:200]
        self.header = found.groupdict()
        rest = text[found.end() :]
        self.data: dict[str, str] = {}
        if rest.startswith("["):
            rest = self._data(rest)
        else:
            assert rest.startswith("-")
            rest = rest[1:]
        assert rest == "" or rest[0] == " "
        self.text = rest[1:]

    def _data(self, text: str) -> str:
        at = text.index(" ") if " " in text[: text.index("]") + 1] else text.index("]")
        self.name = text[1:at]
        while text[at] == " ":
            end = text.index('="', at)
            key, at, value = text[at + 1 : end], end + 2, ""
            while text[at] != '"':
                assert text[at] != "]", "an unescaped ] in a value"
                if text[at] == "\\" and text[at + 1] in '"\\]':
                    at += 1
                value += text[at]
                at += 1
            at += 1
            assert re.fullmatch(r"[^\s=\]\"]{1,32}", key)
            self.data[key] = value
        assert text[at] == "]"
        return text[at + 1 :]


def read_cef(line: str) -> tuple[list[str], dict[str, str]]:
    """Header and extension, by the rules of the standard: escapes first, then the next `` key=``."""
    fields, current, at = [], "", 0
    while len(fields) < 7:
        if line[at] == "\\":
            assert line[at + 1] in "\\|"
            current += line[at + 1]
            at += 2
        elif line[at] == "|":
            fields.append(current)
            current, at = "", at + 1
        else:
            current += line[at]
            at += 1
    extension: dict[str, str] = {}
    pieces = re.split(r"(?:^|(?<= ))(\w+)(?<!\\)=", line[at:])
    for key, value in zip(pieces[1::2], pieces[2::2], strict=True):
        value = value.removesuffix(" ") if value is not pieces[-1] else value  # noqa: PLW2901
        assert not re.search(r"(?<!\\)(?:\\\\)*=", value)
        extension[key] = re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), value)
    return fields, extension


def one_line(text: str) -> bool:
    """Nothing that a terminal, a log file or Unicode takes for the end of a line."""
    return not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]", text)


@settings(max_examples=40)
@given(ITEMS)
def test_no_value_breaks_a_syslog_message(item: Any) -> None:
    text = to_syslog(item, host="collector 1\n")
    assert one_line(text)
    assert len(text.encode()) <= 8192
    message = Reader(text)
    assert message.header["host"] == "collector?1?"
    assert message.header["app"] == "threatmatrix"
    assert message.name == "threatmatrix@32473"
    assert set(message.data) <= SAID[type(item)]
    raw = framed(text)
    length, _, rest = raw.partition(b" ")
    assert int(length) == len(rest)


SAID = {
    Event: {"id", *EVENT_COLUMNS} - {"event_id", "time", "rows", "input_raw", "input_vec"},
    Finding: set(FOUND) | {"technique", "detector", "confidence"},
    Incident: set(FOUND) | {"techniques", "status"},
}


@settings(max_examples=40)
@given(ITEMS)
def test_no_value_breaks_a_cef_line(item: Any) -> None:
    line = to_cef(item)
    assert one_line(line)
    assert len(line.encode()) <= 8192
    header, extension = read_cef(line)
    assert header[:3] == ["CEF:0", "threatmatrix", "threatmatrix"]
    assert 0 <= int(header[6]) <= 10
    allowed = "rt start end src c6a2 c6a2Label suser dhost request requestMethod requestClientApplication outcome act"
    assert set(extension) <= {*allowed.split(), "cnt", "in", "fname", "externalId", "msg"} | {
        name for n in range(1, 7) for name in (f"cs{n}", f"cs{n}Label")
    }
    wrapped = Reader(in_syslog(line, item))
    assert wrapped.text == line


@settings(max_examples=25)
@given(ITEMS.filter(lambda item: isinstance(item, Event)))
def test_an_event_in_ocsf_has_what_its_class_requires(event: Event) -> None:
    out = event_to_ocsf(event)
    assert json.loads(json.dumps(out)) == out
    base = {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid", "status_id"}
    required = {
        3002: {"user", "service"},
        4002: {"http_request", "src_endpoint", "dst_endpoint"},
        6003: {"actor", "api", "src_endpoint"},
        6005: {"actor", "src_endpoint", "databucket"},
    }
    assert base | required[out["class_uid"]] <= set(out)
    assert out["type_uid"] == out["class_uid"] * 100 + out["activity_id"]
    assert out["category_uid"] == out["class_uid"] // 1000
    assert ("ai_operation" in out["metadata"].get("profiles", [])) == ("ai_model" in out)


def test_fields_stand_where_a_receiver_looks_for_them() -> None:
    event = make_event(
        principal="acct-1", src_ip="192.0.2.7", endpoint="/v2/models/m/infer", user_agent="curl/8", decision="deny"
    )
    header, extension = read_cef(to_cef(event))
    assert header[4:] == ["inference", "inference: other", "1"]
    assert extension["src"] == "192.0.2.7"
    assert extension["suser"] == "acct-1"
    assert extension["request"] == "/v2/models/m/infer"
    assert extension["requestClientApplication"] == "curl/8"
    assert extension["act"] == "deny"
    assert extension["rt"] == "1767225600123"
    assert (extension["cs6Label"], extension["cs6"]) == ("event_id", "e-1")
    header, extension = read_cef(to_cef(make_finding(explanation="two\nlines = a|b\\c")))
    assert header[4:] == ["rule:abc", "Burst", "8"]
    assert extension["msg"] == "two\nlines = a|b\\c"
    assert read_cef(to_cef(make_event(src_ip="2001:db8::1")))[1]["c6a2"] == "2001:db8::1"
    message = Reader(to_syslog(make_finding(title='a "quoted] title')))
    assert message.header == {
        "pri": "131",  # local0.err
        "time": "2026-01-01T00:00:00.123456Z",
        "host": "-",
        "app": "threatmatrix",
        "proc": "-",
        "msg": "finding",
    }
    assert message.data["principal"] == "acct-1"
    assert message.text == "One client asks very often."


def test_inputs_never_leave() -> None:
    event = make_event(input_raw="my secret prompt", input_vec=b"secret-vec", principal="a")
    told = to_syslog(event) + to_cef(event) + json.dumps(event_to_ocsf(event))
    assert "secret" not in told


@pytest.mark.parametrize(
    ("changes", "uid", "activity"),
    [
        ({"category": "inference", "operation": "chat"}, 6003, (99, "chat")),
        ({"category": "model_access", "operation": "metadata"}, 6003, (2, "Read")),
        ({"category": "model_registry", "operation": "SetAlias"}, 6003, (3, "Update")),
        ({"category": "authentication", "operation": "ConsoleLogin"}, 3002, (1, "Logon")),
        ({"category": "authentication", "operation": "logout"}, 3002, (2, "Logoff")),
        ({"category": "http", "method": "get"}, 4002, (3, "Get")),
        ({"category": "http"}, 4002, (0, "Unknown")),
        ({"category": "artifact_access", "operation": "download", "object": "a/b.bin"}, 6005, (1, "Read")),
    ],
)
def test_ocsf_class_and_activity(changes: dict[str, Any], uid: int, activity: tuple[int, str]) -> None:
    out = event_to_ocsf(make_event(**changes))
    assert (out["class_uid"], (out["activity_id"], out["activity_name"])) == (uid, activity)


@pytest.mark.parametrize("category", ["inference", "authentication", "http", "artifact_access"])
def test_our_own_reader_reads_what_leaves_as_ocsf(category: str) -> None:
    event = make_event(
        category=category,
        principal="acct-1",
        src_ip="192.0.2.7",
        host="models.example.org",
        session="s-1",
        model="m" if category == "inference" else None,
        object="bucket/model.bin" if category == "artifact_access" else None,
        user_agent="curl/8",
        endpoint="/somewhere",
        status=200,
    )
    (back,) = get_reader("ocsf").parse(json.loads(json.dumps(event_to_ocsf(event))), Where())
    for name in ("category", "principal", "src_ip", "model", "status"):
        if name != "principal" or category != "http":  # HTTP Activity has no actor
            assert getattr(back, name) == getattr(event, name), name
    assert back.time == event.time // 1000 * 1000


def received(kind: socket.SocketKind, work: Callable[[int], object]) -> bytes:
    """What a socket of our own gets while ``work(port)`` runs."""
    got = bytearray()
    with socket.socket(socket.AF_INET, kind) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        if kind is socket.SOCK_STREAM:
            server.listen()

        def take() -> None:
            if kind is socket.SOCK_DGRAM:
                got.extend(b"".join(server.recv(65536) + b"\0" for _ in range(2)))
                return
            connection, _ = server.accept()
            with connection:
                while block := connection.recv(4096):
                    got.extend(block)

        thread = threading.Thread(target=take)
        thread.start()
        work(server.getsockname()[1])
        thread.join()
    return bytes(got)


def test_sending_over_udp_tcp_and_into_a_file(tmp_path: Path) -> None:
    messages = [to_syslog(make_finding()), to_syslog(make_event(principal="a\nb"))]
    assert received(socket.SOCK_DGRAM, lambda port: send(messages, f"udp://127.0.0.1:{port}")) == b"".join(
        message.encode() + b"\0" for message in messages
    )
    stream = received(socket.SOCK_STREAM, lambda port: send(messages, f"tcp://127.0.0.1:{port}"))
    assert stream == b"".join(map(framed, messages))
    assert send(messages, str(tmp_path / "out.log")) == 2
    assert (tmp_path / "out.log").read_text("utf-8").splitlines() == messages


def test_places_that_cannot_be_sent_to_are_named(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    for to, needle in [
        (closed, "0 were sent"),
        ("http://127.0.0.1:1", "no place"),
        ("udp://127.0.0.1", "not a host and a port"),
        ("tcp://h:99999", "not a host and a port"),
        (str(tmp_path), "directory"),
    ]:
        with pytest.raises(InputError, match=needle):
            send(["x"], to)
    with pytest.raises(InputError, match="octets; 1 were sent"):
        send(["x", "y" * 70_000], "udp://127.0.0.1:9")


@pytest.mark.skipif(shutil.which("rsyslogd") is None, reason="needs rsyslogd")
def test_rsyslog_reads_every_message(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    out = tmp_path / "got.log"
    template = "%structured-data%\\t%app-name%\\t%msgid%\\t%msg%\\n"
    (tmp_path / "rsyslog.conf").write_text(
        f'global(workDirectory="{tmp_path}")\n'
        'module(load="imtcp")\n'
        f'template(name="t" type="string" string="{template}")\n'
        f'ruleset(name="r") {{ action(type="omfile" file="{out}" template="t") }}\n'
        f'input(type="imtcp" port="{port}" address="127.0.0.1" ruleset="r" SupportOctetCountedFraming="on")\n'
    )
    nasty = 'a\nb "q" ] x=1 | \\ ' + "é" * 20
    messages = [to_syslog(make_finding(explanation=nasty, system=nasty)), to_syslog(make_event(user_agent=nasty))]
    command = ["rsyslogd", "-n", "-f", str(tmp_path / "rsyslog.conf"), "-i", str(tmp_path / "pid"), "-C"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while True:
            try:
                send(messages, f"tcp://127.0.0.1:{port}")
                break
            except InputError:
                assert time.monotonic() < until
                time.sleep(0.05)
        while not out.exists() or out.read_bytes().count(b"\n") < len(messages):
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        server.terminate()
        server.wait()
    for line, message in zip(out.read_text("utf-8").splitlines(), messages, strict=True):
        data, app, kind, text = line.split("\t")
        ours = Reader(message)
        assert data in message
        assert (app, kind, text.strip()) == ("threatmatrix", ours.header["msg"], ours.text)
