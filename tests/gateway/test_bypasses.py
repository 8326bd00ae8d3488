"""What a client once could do to slip by the policy, or to blind or flood the log; each stays closed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from threatmatrix.gateway.log import LogWriter, clean
from threatmatrix.model.errors import UsageError

from .conftest import INFER, Bench, entry, image, infer_body

Make = Callable[..., Bench]
DECLARED = {"digits": {"image": 64}}
NOISE = entry("input_noise", "n", params={"sigma": 0.1})
CONTROLS = [NOISE, entry("top1", "t"), entry("query_budget", "q", params={"queries": 9, "window_seconds": 60})]


def with_input(name: str, shape: list[int], datatype: str = "FP64", value: Any = 0) -> dict[str, Any]:
    other = {"name": name, "shape": shape, "datatype": datatype, "data": [value] * int(np.prod(shape))}
    return {"inputs": [*infer_body(image())["inputs"], other]}


def send(bench: Bench, body: dict[str, Any] | bytes, **more: Any) -> int:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return bench.ask("POST", INFER, who="alice", content=raw, **more).status_code


@pytest.mark.parametrize(
    "body",
    [
        with_input("z", [2]),
        with_input("z", [1, 1], value=1000.0),
        with_input("image", [1, 64]),
        infer_body(np.zeros((1, 65))),
        infer_body(np.zeros((1, 64), dtype=bool), "BOOL"),
        {"inputs": [{**infer_body(image())["inputs"][0], "name": "z"}]},
        {"inputs": [{"name": "image", "shape": [1, 64], "datatype": "BF16", "data": [0] * 64}]},
        {"inputs": [{"name": "image", "shape": [1, 64], "datatype": "BYTES", "data": ["a"] * 64}]},
        {"inputs": [{**infer_body(image())["inputs"][0], "parameters": {"binary_data_size": 512}}]},
    ],
)
def test_a_declared_model_takes_its_inputs_and_nothing_else(make_bench: Make, body: dict[str, Any]) -> None:
    bench = make_bench(inputs=DECLARED)
    assert send(bench, body) == 400
    assert send(bench, body, headers={"content-encoding": "gzip"}) == 400
    assert [(line["status"], line["decision"]) for line in bench.log()] == [(400, "deny")] * 2
    assert bench.model.bodies == []
    assert send(bench, infer_body(image())) == send(bench, infer_body(image().reshape(1, 64), "FP32")) == 200
    assert len({line["vec_key"] for line in bench.log()[2:]}) == 1


def test_the_order_of_the_inputs_changes_neither_hash_nor_vector(make_bench: Make) -> None:
    bench = make_bench(inputs={"digits": {"image": 64, "z": 2}})
    body = with_input("z", [1, 2], value=0.5)
    assert send(bench, body) == send(bench, {"inputs": body["inputs"][::-1]}) == 200
    first, second = bench.log()
    assert (first["input_fp"], first["input_vec"]) == (second["input_fp"], second["input_vec"])


def test_an_undeclared_model_works_on_but_rows_must_be_common(make_bench: Make) -> None:
    bench = make_bench(inputs={"other": {"image": 64}})
    assert send(bench, with_input("z", [1, 1])) == 200
    assert send(bench, with_input("z", [2])) == 400


def test_noise_passes_by_a_model_that_is_declared_to_take_texts(make_bench: Make) -> None:
    """A playbook that adds noise must not lock everybody out of a model that has no numbers."""
    text = {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["good morning"]}]}
    bench = make_bench(inputs={"digits": {"image": 0}})
    bench.publish(entry("input_noise", params={"sigma": 0.1}))
    assert send(bench, text) == 200
    assert json.loads(bench.model.bodies[-1]) == text
    assert send(bench, infer_body(image())) == 400  # numbers are not what was declared
    mixed = make_bench(inputs={"digits": {"image": 0, "z": 2}})
    mixed.publish(entry("input_noise", params={"sigma": 0.1}))
    assert send(mixed, {"inputs": [*text["inputs"], *with_input("z", [1, 2])["inputs"][1:]]}) == 400


@pytest.mark.parametrize("inputs", [{"digits": {}}, {"digits": {"image": -1}}, {"digits": {"image": True}}])
def test_a_declaration_that_cannot_hold_is_refused(make_bench: Make, inputs: Any) -> None:
    with pytest.raises(UsageError, match="inputs"):
        make_bench(inputs=inputs)


@pytest.mark.parametrize(("datatype", "value"), [("BYTES", "aGVsbG8="), ("BOOL", True)])
def test_noise_on_a_dummy_input_is_not_enough(bench: Bench, datatype: str, value: Any) -> None:
    body = with_input("z", [1, 1], datatype, value)
    assert send(bench, body) == 200
    bench.publish(NOISE)
    assert send(bench, body) == 400
    assert len(bench.model.bodies) == 1


def test_a_refused_request_is_one_line_of_its_first_row(bench: Bench) -> None:
    bench.publish(entry("block", "b", principal="alice"))
    rows = image(rows=1000)
    body = json.dumps(infer_body((rows * 16).astype(int).reshape(1000, 64)[:, :8], "UINT8")).encode()
    assert send(bench, body) == 403
    (line,) = bench.log()
    assert (line["row"], line["rows"], line["status"], line["input_bytes"]) == (0, 1000, 403, 8)
    assert "input_vec" not in line
    first = infer_body((rows[:1] * 16).astype(int).reshape(1, 64)[:, :8], "UINT8")
    assert bench.ask("POST", INFER, who="bob", json=first).status_code == 200
    assert bench.log()[1]["input_fp"] == line["input_fp"]
    assert bench.gateway.stats.rows == 1001


@pytest.mark.parametrize("filler", ["A", "\x01", '"', "\\", "\xff", "\u2028", "\U0001f600", "\x7f", "\ud800"])
def test_a_clients_text_is_bounded_as_it_stands_in_the_log(filler: str) -> None:
    kept = clean("a" + filler * 600)
    assert kept.startswith("a")
    assert len(json.dumps(kept)) - 2 <= 256
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in kept)


def test_headers_of_any_size_make_a_short_line(bench: Bench) -> None:
    bench.publish(entry("block", "b"))
    noise = b'\x01\xff"\\' * 1000
    send(bench, infer_body(image()), headers={"user-agent": noise, "x-session-id": noise})
    assert bench.log_path.stat().st_size < 1500


@pytest.mark.parametrize("value", ["Bearer alice-key-000 x", "alice-key-000 x y", "Bearer  a  b"])
def test_an_authorization_header_of_three_parts_is_refused(make_bench: Make, value: str) -> None:
    bench = make_bench(principal_header="authorization")
    bench.publish(entry("block", principal="alice"))
    assert send(bench, infer_body(image()), headers={"authorization": "Bearer alice-key-000"}) == 403
    assert send(bench, infer_body(image()), headers={"authorization": value}) == 400
    assert bench.model.bodies == []


REPEATED = json.dumps(infer_body(image())).encode()[:-1] + b',"id":"a","id":"b"}'


@pytest.mark.parametrize(
    "headers",
    [
        {"content-encoding": "identity"},
        {"content-encoding": "Identity, identity"},
        {"content-encoding": ""},
        {"content-encoding": "gzip"},
        *({"inference-header-content-length": value} for value in ("x", "-1", "0", "1", "99999", str(len(REPEATED)))),
        {"inference-header-content-length": "9" * 5000},
    ],
)
def test_no_header_makes_a_malformed_body_pass(bench: Bench, headers: dict[str, str]) -> None:
    assert send(bench, REPEATED, headers=headers) == 400
    assert send(bench, REPEATED + b" ", headers=headers | {"x-padded": "1"}) == 400
    assert bench.model.bodies == []


def test_what_is_really_compressed_or_binary_passes(bench: Bench) -> None:
    assert send(bench, b"\x1f\x8b\x08", headers={"content-encoding": "gzip"}) == 200
    assert send(bench, b"\x00\x01", headers={"inference-header-content-length": "0"}) == 200
    assert send(bench, b'{"inputs":[]}\x00', headers={"inference-header-content-length": "13"}) == 200


@pytest.mark.parametrize("method", ["PUT", "post", "PATCH", "DELETE", "BREW"])
def test_an_infer_by_any_method_is_under_the_policy(bench: Bench, method: str) -> None:
    assert bench.ask(method, INFER, who="alice", json=infer_body(image())).status_code == 200
    assert bench.log()[0]["operation"] == "infer"
    bench.publish(entry("query_budget", "q", params={"queries": 0, "window_seconds": 60}))
    assert bench.ask(method, INFER, who="alice", json=infer_body(image())).status_code == 429
    bench.publish(entry("block", model="digits"))
    assert bench.ask(method, INFER, who="alice", json=infer_body(image())).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/v2/%252e/models/digits/infer",
        "/v2/models/x%2F..%2Fdigits/infer",
        "/v2/models/digits/%2569nfer",
        "//v2/models/digits/infer",
    ],
)
def test_a_known_route_is_known_however_it_is_written(bench: Bench, path: str) -> None:
    bench.publish(entry("block", model="digits"))
    assert bench.ask("POST", f"http://t{path}", who="alice", json=infer_body(image())).status_code == 403


UNREAD = [
    "/v1/models/digits:predict",
    "/v2/models/digits/generate",
    "/v2/models/digits%0A/infer",
    "/V2/models/digits/infer",
    "/v2/models/digits/infer_stream",
    "/v2/repository/models/digits/unload",
    "/v2/models/digits",
]


@pytest.mark.parametrize("path", UNREAD)
def test_what_may_be_an_inference_fails_closed(bench: Bench, path: str) -> None:
    assert bench.ask("POST", path, who="alice").status_code == 200
    for scope in ({}, {"model": "digits"}, {"principal": "alice"}, {"principal": "alice", "model": "digits"}):
        bench.publish(entry("block", "b", **scope))
        assert bench.ask("POST", path, who="alice").status_code == 403
        for control in CONTROLS:
            bench.publish({**control, **scope})
            assert bench.ask("POST", path, who="alice").status_code == 400
            assert bench.log()[-1]["policy_ref"] == control["entry_id"]
            assert bench.ask("GET", path, who="alice").status_code == 200
    bench.publish({**NOISE, "principal": "bob"}, entry("block", model="other", principal="bob"))
    assert bench.ask("POST", path, who="alice").status_code == 200


def test_a_path_that_names_no_model_may_be_of_any(bench: Bench) -> None:
    bench.publish(entry("block", "b", model="other"))
    assert bench.ask("POST", "/v2/repository/index", who="alice").status_code == 403
    assert bench.ask("POST", "/v2/models/digits/generate", who="alice").status_code == 200
    assert bench.ask("POST", "/metrics", who="alice").status_code == 200


TORN = """
import resource, sys
from pathlib import Path
from threatmatrix.gateway.log import LogWriter
writer = LogWriter(Path(sys.argv[1]))
writer.write(b'{"n":0}\\n')
resource.setrlimit(resource.RLIMIT_FSIZE, (20, resource.RLIM_INFINITY))
for n in (1, 2):
    try:
        writer.write(b'{"n":%d,"pad":"xxxxxxxxxxxxxxxxxxxxxx"}\\n' % n)
    except OSError:
        print("cut")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for n in (3, 4):
    writer.write(b'{"n":%d}\\n' % n)
"""


def test_a_line_that_was_cut_does_not_take_the_next_one_with_it(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl"
    done = subprocess.run([sys.executable, "-c", TORN, str(path)], env=os.environ, capture_output=True, check=True)
    assert done.stdout.split() == [b"cut", b"cut"]
    assert path.read_text().splitlines() == ['{"n":0}', '{"n":1,"pad"', '{"n":3}', '{"n":4}']


def test_a_failed_write_that_left_nothing_costs_an_empty_line_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LogWriter(tmp_path / "log.jsonl")

    def full(_file: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="space"):
            writer.write(b"{}\n")
    writer.write(b"{}\n")
    writer.write(b"{}\n")
    writer.close()
    assert (tmp_path / "log.jsonl").read_text() == "\n{}\n{}\n"
