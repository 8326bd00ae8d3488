"""Anybody's own log with a mapping file; mapping files that are wrong; CSV and Parquet."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.telemetry.log_records import MAPPING, OWN_LOG, options

from threatmatrix.model.errors import FormatError, InputError, UsageError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.readers import Options, Where, get_reader
from threatmatrix.telemetry.readers.mapping_file import load_mapping, parse_mapping
from threatmatrix.telemetry.reading import read_events


def parse(mapping: str, record: dict[str, Any], asked: Options | None = None) -> Event:
    chosen = Options(inputs=asked.inputs if asked else None, mapping=parse_mapping(mapping, "mapping.yaml"))
    (event,) = get_reader("mapping", chosen).parse(record, Where("log", 4))
    return event


def read(files: list[Path], mapping: str, letters: DeadLetterFile | None = None) -> list[Event]:
    chosen = Options(mapping=parse_mapping(mapping, "mapping.yaml"))
    return [event for batch in read_events(files, "mapping", letters, options=chosen) for event in batch]


def test_every_kind_of_field() -> None:
    assert parse(MAPPING, OWN_LOG) == Event(
        event_id="mapping:r-7",
        time=1_767_225_600_250_000,
        source="mapping",
        category="inference",
        operation="infer",
        tenant="north",
        principal="42",
        src_ip="203.0.113.9",
        endpoint="/score",
        model="labels",
        request_ref="r-7",
        input_bytes=3 * 4,
        output_label="parcel",
        output_scores=(0.75, 0.25),
        latency_ms=2.5,
        outcome="success",
    )


def test_inputs_are_fingerprinted_as_other_sources_do() -> None:
    asked = options()
    event = parse(MAPPING, OWN_LOG, asked)
    assert asked.inputs is not None
    array = np.array([[0.5, 0.25, 1.0]], dtype="<f4")
    tensor = __import__("threatmatrix.telemetry.inputs.oip", fromlist=["Tensor"]).Tensor
    (fields,) = asked.inputs.rows("labels", [tensor("x", "FP32", (1, 3), array, None, False)], 1, event.time)
    assert (event.input_fp, event.input_vec, event.vec_key) == (fields.input_fp, fields.input_vec, fields.vec_key)
    other = parse(MAPPING, {**OWN_LOG, "more": 2}, asked)
    assert other.input_fp != event.input_fp


def test_text_inputs() -> None:
    mapping = "category: inference\ntime: {field: ts, unit: ms}\ninputs: {text: 'chat[0].said'}\n"
    record = {"ts": 1, "chat": [{"said": "where is my parcel"}]}
    assert parse(mapping, record).input_bytes == 18
    assert parse(mapping, record).input_fp is None
    event = parse(mapping, record, options())
    assert event.input_fp is not None
    assert parse(mapping, {"ts": 1}, options()).input_fp is None


@pytest.mark.parametrize(
    ("unit", "value", "time"),
    [
        ("s", 1767225600.25, 1_767_225_600_250_000),
        ("s", "1767225600", 1_767_225_600_000_000),
        ("ms", 1767225600250, 1_767_225_600_250_000),
        ("us", 1767225600250001, 1_767_225_600_250_001),
        ("ns", 1767225600250001999, 1_767_225_600_250_001),
        ("iso", "2026-01-01T01:00:00+01:00", 1_767_225_600_000_000),
    ],
)
def test_units_of_time(unit: str, value: Any, time: int) -> None:
    assert parse(f"category: http\ntime: {{field: t, unit: {unit}}}\n", {"t": value}).time == time


def test_paths_with_dots_and_indexes() -> None:
    mapping = "category: http\ntime: {field: t, unit: s}\nfields:\n  principal: 'a\\.b.c[1][0]'\n  tenant: [x.y, z]\n"
    event = parse(mapping, {"t": 1, "a.b": {"c": [0, ["ana"]]}, "x.y": {"z": "north"}})
    assert (event.principal, event.tenant) == ("ana", "north")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"ts": None}, "ts"),
        ({"ts": "soon"}, "ts"),
        ({"ts": 1e300}, "ts"),
        ({"ok": "perhaps"}, "ok"),
        ({"req": {"user": {"id": [1]}}}, "req.user.id"),
        ({"req": {"took": "long"}}, "req.took"),
        ({"answer": [{"p": [1, "x"]}]}, "answer[0].p"),
        ({"features": [1, None]}, "features"),
        ({"features": [True]}, "features"),
    ],
)
def test_values_that_do_not_fit_are_refused_by_key(change: dict[str, Any], key: str) -> None:
    with pytest.raises(FormatError) as error:
        parse(MAPPING, {**copy.deepcopy(OWN_LOG), **change})
    assert (error.value.key, error.value.line) == (key, 4)


def test_a_category_that_the_record_tells() -> None:
    text = "category: {field: kind, values: {ask: inference, login: authentication}}\ntime: {field: t, unit: s}\n"
    reader = get_reader("mapping", Options(mapping=parse_mapping(text, "mapping.yaml")))
    assert set(reader.gives) == {"inference", "authentication"}
    assert [event.category for event in reader.parse({"t": 1, "kind": "login"}, Where())] == ["authentication"]
    assert reader.parse({"t": 1, "kind": "lunch"}, Where()) == ()
    assert reader.parse({"t": 1}, Where()) == ()


GOOD = "category: http\ntime: {field: t, unit: s}\n"


@pytest.mark.parametrize(
    ("text", "line", "key", "says"),
    [
        ("- a\n", None, "", "must be a mapping"),
        ("time: {field: t}\n", 1, "category", "missing"),
        ("category: http\n", 1, "time", "missing"),
        ("category: {field: k}\ntime: {field: t}\n", 1, "category.values", "missing"),
        ("category: {field: k, values: {a: b}}\ntime: {field: t}\n", 1, "category.values.a", "valid: inference"),
        ("category: gossip\ntime: {field: t}\n", 1, "category", "valid: inference"),
        (GOOD + "colour: red\n", 3, "colour", "valid: format"),
        (GOOD + "category: http\n", 3, "category", "twice"),
        ("category: http\ntime: {unit: s}\n", 2, "time.field", "missing"),
        ("category: http\ntime: {field: t, unit: days}\n", 2, "time.unit", "valid: s, ms, us, ns, iso"),
        (GOOD + "fields:\n  principle: a\n", 4, "fields.principle", "valid: operation"),
        (GOOD + "fields:\n  input_fp: a\n", 4, "fields.input_fp", "unknown key"),
        (GOOD + "fields:\n  principal: a..b\n", 4, "fields.principal", "must be a path"),
        (GOOD + "fields:\n  principal: .a\n", 4, "fields.principal", "must be a path"),
        (GOOD + "fields:\n  principal: 'a[b]'\n", 4, "fields.principal", "must be a path"),
        (GOOD + "fields:\n  principal: {a: b}\n", 4, "fields.principal.a", "unknown key"),
        (GOOD + "fields:\n  latency_ms: {field: a, scale: none}\n", 4, "fields.latency_ms.scale", "a number"),
        (GOOD + "constants: {status: many}\n", 3, "constants.status", "a number"),
        (GOOD + "constants: {status: -5}\n", 3, "constants.status", "a whole number"),
        (GOOD + "constants: {status: 0.5}\n", 3, "constants.status", "a whole number"),
        (GOOD + "constants: {outcome: perhaps}\n", 3, "constants.outcome", "valid: success, failure"),
        (
            GOOD + "fields:\n  decision: {field: d, values: {n: no}}\n",
            4,
            "fields.decision.values.n",
            "valid: allow, deny",
        ),
        (GOOD + "constants: {output_scores: x}\n", 3, "constants.output_scores", "cannot be a constant"),
        (GOOD + "fields: {model: m}\nmodel: n\n", 1, "fields.model", "constant as well"),
        (GOOD + "inputs: {}\n", 3, "inputs", "valid: numeric, text"),
        (GOOD + "inputs: {numeric: a}\n", 3, "inputs.numeric", "a list"),
        (GOOD + "inputs: {numeric: [a], datatype: FP8}\n", 3, "inputs.datatype", "valid: FP32"),
        (GOOD + "delimiter: ';;'\n", 3, "delimiter", "one character"),
        (GOOD + "columns: [a, a]\n", 3, "columns", "twice"),
        (GOOD + "format: xml\n", 3, "format", "valid: jsonl, csv, parquet"),
        ("a: &x 1\nb: *x\n", 1, "", "anchors"),
        ("a: [" * 9 + "]" * 9, 1, "", "nested"),
        ("a: 'open\n", 2, "", "not YAML"),
        ("a: \x00\n", None, "", "not YAML"),
        (GOOD + "id: !!python/object:os.system x\n", None, "", ""),
    ],
)
def test_a_wrong_mapping_file_is_named_by_line_and_key(text: str, line: int | None, key: str, says: str) -> None:
    if "python/object" in text:  # a tag is only a word: nothing is built from it
        assert parse_mapping(text, "mapping.yaml").id == ("x",)
        return
    with pytest.raises(FormatError, match=says) as error:
        parse_mapping(text, "mapping.yaml")
    assert (error.value.file, error.value.line, error.value.key) == ("mapping.yaml", line, key)


def test_a_mapping_goes_to_other_processes() -> None:
    mapping = parse_mapping(MAPPING, "mapping.yaml")
    assert pickle.loads(pickle.dumps(mapping)) == mapping


def test_mapping_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "big.yaml").write_bytes(b"#" * 70_000)
    (tmp_path / "odd.yaml").write_bytes(b"a: \xff\n")
    for name, problem in (("no.yaml", "No such file"), ("big.yaml", "larger than 64 KiB"), ("odd.yaml", "no UTF-8")):
        with pytest.raises(InputError, match=problem):
            load_mapping(tmp_path / name)


def test_without_a_mapping_file_the_source_says_so(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text("{}\n")
    with pytest.raises(UsageError, match="needs a mapping file"):
        list(read_events([log], "mapping"))


def test_a_mapping_file_makes_auto_mean_mapping(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps(OWN_LOG) + "\n")
    batches = read_events([log], options=Options(mapping=parse_mapping(MAPPING, "m")))
    assert [event.source for batch in batches for event in batch] == ["mapping"]
