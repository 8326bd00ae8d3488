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
from tests.telemetry.log_records import EVERY, as_log
from tests.telemetry.records_serving import HTTP

from threatmatrix.model.errors import InputError, UnknownNameError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.readers import Where, get_reader
from threatmatrix.telemetry.reading import Progress, read_events

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
    assert (kept[0]["text"], kept[0]["size"]) == ('{"xxxx": 0, "xxxxx', 18)
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


def zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd as module
    else:
        from backports import zstd as module
    return module


def test_zstd_by_magic_with_several_frames(record: Build, tmp_path: Path) -> None:
    line = json.dumps(record("gateway")).encode() + b"\n"
    log = tmp_path / "log.txt"
    log.write_bytes(zstd().compress(line * 3 + line[:40]) + zstd().compress(line[40:]))
    assert len(everything([log])) == 4


def test_truncated_and_damaged_zstd(record: Build, write_log: Write, tmp_path: Path) -> None:
    plain = gzip.decompress(gzip_log(tmp_path / "x.gz", record, 2400))
    checked = {zstd().CompressionParameter.checksum_flag: 1}  # as the zstd command does
    frames = [zstd().compress(plain[at : at + 100_000], options=checked) for at in range(0, len(plain), 100_000)]
    data, half = b"".join(frames), sum(map(len, frames)) // 2
    other = write_log("other.jsonl", [record("gateway", event_id="other")])
    log = tmp_path / "log.zst"
    for content, problem in (
        (data[:half], "truncated"),
        (data[:half] + bytes(99) + data[half + 99 :], "damaged"),
    ):
        log.write_bytes(content)
        got: list[Event] = []
        with pytest.raises(InputError, match=f"is a {problem} zstd file"):
            got.extend(chain.from_iterable(read_events([log, other], batch_size=100)))
        whole = 500  # events of the frames before the damage; of the frame that is damaged some may be wrong
        assert ids(got[:whole]) == [f"{n}" for n in range(whole)]
        assert got[-1].event_id == "other"


def test_truncated_gzip_gives_what_came_before_then_says_so(record: Build, write_log: Write, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip_log(cut, record, 2400)[:-2000])
    other = write_log("other.jsonl", [record("gateway", event_id="other")])
    letters = DeadLetterFile()
    got: list[Event] = []
    batches = read_events([cut, other], dead_letters=letters, batch_size=500)
    with pytest.raises(InputError, match=r"cut\.gz: is a truncated gzip file"):
        got.extend(chain.from_iterable(batches))
    assert ids(got[:-1]) == [f"{n}" for n in range(len(got) - 1)]
    assert len(got) > 1000
    assert got[-1].event_id == "other"
    assert letters.count == 1


def test_damaged_gzip_is_never_clean(record: Build, tmp_path: Path) -> None:
    log = tmp_path / "bad.gz"
    data = bytearray(gzip_log(log, record, 2400))
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


def test_a_bad_record_of_a_document_hides_none_of_the_others(write_log: Write, tmp_path: Path) -> None:
    good = EVERY["cloudtrail"][0]
    document = {"Records": [{**good, "eventID": "1"}, {**good, "eventTime": "x"}, 7, {**good, "eventID": "2"}]}
    log = write_log("trail.json", [document])
    with DeadLetterFile(tmp_path / "dead.jsonl", keep_raw=True) as letters:
        assert ids(everything([log], "cloudtrail", letters)) == ["cloudtrail:1", "cloudtrail:2"]
    kept = letters_in(tmp_path / "dead.jsonl")
    assert [letter["reason"].partition(":")[0] for letter in kept] == ["Records[1].eventTime", "Records[2]"]
    assert [letter["line"] for letter in kept] == [1, 1]
    assert json.loads(kept[0]["text"])["eventTime"] == "x"


def test_a_document_of_nothing_but_bad_records_has_a_bound_on_its_dead_letters(write_log: Write) -> None:
    letters = DeadLetterFile()
    progress: list[Progress] = []
    log = write_log("trail.json", [{"Records": [1] * 5000}])
    assert list(read_events([log], "cloudtrail", letters, on_progress=progress.append)) == []
    assert letters.count == progress[-1].dead_letters == 1001
    assert progress[-1].passed == 0


def test_http_messages_are_read_in_pieces_whatever_the_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threatmatrix.telemetry.reading.MAX_DOCUMENT", 1000)
    log = tmp_path / "received.log"
    log.write_bytes((as_log(HTTP) + b"\n") * 4000)
    assert log.stat().st_size > 300_000  # more than one chunk
    letters = DeadLetterFile()
    assert len(everything([log], "kserve", letters)) == 4000 * len(get_reader("kserve").parse(HTTP, Where()))
    assert letters.count == 0
