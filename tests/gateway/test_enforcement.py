"""What the gateway allows, refuses and changes, driven in process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from threatmatrix.model.errors import InputError, UsageError

from .conftest import INFER, SECRET, START, Bench, entry, image, infer_body

SECOND = 1_000_000
Make = Callable[..., Bench]


def test_without_a_policy_the_answer_and_the_body_pass_unchanged(bench: Bench) -> None:
    answer = bench.infer(image())
    assert answer.status_code == 200
    assert answer.json()["outputs"] == bench.model.label_and_scores(image())
    assert json.loads(bench.model.bodies[0]) == infer_body(image())
    assert bench.gateway.stats.allowed == 1


def test_a_blocked_principal_is_refused_and_nobody_else(bench: Bench) -> None:
    bench.publish(entry("block", "b-1", principal="alice"))
    refused = bench.infer(image())
    assert refused.status_code == 403
    assert refused.json() == {"error": "refused by policy", "policy": "b-1"}
    assert bench.infer(image(), who="bob").status_code == 200
    assert len(bench.model.inputs) == 1
    line = bench.log()[0]
    assert (line["decision"], line["status"], line["policy_ref"], line["principal"]) == ("deny", 403, "b-1", "alice")
    assert line["input_fp"] == bench.log()[1]["input_fp"]  # what is refused is evidence too


def test_a_block_covers_every_route_but_the_liveness_probes(bench: Bench) -> None:
    bench.publish(entry("block"))
    for path in ("/v2", "/v2/models/digits", "/v2/models/digits/ready", "/metrics", "/v2//models/digits/"):
        assert bench.ask("GET", path, who="alice").status_code == 403, path
    assert bench.ask("GET", "/v2/health/live").status_code == 200
    assert bench.ask("GET", "/v2/health/ready").status_code == 200


def test_a_block_for_one_model_leaves_the_others(bench: Bench) -> None:
    bench.publish(entry("block", model="digits"))
    other = bench.ask("POST", "/v2/models/other/versions/3/infer", who="alice", json=infer_body(image()))
    assert other.status_code == 200
    assert bench.ask("POST", "/v2/models/digits/infer/", who="alice", json=infer_body(image())).status_code == 403
    assert bench.ask("POST", "/v2//models//digits/infer", who="alice", json=infer_body(image())).status_code == 403


def test_a_block_ends_by_the_event_clock_and_by_withdrawal(bench: Bench) -> None:
    bench.publish(entry("block", principal="alice", expires_at=START + 10 * SECOND))
    assert bench.infer(image()).status_code == 403
    bench.now += 10 * SECOND
    assert bench.infer(image()).status_code == 200
    bench.publish(entry("block", principal="alice"))
    assert bench.infer(image()).status_code == 403
    bench.publish()
    assert bench.infer(image()).status_code == 200


def test_a_query_budget_slides_and_denies_a_request_whole(bench: Bench) -> None:
    bench.publish(entry("query_budget", "q", model="digits", params={"queries": 10, "window_seconds": 60}))
    assert bench.infer(image(rows=6)).status_code == 200
    bench.now += 20 * SECOND
    assert bench.infer(image(rows=4)).status_code == 200
    denied = bench.infer(image(rows=3))
    assert denied.status_code == 429
    assert denied.headers["retry-after"] == "40"
    assert bench.infer(image(rows=10), who="bob").status_code == 200  # each principal by itself
    bench.now += 40 * SECOND
    assert bench.infer(image(rows=6)).status_code == 200
    assert bench.infer(image(rows=1)).status_code == 429
    assert [line["policy_ref"] for line in bench.log() if line["decision"] == "deny"] == ["q"] * 2
    assert bench.gateway.stats.rows == 6 + 4 + 3 + 10 + 6 + 1


def test_noise_changes_what_the_model_sees_and_not_what_is_logged(make_bench: Make) -> None:
    noisy, plain = (make_bench(input_range=(0.0, 1.0)) for _ in range(2))
    noisy.publish(entry("input_noise", "n", model="digits", params={"sigma": 0.1}))
    x = image(rows=200)
    assert noisy.infer(x).status_code == 200
    plain.infer(x)
    seen = noisy.model.inputs[0]
    assert seen.shape == x.shape
    assert seen.min() >= 0
    assert seen.max() <= 1
    inner = (x > 0.4) & (x < 0.6)  # where four sigma do not reach the bounds
    assert (seen - x)[inner].std() == pytest.approx(0.1, rel=0.1)
    assert [line["input_fp"] for line in noisy.log()] == [line["input_fp"] for line in plain.log()]
    assert [line["input_vec"] for line in noisy.log()] == [line["input_vec"] for line in plain.log()]
    assert {line["policy_ref"] for line in noisy.log()} == {"n"}
    assert int(dict(noisy.model.scopes[0]["headers"])[b"content-length"]) == len(noisy.model.bodies[0])


def test_noise_keeps_the_form_and_datatype_of_what_was_sent(bench: Bench) -> None:
    bench.publish(entry("input_noise", params={"sigma": 0.5}))
    pixels = np.arange(64).reshape(1, 64) % 2
    bench.ask("POST", INFER, who="alice", json={"id": "7", **infer_body(pixels, "UINT8", flat=True)})
    sent = json.loads(bench.model.bodies[0])
    assert sent["id"] == "7"
    data = sent["inputs"][0]["data"]
    assert sent["inputs"][0]["shape"] == [1, 64]
    assert all(type(value) is int and 0 <= value <= 1 for value in data)
    assert data != pixels.ravel().tolist()


def test_the_same_seed_gives_the_same_ids_and_noise_and_another_does_not(make_bench: Make) -> None:
    runs = [make_bench(seed=seed) for seed in (1, 1, 2, None, None)]
    for run in runs:
        run.publish(entry("input_noise", params={"sigma": 0.1}))
        for _ in range(2):
            run.infer(image())
    ids = [tuple(line["event_id"] for line in run.log()) for run in runs]
    noise = [np.stack(run.model.inputs).tobytes() for run in runs]
    assert ids[0] == ids[1]
    assert noise[0] == noise[1]
    assert len(set(ids)) == len(set(noise)) == 4
    assert not np.array_equal(runs[0].model.inputs[0], runs[0].model.inputs[1])  # fresh for every request


def test_rounding_rounds_scores_in_the_answer_and_the_log(bench: Bench) -> None:
    bench.publish(
        entry("round_scores", "a", params={"decimals": 2}), entry("round_scores", "b", params={"decimals": 1})
    )
    answer = bench.infer(image(rows=2))
    assert answer.json()["outputs"][1]["data"] == [[0.1, 0.7, 0.2]] * 2
    assert answer.json()["outputs"][0]["data"] == [1, 1]
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert bench.log()[0]["output_scores"] == [0.1, 0.7, 0.2]
    assert bench.log()[0]["policy_ref"] == "a,b"


def test_top1_leaves_the_label_alone(bench: Bench) -> None:
    bench.publish(entry("top1"))
    answer = bench.infer(image(rows=2))
    assert [output["name"] for output in answer.json()["outputs"]] == ["label"]
    line = bench.log()[1]
    assert line["output_label"] == "1"
    assert "output_scores" not in line


def test_top1_makes_a_label_where_the_model_gives_scores_only(bench: Bench) -> None:
    bench.model.answer = lambda x: bench.model.label_and_scores(x)[1:]
    bench.publish(entry("top1"))
    outputs = bench.infer(image(rows=2)).json()["outputs"]
    assert outputs == [{"name": "label", "datatype": "INT64", "shape": [2], "data": [1, 1]}]


def test_an_answer_that_cannot_be_controlled_does_not_leave(bench: Bench) -> None:
    bench.model.answer = lambda _x: "not a list"  # type: ignore[assignment,return-value]
    assert bench.infer(image()).status_code == 200
    bench.publish(entry("top1"))
    answer = bench.infer(image())
    assert answer.status_code == 502
    assert "not a list" not in answer.text
    assert [line["status"] for line in bench.log()] == [200, 502]
    assert bench.gateway.stats.unparsed == 2


def test_error_answers_of_the_model_pass_and_are_logged(bench: Bench) -> None:
    bench.model.status = 422
    bench.publish(entry("top1"))
    assert bench.infer(image()).status_code == 422
    assert bench.log()[0]["status"] == 422


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"inputs": []}',
        b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [NaN]}]}',
        b"\xff",
    ],
)
def test_a_malformed_body_is_a_clear_400_and_logged(bench: Bench, body: bytes) -> None:
    answer = bench.ask("POST", INFER, who="alice", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    line = bench.log()[0]
    assert (line["status"], line["decision"], line["category"]) == (400, "deny", "inference")
    assert line["input_bytes"] == len(body)
    assert bench.model.bodies == []
    assert bench.gateway.stats.unparsed == bench.gateway.stats.denied == 1


def test_a_body_beyond_the_codec_passes_unless_a_control_would_be_slipped_by(bench: Bench) -> None:
    body = {"inputs": [{"name": "x", "shape": [1], "datatype": "BF16", "data": [1]}]}
    binary = {"content": b"{}\x00\x01", "headers": {"inference-header-content-length": "2"}}
    assert bench.ask("POST", INFER, who="alice", json=body).status_code == 200
    assert bench.ask("POST", INFER, who="alice", **binary).status_code == 200
    for control in (
        entry("query_budget", params={"queries": 99, "window_seconds": 1}),
        entry("input_noise", params={"sigma": 0.1}),
        entry("top1"),
    ):
        bench.publish(control)
        assert bench.ask("POST", INFER, who="alice", json=body).status_code == 400
        assert bench.ask("POST", INFER, who="alice", **binary).status_code == 400
    assert len(bench.log()) == 8


def test_bodies_and_rows_have_limits(make_bench: Make) -> None:
    bench = make_bench(max_body_bytes=2000, max_rows=3)
    assert bench.ask("POST", INFER, content=b"x" * 2001).status_code == 413

    async def chunks() -> Any:
        for _ in range(5):
            yield b"x" * 500

    assert bench.ask("POST", INFER, content=chunks()).status_code == 413
    assert bench.infer(np.zeros((4, 1))).status_code == 400
    assert [line["status"] for line in bench.log()] == [413, 413, 400]
    assert bench.model.bodies == []


def test_a_blocked_clients_large_body_is_not_read(bench: Bench) -> None:
    bench.publish(entry("block", "b"))
    taken = 0

    async def chunks() -> Any:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield b"x" * 50_000

    assert bench.ask("POST", INFER, content=chunks()).status_code == 403
    assert taken < 5
    assert bench.log()[0]["policy_ref"] == "b"


def test_two_different_keys_in_one_request_are_refused(bench: Bench) -> None:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=bench.gateway)
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            return await client.get("/v2", headers=[("x-api-key", "a"), ("x-api-key", "b")])

    assert asyncio.run(ask()).status_code == 400
    assert bench.log()[0]["status"] == 400


def test_a_bearer_header_names_one_principal_however_it_is_written(make_bench: Make) -> None:
    bench = make_bench(principal_header="Authorization")
    for value in ("Bearer alice-key-000", "bearer  alice-key-000", "alice-key-000"):
        bench.ask("GET", "/v2", headers={"authorization": value})
    assert {line["principal"] for line in bench.log()} == {"alice"}


def test_a_failing_application_is_logged_and_the_error_goes_on(bench: Bench) -> None:
    async def broken(_scope: Any, _receive: Any, _send: Any) -> None:
        raise RuntimeError("model fell over")

    bench.gateway.app = broken
    for path, method in ((INFER, "POST"), ("/v2", "GET")):
        with pytest.raises(RuntimeError, match="fell over"):
            bench.ask(method, path, who="alice", json=infer_body(image()))
    assert [line["status"] for line in bench.log()] == [500, 500]


def test_an_answer_too_large_to_hold_streams_on_unless_controlled(make_bench: Make) -> None:
    bench = make_bench(max_answer_bytes=100)
    full = bench.infer(image(rows=3))
    assert full.json()["outputs"] == bench.model.label_and_scores(image(rows=3))
    assert "output_label" not in bench.log()[0]
    bench.publish(entry("top1"))
    assert bench.infer(image(rows=3)).status_code == 502


def test_the_log_is_written_before_the_answer_leaves(bench: Bench) -> None:
    seen: list[int] = []

    async def run() -> None:
        async def receive() -> Any:
            return {"type": "http.request", "body": json.dumps(infer_body(image(rows=2))).encode()}

        async def send(_message: Any) -> None:
            seen.append(len(bench.log()))

        scope = {"type": "http", "method": "POST", "path": INFER, "headers": [], "client": None}
        await bench.gateway(scope, receive, send)

    asyncio.run(run())
    assert seen == [2, 2]


def test_a_client_that_goes_away_is_logged(bench: Bench) -> None:
    async def run() -> None:
        async def receive() -> Any:
            return {"type": "http.disconnect"}

        async def send(_message: Any) -> None:
            raise AssertionError("nobody is there")

        await bench.gateway({"type": "http", "method": "POST", "path": INFER, "headers": []}, receive, send)

    asyncio.run(run())
    assert "status" not in bench.log()[0]


def test_websockets_do_not_slip_by_a_block(bench: Bench) -> None:
    bench.publish(entry("block"))
    sent: list[Any] = []

    async def run() -> None:
        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await bench.gateway(
            {"type": "websocket", "path": "/ws", "headers": [(b"x-event-time", b"%d" % START)]}, receive, send
        )

    asyncio.run(run())
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert bench.log()[0]["decision"] == "deny"


def test_answers_are_asked_for_uncompressed_and_unextended(bench: Bench) -> None:
    bench.infer(image(), headers={"accept-encoding": "gzip"})
    scope = bench.model.scopes[0]
    assert b"accept-encoding" not in dict(scope["headers"])
    assert scope["extensions"] == {}


def test_a_full_disk_does_not_stop_the_service(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bench.gateway._recorder.writer, "write", full)
    assert bench.infer(image()).status_code == 200
    assert bench.gateway.stats.log_errors == 1


def test_settings_that_cannot_work_are_refused(make_bench: Make) -> None:
    digest = "0" * 64
    for bad in (
        {"secret": b"short"},
        {"accounts": {"alice-key-000": "alice"}},
        {"accounts": {digest: "anonymous"}},
        {"accounts": {digest: "key_0123"}},
        {"input_range": (1.0, 0.0)},
        {"vec_scale": 0.0},
        {"max_rows": 0},
    ):
        with pytest.raises(UsageError):
            make_bench(**bad)


def test_a_log_that_cannot_be_opened_is_an_error_at_once(make_bench: Make, tmp_path: Any) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        make_bench(log_path=tmp_path)


def test_the_secret_is_not_in_the_config_repr(bench: Bench) -> None:
    assert SECRET.decode() not in repr(bench.config)


def test_noise_refuses_an_input_that_has_no_numbers(bench: Bench) -> None:
    texts = {"inputs": [{"name": "t", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}]}
    assert bench.ask("POST", INFER, who="alice", json=texts).status_code == 200
    bench.publish(entry("input_noise", "n", params={"sigma": 0.1}))
    assert bench.ask("POST", INFER, who="alice", json=texts).status_code == 400
    lines = bench.log()
    assert [line["status"] for line in lines] == [200, 200, 400]
    assert lines[0]["input_fp"] == lines[2]["input_fp"] != lines[1]["input_fp"]
    assert "input_vec" not in lines[0]


def test_lifespan_and_open_websockets_reach_the_application(bench: Bench) -> None:
    reached: list[str] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        reached.append(scope["type"])

    async def nothing(*_: Any) -> Any:
        return {}

    bench.gateway.app = app
    asyncio.run(bench.gateway({"type": "lifespan"}, nothing, nothing))
    asyncio.run(bench.gateway({"type": "websocket", "path": "/ws", "headers": []}, nothing, nothing))
    assert reached == ["lifespan", "websocket"]
    assert [line["decision"] for line in bench.log()] == ["allow"]


@pytest.mark.parametrize("datatype", ["INT8", "UINT64", "INT64", "FP16"])
def test_noise_keeps_extreme_values_within_their_datatype(make_bench: Make, datatype: str) -> None:
    bench = make_bench(input_range=None)
    bench.publish(entry("input_noise", params={"sigma": 1e6}))
    top = {"INT8": 127, "UINT64": 2**64 - 1, "INT64": 2**63 - 1, "FP16": 65504.0}[datatype]
    body = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": datatype, "data": [top, 0, top]}]}
    assert bench.ask("POST", INFER, who="alice", json=body).status_code == 200
    data = json.loads(bench.model.bodies[0])["inputs"][0]["data"]
    assert all(-top - 1 <= value <= top for value in data)
    assert type(data[0]) is type(top)
