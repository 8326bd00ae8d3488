"""The whole gateway in a real server process's thread, over loopback HTTP."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from .conftest import INFER, KEYS, START, Bench, entry, image, infer_body


@contextmanager
def served(bench: Bench) -> Iterator[http.client.HTTPConnection]:
    config = uvicorn.Config(bench.gateway, host="127.0.0.1", port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        connection = http.client.HTTPConnection("127.0.0.1", server.servers[0].sockets[0].getsockname()[1], timeout=10)
        try:
            yield connection
        finally:
            connection.close()
    finally:
        server.should_exit = True
        thread.join(timeout=20)


def ask(connection: http.client.HTTPConnection, who: str, rows: int = 1) -> tuple[int, dict[str, object]]:
    headers = {"x-api-key": KEYS[who], "x-event-time": str(START), "content-type": "application/json"}
    connection.request("POST", INFER, json.dumps(infer_body(image(rows=rows))), headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_a_policy_published_while_serving_bites_at_the_next_request(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(input_range=(0.0, 1.0))
    with served(bench) as connection:
        assert ask(connection, "alice")[0] == 200
        bench.publish(
            entry("block", "b", principal="alice"),
            entry("query_budget", "q", params={"queries": 4, "window_seconds": 60}),
            entry("input_noise", "n", params={"sigma": 0.1}),
            entry("top1", "t"),
        )
        assert ask(connection, "alice", rows=50) == (403, {"error": "refused by policy", "policy": "b"})
        status, answer = ask(connection, "bob", rows=4)
        assert status == 200
        assert [output["name"] for output in answer["outputs"]] == ["label"]  # type: ignore[attr-defined,index]
        assert ask(connection, "bob")[0] == 429
        bench.publish()
        assert ask(connection, "alice", rows=2)[0] == 200
        # whoever has the answer already finds it in the log
        assert [line["status"] for line in bench.log()] == [200] + [403] + [200] * 4 + [429] + [200] * 2
    assert (bench.model.inputs[1] != image(rows=4)).any()
    assert (bench.model.inputs[2] == image(rows=2)).all()
    assert bench.gateway.stats.denied == 2
