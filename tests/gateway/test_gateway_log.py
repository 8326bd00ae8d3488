"""The log: its fields, its privacy, its integrity under hostile clients and several writers."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

import numpy as np

from threatmatrix.model.event import EVENT_COLUMNS
from threatmatrix.telemetry.inputs.keys import derive_key

from .conftest import INFER, KEYS, SECRET, START, Bench, entry, image, infer_body

DOCS = Path(__file__).parents[2] / "docs" / "gateway.md"
OF_OTHERS = {"source", "tokens_in", "tokens_out", "key_id", "host", "object", "outcome", "input_raw"}
"""Fields of an event that other sources fill."""


def test_one_line_per_row_with_every_field(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(tenant="acme")
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "x-session-id": "s1"}
    body = infer_body(image(rows=3))
    bench.publish(entry("round_scores", "r", params={"decimals": 3}))
    bench.ask("POST", "/v2/models/digits/versions/2/infer", who="alice", json=body, headers=headers)
    lines = bench.log()
    assert [line["row"] for line in lines] == [0, 1, 2]
    assert len({line["event_id"] for line in lines}) == 3
    first = lines[0]
    assert first["event_id"] == f"{first['request_ref']}:0"
    expected = {
        "v": 1,
        "time": START,
        "category": "inference",
        "operation": "infer",
        "system": "digits",
        "tenant": "acme",
        "principal": "alice",
        "src_ip": "127.0.0.1",
        "user_agent": "DigitsApp/2.3",
        "method": "POST",
        "endpoint": "/v2/models/digits/versions/2/infer",
        "model": "digits",
        "model_version": "2",
        "rows": 3,
        "vec_scale": 1 / 32,
        "input_bytes": 64 * 8,
        "output_label": "1",
        "output_scores": [0.123, 0.654, 0.222],
        "status": 200,
        "decision": "allow",
        "policy_ref": "r",
        "session": "s1",
        "trace_id": trace,
    }
    assert {key: first[key] for key in expected} == expected
    assert len(b64decode(first["input_vec"])) == 64
    assert first["latency_ms"] > 0
    assert set(first) - {"v"} == set(EVENT_COLUMNS) - OF_OTHERS - {"input_fp_prev", "input_vec_prev", "vec_key_prev"}


def test_every_field_is_documented() -> None:
    text = DOCS.read_text()
    for name in {"v", *EVENT_COLUMNS} - OF_OTHERS:
        assert f"| `{name}` |" in text, name


def test_other_requests_are_one_line_of_their_category(bench: Bench) -> None:
    for path in ("/v2", "/v2/health/live", "/v2/models/digits", "/metrics"):
        bench.ask("GET", path)
    got = [(line["category"], line["operation"], line["principal"]) for line in bench.log()]
    assert got == [
        ("model_access", "metadata", "anonymous"),
        ("model_access", "health", "anonymous"),
        ("model_access", "metadata", "anonymous"),
        ("http", "other", "anonymous"),
    ]
    assert all("row" not in line and line["event_id"].endswith(":0") for line in bench.log())


def test_neither_inputs_nor_keys_nor_the_secret_are_in_the_log(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    x = np.random.default_rng(3).random((2, 8, 8))
    bench.infer(x)
    bench.infer(x, who="stranger-key-123")
    bench.ask("POST", INFER, who="alice", content=b'{"inputs": "very-private-text"')
    texts = {"inputs": [{"name": "t", "shape": [1], "datatype": "BYTES", "data": ["very-private-text"]}]}
    bench.ask("POST", INFER, who="alice", json=texts)
    bench.ask("GET", "/v2?token=private-query")
    log = bench.log_path.read_bytes()
    hidden = [SECRET, b"stranger-key-123", KEYS["alice"].encode(), b"very-private-text", b"private-query"]
    hidden += [derive_key(SECRET, label) for label in ("principal", "fingerprint", "noise/7", "run/7")]
    hidden += [repr(float(value)).encode() for value in x.ravel()]
    for row in x.reshape(2, -1):
        for raw in (row.tobytes(), row.astype("<f4").tobytes(), (row * 127).astype(np.int8).tobytes()):
            hidden += [raw, raw.hex().encode(), b64encode(raw).rstrip(b"=")[:-1]]
            hidden += [hashlib.blake2b(raw, digest_size=16).hexdigest().encode()]  # an unkeyed hash could be guessed
    for secret in hidden:
        forms = {secret, secret.hex().encode(), b64encode(secret)}
        assert not any(form in log for form in forms), secret
    unknown = bench.log()[2]["principal"]
    assert unknown.startswith("key_")
    assert len(unknown) == 16


def test_hostile_text_stays_within_its_field(bench: Bench) -> None:
    evil = 'x"}\n{"v":1,"principal":"forged"}\t%s%d'
    headers = {
        "user-agent": evil.replace("\n", "\x0b"),
        "x-session-id": b"\xff" * 2000,
    }  # one byte, six characters in JSON
    bench.ask("POST", "/v2/models/" + "m%22%25s" + "/infer", who="alice", json=infer_body(image()), headers=headers)
    bench.model.answer = lambda x: [{"name": "label", "data": ['a"\n\ud800%s'] * len(x)}]
    bench.infer(image())
    assert len(bench.log_path.read_bytes().splitlines()) == 2
    first, second = bench.log()
    assert first["user_agent"] == evil.replace("\n", "").replace("\t", "")
    assert first["model"] == 'm"%s'
    assert first["session"] == "\xff" * (256 // 6)
    second["output_label"].encode()  # no lone surrogate gets as far as the readers
    assert second["output_label"].startswith('a"\n')


def test_rotation_goes_on_in_a_new_file(bench: Bench) -> None:
    bench.infer(image())
    moved = bench.log_path.with_suffix(".1")
    bench.log_path.rename(moved)
    bench.gateway.reopen_log()
    bench.infer(image())
    assert len(moved.read_text().splitlines()) == len(bench.log()) == 1


WRITER = """
import sys
from pathlib import Path
from threatmatrix.gateway.log import LogWriter
writer = LogWriter(Path(sys.argv[1]))
for i in range(300):
    writer.write((f'{{"who":{sys.argv[2]},"n":{i},"pad":"' + 'x' * (i * 7 % 3000) + '"}\\n').encode() * 3)
"""


def test_lines_of_several_processes_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "shared.jsonl"
    running = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(n)], env=os.environ) for n in range(3)]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 3 * 300 * 3
    assert {(line["who"], line["n"]) for line in lines} == {(w, n) for w in range(3) for n in range(300)}


def test_the_id_that_a_proxy_hands_on_is_the_request_and_never_the_event(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(request_id_header="X-Request-Id")
    for handed_on in ("7f0c", "7f0c", '"}, {'):
        bench.infer(np.zeros((1, 64)), headers={"x-request-id": handed_on})
    bench.infer(np.zeros((1, 64)))
    *named, own = bench.log()
    assert [line["request_ref"] for line in named] == ["7f0c", "7f0c", '"}, {']
    assert own["event_id"] == f"{own['request_ref']}:0"
    assert len({line["event_id"] for line in bench.log()}) == 4
    plain = make_bench()
    plain.infer(np.zeros((1, 64)), headers={"x-request-id": "7f0c"})
    assert plain.log()[0]["request_ref"] != "7f0c"
