"""Files at rest: what is read, what goes to the dead letters, and what is refused at the door."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from threatmatrix.model.errors import InputError, UnknownNameError, UsageError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.dead_letters import MAX_TEXT, DeadLetterFile
from threatmatrix.telemetry.logfile import LogFile
from threatmatrix.telemetry.reading import Progress, read_events
from threatmatrix.telemetry.records import MAX_LINE

Build = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


def everything(files: list[Any], source: str = "auto", letters: DeadLetterFile | None = None) -> list[Event]:
    return [event for batch in read_events(files, source, letters) for event in batch]


def ids(events: list[Event]) -> list[str]:
    return [event.event_id for event in events]


def letters_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_batches_and_progress_over_files_of_several_sources(record: Build, write_log: Write) -> None:
    logs = [
        write_log("a.jsonl", [record("gateway", event_id=f"a{n}") for n in range(7)]),
        write_log("b.jsonl", [record("nginx", request_id=f"b{n}") for n in range(4)]),
    ]
    seen: list[Progress] = []
    batches = list(read_events(logs, batch_size=5, on_progress=seen.append))
    assert [len(batch) for batch in batches] == [5, 5, 1]
    assert ids(list(chain.from_iterable(batches))) == [f"a{n}" for n in range(7)] + [f"nginx:b{n}" for n in range(4)]
    assert seen[-1].events == 11
    assert seen[-1].file == str(logs[1])
    assert seen[-1].bytes_read == seen[-1].bytes_total == logs[1].stat().st_size
    assert [step.events for step in seen] == sorted(step.events for step in seen)


def test_malformed_lines_become_dead_letters_and_stop_nothing(record: Build, write_log: Write, tmp_path: Path) -> None:
    good = record("gateway")
    log = write_log(
        "mixed.jsonl",
        [
            good,
            '{"time": 1, "categ',
            "",
            "[1]",
            {**good, "row": "x"},
            '{"time": NaN}',
            json.dumps(good) + " tail",
            good,
        ],
    )
    with DeadLetterFile(tmp_path / "out" / "dead.jsonl") as letters:
        events = everything([log], letters=letters)
    assert len(events) == 2
    kept = letters_in(tmp_path / "out" / "dead.jsonl")
    assert [letter["line"] for letter in kept] == [2, 4, 5, 6, 7]
    assert {letter["file"] for letter in kept} == {str(log)}
    assert kept[0]["text"] == '{"time": 1, "categ'
    assert kept[2]["reason"] == "row: must be an integer"
    assert "NaN" in kept[3]["reason"]
    assert letters.count == 5 == sum(letters.reasons.values())
    assert (tmp_path / "out" / "dead.jsonl").stat().st_mode & 0o077 == 0


def test_no_dead_letter_no_file(record: Build, write_log: Write, tmp_path: Path) -> None:
    with DeadLetterFile(tmp_path / "dead.jsonl") as letters:
        everything([write_log("good.jsonl", [record("gateway")])], letters=letters)
    assert letters.count == 0
    assert not (tmp_path / "dead.jsonl").exists()


def test_dead_letters_that_cannot_be_written_say_so(tmp_path: Path, write_log: Write, record: Build) -> None:
    (tmp_path / "file").write_text("x")
    letters = DeadLetterFile(tmp_path / "file" / "dead.jsonl")
    with pytest.raises(InputError, match="dead letters cannot be written"):
        everything([write_log("bad.jsonl", [record("gateway"), "{"])], letters=letters)


def test_overlong_line_is_one_dead_letter_cut_short(record: Build, write_log: Write, tmp_path: Path) -> None:
    huge = json.dumps({**record("gateway"), "user_agent": "x" * (MAX_LINE + 300_000)})
    log = write_log("huge.jsonl", [record("gateway", event_id="first"), huge, record("gateway", event_id="last")])
    with DeadLetterFile(tmp_path / "dead.jsonl") as letters:
        assert ids(everything([log], letters=letters)) == ["first", "last"]
    (letter,) = letters_in(tmp_path / "dead.jsonl")
    assert letter["line"] == 2
    assert "10 MiB" in letter["reason"]
    assert letter["text"] == huge[:MAX_TEXT]


def test_an_endless_line_does_not_fill_the_memory(write_log: Write) -> None:
    with LogFile(write_log("endless.jsonl", [b"x" * (2 * MAX_LINE), b"{}"])) as log:
        assert [len(line) for line in log.lines()] == [MAX_LINE + 1, 2]


def test_deep_nesting_and_endless_digits_are_dead_letters(record: Build, write_log: Write) -> None:
    letters = DeadLetterFile()
    log = write_log("deep.jsonl", [record("gateway"), '{"a":' + "[" * 200_000, '{"time": ' + "9" * 5000 + "}"])
    assert len(everything([log], letters=letters)) == 1
    assert letters.count == 2


def test_bytes_that_are_no_utf8_do_not_hide_a_request(record: Build, write_log: Write) -> None:
    line = json.dumps(record("nginx")).encode().replace(b"Scanner", b"Sc\xffnner")
    (event,) = everything([write_log("odd.jsonl", [line])])
    assert event.user_agent == "Sc\ufffdnner/4.1"


def test_half_a_surrogate_pair_is_replaced_and_a_whole_one_kept(record: Build, write_log: Write) -> None:
    line = json.dumps(record("gateway")).replace("Scanner", "\\ud800|\\ud83d\\ude00")
    (event,) = everything([write_log("half.jsonl", [line])])
    assert event.user_agent is not None
    assert event.user_agent.encode().decode().endswith("|\U0001f600/4.1")
    assert event.user_agent.startswith("\ufffd")


def test_crlf_bom_and_missing_last_newline(record: Build, tmp_path: Path) -> None:
    line = json.dumps(record("gateway")).encode()
    log = tmp_path / "dos.jsonl"
    log.write_bytes(b"\xef\xbb\xbf" + line + b"\r\n" + line)
    assert len(everything([log])) == 2


def test_gzip_by_magic_whatever_the_name(record: Build, tmp_path: Path) -> None:
    line = json.dumps(record("gateway")).encode() + b"\n"
    log = tmp_path / "log.txt"
    log.write_bytes(gzip.compress(line * 3) + gzip.compress(line))  # two members, as logrotate leaves them
    assert len(everything([log])) == 4


def gzip_log(path: Path, record: Build, rows: int) -> bytes:
    lines = [
        json.dumps(record("gateway", event_id=f"{n}", session=f"{n * 7919 % 10007}")).encode() for n in range(rows)
    ]
    data = gzip.compress(b"\n".join(lines) + b"\n")
    path.write_bytes(data)
    return data


def test_truncated_gzip_gives_what_came_before_then_says_so(record: Build, write_log: Write, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip_log(cut, record, 6000)[:-2000])
    other = write_log("other.jsonl", [record("gateway", event_id="other")])
    letters = DeadLetterFile()
    got: list[Event] = []
    batches = read_events([cut, other], dead_letters=letters, batch_size=500)
    with pytest.raises(InputError, match=r"cut\.gz: is a truncated gzip file"):
        got.extend(chain.from_iterable(batches))
    assert ids(got[:-1]) == [f"{n}" for n in range(len(got) - 1)]
    assert len(got) > 3000
    assert got[-1].event_id == "other"
    assert letters.count == 1


def test_damaged_gzip_is_never_clean(record: Build, tmp_path: Path) -> None:
    log = tmp_path / "bad.gz"
    data = bytearray(gzip_log(log, record, 6000))
    data[len(data) // 2 : len(data) // 2 + 64] = bytes(64)
    log.write_bytes(data)
    with pytest.raises(InputError, match="gzip file"):
        everything([log])


@pytest.mark.parametrize("size", [2, 10, 15])
def test_gzip_that_ends_at_once(record: Build, tmp_path: Path, size: int) -> None:
    log = tmp_path / "stub.gz"
    log.write_bytes(gzip_log(log, record, 3)[:size])
    with pytest.raises(InputError, match=r"stub\.gz"):
        everything([log])


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("empty.jsonl", b"", "is empty"),
        ("blank.jsonl", b"\n \n\n", "is empty"),
        ("empty.gz", gzip.compress(b"", mtime=0), "is empty"),
        ("model.bin", b"\x80\x04\x95\x00\x00\x00" * 50, "binary"),
        ("latin.txt", bytes(range(128, 256)) * 20, "binary"),
        ("wide.jsonl", '{"time": 1}\n'.encode("utf-16"), "UTF-16"),
        ("bare.jsonl", '{"time": 1}\n'.encode("utf-16-le"), "binary"),
        ("log.zst", b"\x28\xb5\x2f\xfd\x00abc", "zstd -dc"),
        ("prose.txt", b"once upon a time\nthere was a log\n", "no reader recognises"),
        ("other.jsonl", b'{"some": "thing"}\n', "--source"),
    ],
)
def test_refused_at_the_door(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=problem) as error:
        everything([path])
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.hint


def test_missing_file_directory_and_nothing_at_all(tmp_path: Path, write_log: Write, record: Build) -> None:
    good = write_log("good.jsonl", [record("gateway")])
    for bad, problem in ((tmp_path / "no.jsonl", "no such file"), (tmp_path, "is a directory")):
        with pytest.raises(InputError, match=problem):
            read_events([good, bad])  # before anything is read
    with pytest.raises(UsageError, match="no file"):
        read_events([])


def test_unknown_source_is_refused_before_reading(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean nginx"):
        read_events([tmp_path / "no.jsonl"], "ngnix")


def test_standard_input_stays_open(record: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    data = (json.dumps(record("nginx")) + "\n").encode() * 3
    stdin = SimpleNamespace(buffer=io.BytesIO(data))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert len(everything(["-"])) == 3
    assert not stdin.buffer.closed


def test_compressed_standard_input(record: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    data = gzip.compress(json.dumps(record("nginx")).encode())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert len(everything(["-"])) == 1


@pytest.mark.parametrize("indent", [None, 0, 2, 4])
@pytest.mark.parametrize("wrapped", [True, False])
def test_litellm_documents(record: Build, tmp_path: Path, indent: int | None, wrapped: bool) -> None:
    records = [record("litellm", litellm_call_id=f"c{n}") for n in range(3)]
    text = json.dumps(records, indent=indent) if wrapped else "\n".join(json.dumps(r, indent=indent) for r in records)
    path = tmp_path / "calls.json"
    path.write_text(text)
    assert ids(everything([path])) == ["litellm:c0", "litellm:c1", "litellm:c2"]
    assert len(everything([path], "litellm")) == 3


def test_document_with_broken_records_loses_only_those(record: Build, tmp_path: Path) -> None:
    parts = [json.dumps(record("litellm", litellm_call_id=f"c{n}"), indent=2) for n in range(4)]
    parts[1] = parts[1].replace('"model": "house-model"', '"model": 5', 1)
    parts[2] = parts[2].replace('"call_type"', "call_type")
    path = tmp_path / "calls.json"
    path.write_text("[\n" + ",\n".join(parts) + ",\n17]\n")
    with DeadLetterFile(tmp_path / "dead.jsonl") as letters:
        assert ids(everything([path], letters=letters)) == ["litellm:c0", "litellm:c3"]
    kept = letters_in(tmp_path / "dead.jsonl")
    height = parts[0].count("\n") + 1
    assert [letter["line"] for letter in kept] == [2 + height, 2 + 2 * height, 2 + 4 * height]
    assert kept[0]["reason"].startswith("model: ")
    assert kept[2]["reason"] == "not a JSON object"


def test_cut_document_says_so_in_a_dead_letter(record: Build, tmp_path: Path) -> None:
    text = json.dumps([record("litellm", litellm_call_id=f"c{n}") for n in range(3)], indent=1)
    path = tmp_path / "calls.json"
    path.write_text(text[:-400])
    letters = DeadLetterFile()
    assert len(everything([path], letters=letters)) == 2
    assert letters.count == 1
