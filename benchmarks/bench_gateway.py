"""What the gateway adds to one request, in process, beside named baselines in the same run.

    PYTHONPATH=src python benchmarks/bench_gateway.py

Every figure is µs; "added" is a variant's quantile minus the bare application's. The variants take turns, request
by request, so that a change of the machine's speed meets all of them alike.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from threatmatrix.gateway import Gateway, GatewayConfig
from threatmatrix.gateway.decide import BudgetMeter, Policy, decide
from threatmatrix.gateway.policy import load_snapshot

SECRET = b"benchmark secret, not a real one"
FAR = 4_000_000_000_000_000
ROW_COUNTS = (1, 10, 100, 1000)
PATH = "/v2/models/digits/infer"


def digits(rows: int) -> list[list[float]]:
    """Rows of 64 grey values k/16, as the real 8x8 digits have."""
    return [[float(v) / 16 for v in row] for row in np.random.default_rng(rows).integers(0, 17, (rows, 64))]


def body(rows: int) -> bytes:
    tensor = {"name": "image", "shape": [rows, 64], "datatype": "FP64", "data": digits(rows)}
    return json.dumps({"inputs": [tensor]}).encode()


def bare_app(rows: int) -> Callable[..., Any]:
    """Answers a fixed document at once: what it costs is ASGI, not a model."""
    scores = [[round(float(v), 6) for v in row] for row in np.random.default_rng(1).dirichlet(np.ones(10), rows)]
    outputs = [
        {"name": "label", "datatype": "INT64", "shape": [rows], "data": [0] * rows},
        {"name": "scores", "datatype": "FP64", "shape": [rows, 10], "data": scores},
    ]
    answer = json.dumps({"model_name": "digits", "outputs": outputs}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app


def pass_through(app: Any) -> Any:
    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        async def forward(message: Any) -> None:
            await send(message)

        await app(scope, receive, forward)

    return middleware


def starlette_base(app: Any) -> Any:
    from starlette.middleware.base import BaseHTTPMiddleware

    async def dispatch(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    return BaseHTTPMiddleware(app, dispatch=dispatch)


def entry(kind: str, number: int, **more: Any) -> dict[str, Any]:
    base = {"entry_id": f"e{number}", "kind": kind, "owner": "bench", "reason": "bench", "created_at": 0}
    return {**base, "expires_at": FAR, "principal": None, "model": None, "params": {}, **more}


def write_policy(path: Path, entries: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps({"version": 1, "published_at": 0, "entries": entries}))
    return path


def blocks(count: int) -> list[dict[str, Any]]:
    return [entry("block", i, principal=f"principal-{i}") for i in range(count)]


def gateway(app: Any, where: Path, name: str, entries: list[dict[str, Any]]) -> Gateway:
    policy = write_policy(where / f"{name}.json", entries)
    accounts = {"2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683": "principal-7"}  # sha256("key")
    return Gateway(
        app,
        GatewayConfig(
            system="bench", log_path=where / f"{name}.jsonl", policy_path=policy, secret=SECRET, accounts=accounts
        ),
    )


async def one(app: Any, raw: bytes, key: bytes) -> int:
    """Nanoseconds of one request."""
    headers = [
        (b"host", b"127.0.0.1:8000"),
        (b"user-agent", b"DigitsApp/2.3 (Android 14)"),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(raw)).encode()),
        (b"x-api-key", key),
    ]
    scope = {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "headers": headers,
        "client": ("127.0.0.1", 5),
        "query_string": b"",
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": raw, "more_body": False}

    async def send(message: Any) -> None:
        pass

    started = time.perf_counter_ns()
    await app(scope, receive, send)
    return time.perf_counter_ns() - started


async def measure(variants: dict[str, tuple[Any, bytes, bytes]], rounds: int) -> dict[str, tuple[float, float]]:
    """(p50, p99) µs of each variant."""
    took: dict[str, list[int]] = {name: [] for name in variants}
    for turn in range(rounds + rounds // 10):
        for name, (app, raw, key) in variants.items():
            spent = await one(app, raw, key)
            if turn >= rounds // 10:  # the first tenth warms up
                took[name].append(spent)
    return {name: (float(np.quantile(t, 0.5)) / 1000, float(np.quantile(t, 0.99)) / 1000) for name, t in took.items()}


def decision_cost(policy: Policy, principal: str, repeat: int = 200_000) -> float:
    """µs of one call of ``decide`` alone."""
    meter = BudgetMeter()
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter_ns()
        for _ in range(repeat):
            decide(policy, meter, principal=principal, model="digits", rows=1, now=1)
        best = min(best, (time.perf_counter_ns() - started) / repeat / 1000)
    return best


def one_row(where: Path, rounds: int) -> dict[str, Any]:
    app, raw = bare_app(1), body(1)
    noise = [entry("input_noise", 1, params={"sigma": 0.1}), entry("top1", 2)]
    hundred = gateway(app, where, "blocks", blocks(100_000))
    variants: dict[str, tuple[Any, bytes, bytes]] = {
        "bare app": (app, raw, b"other"),
        "pass-through ASGI middleware": (pass_through(app), raw, b"other"),
        "gateway, no policy entries": (gateway(app, where, "empty", []), raw, b"other"),
        "gateway, 100k blocked principals": (hundred, raw, b"other"),
        "gateway, noise and top-1": (gateway(app, where, "noise", noise), raw, b"other"),
        "gateway, denied (one of 100k)": (hundred, raw, b"key"),
    }
    if importlib.util.find_spec("starlette"):
        variants["Starlette BaseHTTPMiddleware"] = (starlette_base(app), raw, b"other")
    figures = asyncio.run(measure(variants, rounds))
    base = figures["bare app"]
    return {
        name: {"p50": p50, "p99": p99, "added_p50": p50 - base[0], "added_p99": p99 - base[1]}
        for name, (p50, p99) in figures.items()
    }


def by_rows(where: Path, rounds: int) -> dict[int, dict[str, float]]:
    result = {}
    for rows in ROW_COUNTS:
        app, raw = bare_app(rows), body(rows)
        guarded = gateway(app, where, f"rows{rows}", [])
        variants = {"bare": (app, raw, b"other"), "gateway": (guarded, raw, b"other")}
        figures = asyncio.run(measure(variants, max(30, rounds // (10 * rows) + 30)))
        added = figures["gateway"][0] - figures["bare"][0]
        result[rows] = {"added_p50": added, "per_row": added / rows}
    return result


def main(rounds: int = 5000) -> dict[str, Any]:
    """Measure, print, and give the figures back."""
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        path = write_policy(where / "load.json", blocks(100_000))
        started = time.perf_counter()
        policy = Policy(load_snapshot(path))
        loading = time.perf_counter() - started
        gc.collect()
        result: dict[str, Any] = {
            "decide_0": decision_cost(Policy(), "other"),
            "decide_100k": decision_cost(policy, "other"),
            "decide_100k_blocked": decision_cost(policy, "principal-7"),
            "load_100k_seconds": loading,
            "one_row": one_row(where, rounds),
            "rows": by_rows(where, rounds),
        }
    report(result)
    return result


def report(result: dict[str, Any]) -> None:
    print("gateway: one 1-row digits request, in process, µs")
    print(f"  {'':34s}{'p50':>8s}{'p99':>8s}{'added p50':>11s}{'added p99':>11s}")
    for name, row in result["one_row"].items():
        print(f"  {name:34s}{row['p50']:8.1f}{row['p99']:8.1f}{row['added_p50']:11.1f}{row['added_p99']:11.1f}")
    print("policy check alone (decide), µs per call")
    print(f"  no entries {result['decide_0']:.2f} · 100k blocked principals {result['decide_100k']:.2f}")
    print(f"  a blocked one of 100k {result['decide_100k_blocked']:.2f}")
    print(f"reading and indexing a policy of 100k blocks: {result['load_100k_seconds']:.2f} s, when it changes")
    print("added by the gateway, by rows in one request, µs (p50)")
    for rows, row in result["rows"].items():
        print(f"  {rows:5d} rows {row['added_p50']:10.1f}   {row['per_row']:7.2f} per row")


if __name__ == "__main__":
    main()
