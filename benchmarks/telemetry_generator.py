"""Log lines as serving stacks write them, seeded, faster than anything reads them.

    python -m benchmarks.telemetry_generator gateway 1000000 --seed 7 > gateway.jsonl

A few thousand accounts, Zipf-distributed, each with its address, agent and session; requests come in bursts; one line
in some thousand is malformed in one of the ways in which logs are. A block of lines is made once, with full care; the
blocks after it differ in times and ids, which are written into copies of the first: millions of lines per second.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

__all__ = ["SOURCES", "blocks", "kserve_messages"]

START = 1_767_225_600_000_000  # 2026-01-01, µs
BLOCK = 20_000
GAP = 20  # µs between lines on average: 50,000 a second, so that 50 million fill 17 minutes of one day
ACCOUNTS = 5_000
_TIME = b"0000000000000000"  # µs, or seconds with a fraction: replaced
_REF = b"ffffffff"  # number of the line: replaced
Rng = np.random.Generator


class _Accounts:
    """Who asks: a rank by Zipf's law; what belongs to a rank never changes."""

    def __init__(self, rng: Rng) -> None:
        self._rng = rng
        self._agents = ("python-httpx/0.28.1", "curl/8.11.0", "Scanner/4.1 (parcel)", "Mozilla/5.0 (X11; Linux x86_64)")
        self._share = np.cumsum(1 / np.arange(1, ACCOUNTS + 1) ** 1.1)
        self._share /= self._share[-1]

    def draw(self) -> dict[str, str]:
        rank = int(np.searchsorted(self._share, self._rng.random()))
        return {
            "principal": f"acct-{rank:04d}",
            "src_ip": f"198.51.{rank // 250}.{rank % 250 + 1}",
            "user_agent": self._agents[rank % len(self._agents)],
            "session": f"s-{rank:04d}-{self._rng.integers(4)}",
            "key": f"key_{rank:04x}",
        }


def gateway_line(rng: Rng, who: dict[str, str], ref: bytes) -> bytes:
    """A line of the gateway's log, keys in the order in which it writes them (gateway/record.py)."""
    kind = rng.random()
    path, operation = ("/v2/models/digits/infer", "infer") if kind < 0.97 else ("/v2/models/digits", "metadata")
    category = "inference" if operation == "infer" else "model_access"
    head = {"v": 1, "category": category, "operation": operation, "system": "digits-demo"}
    head |= {key: who[key] for key in ("principal", "src_ip", "user_agent")}
    head |= {"method": "POST" if operation == "infer" else "GET", "endpoint": path, "model": "digits"}
    text = _json(head | {"session": who["session"]})[:-1] + b',"time":' + _TIME + b',"request_ref":"' + ref + b'"'
    tail: dict[str, Any] = {"latency_ms": round(float(rng.gamma(2, 0.8)), 3), "decision": "allow", "status": 200}
    if operation != "infer":
        return text + b"," + _json(tail)[1:-1] + b',"event_id":"' + ref + b':0"}'
    tail = {"input_bytes": 512, "vec_scale": 0.03125, "vec_key": "5d41402abc4b2a76", **tail}
    if kind < 0.02:  # refused
        tail |= {"decision": "deny", "status": 429, "policy_ref": "budget-7", "rows": 1, "row": 0}
        return text + b"," + _json(tail | {"input_fp": rng.bytes(16).hex()})[1:-1] + b',"event_id":"' + ref + b':0"}'
    scores = np.round(rng.dirichlet(np.full(10, 0.3)), 6).tolist()
    row = {"row": 0, "input_fp": rng.bytes(16).hex(), "input_vec": base64.b64encode(rng.bytes(64)).decode()}
    row |= {"output_label": str(int(np.argmax(scores))), "output_scores": scores}
    return text + b"," + _json(tail | {"rows": 1})[1:-1] + b',"event_id":"' + ref + b':0",' + _json(row)[1:]


def nginx_line(rng: Rng, who: dict[str, str], ref: bytes) -> bytes:
    """A line of nginx's log_format in docs/sources/logs.md."""
    path = ("/v2/models/digits/infer", "/v2/models/digits", "/v2/health/ready", "/favicon.ico")[
        int(rng.choice(4, p=[0.93, 0.03, 0.03, 0.01]))
    ]
    status = int(rng.choice([200, 429, 500], p=[0.97, 0.02, 0.01]))
    rest: dict[str, Any] = {"src_ip": who["src_ip"], "user": "", "key_id": who["key"], "server_name": "models.example"}
    rest |= {"method": "POST" if path.endswith("infer") else "GET", "uri": path, "status": status}
    rest |= {"bytes_in": int(rng.integers(300, 900)), "bytes_out": 341, "rt": round(float(rng.gamma(2, 0.002)), 3)}
    rest |= {"ua": who["user_agent"], "traceparent": f"00-{rng.bytes(16).hex()}-{rng.bytes(8).hex()}-01"}
    start = b'{"time":"2026-01-01T00:00:00+00:00","msec":' + _TIME[:10] + b"." + _TIME[:3]
    return start + b',"request_id":"' + ref + b'",' + _json(rest)[1:]


SOURCES: dict[str, Callable[[Rng, dict[str, str], bytes], bytes]] = {"gateway": gateway_line, "nginx": nginx_line}


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _spoil(rng: Rng, line: bytes) -> bytes:
    """One of the ways in which lines go wrong; the last is still an event."""
    way = rng.random()
    if way < 0.0003:
        return line[: int(rng.integers(20, len(line) - 80))]
    if way < 0.0005:
        return line.replace(b'"status":', b'"status":-', 1)
    return line.replace(b"Scanner/4.1", b"Scanner/\xff\xfe", 1) if way < 0.0008 else line


class _Block:
    """One block of lines and the places in it where times and ids stand."""

    def __init__(self, source: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        accounts = _Accounts(rng)
        make = SOURCES[source]
        ref = b"%016x" % int(rng.integers(2**63)) + _REF
        lines = [_spoil(rng, make(rng, accounts.draw(), ref)) for _ in range(BLOCK)]
        gaps = rng.exponential(GAP, BLOCK) * np.where(rng.random(BLOCK) < 0.05, 8, 0.63)  # bursts, then pauses
        self._times = np.cumsum(gaps).astype(np.int64) % (BLOCK * GAP)
        self._times.sort()
        text = b"\n".join(lines) + b"\n"
        self._bytes = np.frombuffer(text, dtype=np.uint8).copy()
        starts = np.cumsum([0, *(len(line) + 1 for line in lines)])[:-1]
        self._fraction = source == "nginx"
        mark = b'"msec":' if self._fraction else b'"time":'
        self._time_at = self._places(lines, starts, mark, len(mark))
        self._refs = [(at, line) for at, line in self._all_refs(lines, starts, ref)]
        self._ref_at = np.array([at for at, _ in self._refs])
        self._ref_line = np.array([line for _, line in self._refs])

    @staticmethod
    def _places(lines: list[bytes], starts: Any, mark: bytes, skip: int) -> Any:
        """(place, line) of the mark, where there is room behind it."""
        found = [
            (starts[n] + at + skip, n) for n, line in enumerate(lines) if 0 <= (at := line.find(mark)) < len(line) - 40
        ]
        return np.array(found)

    @staticmethod
    def _all_refs(lines: list[bytes], starts: Any, ref: bytes) -> Iterator[tuple[int, int]]:
        for n, line in enumerate(lines):
            at = line.find(ref)
            while at >= 0:
                yield int(starts[n]) + at + len(ref) - len(_REF), n
                at = line.find(ref, at + 1)

    def number(self, index: int) -> bytes:
        """Block ``index``: its times follow those of the block before, its ids are its own."""
        out = self._bytes.copy()
        places, which = self._time_at[:, 0], self._time_at[:, 1]
        times = START + index * BLOCK * GAP + self._times[which]
        if self._fraction:
            times //= 1000
        digits = 13 if self._fraction else 16
        for position in range(digits):
            column = places + position + (position >= 10 and self._fraction)
            out[column] = 48 + (times // 10 ** (digits - 1 - position)) % 10
        numbers = index * BLOCK + self._ref_line
        alphabet = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
        for position in range(len(_REF)):
            out[self._ref_at + position] = alphabet[(numbers >> 4 * (len(_REF) - 1 - position)) & 15]
        return out.tobytes()


def blocks(source: str, events: int, seed: int = 7) -> Iterator[bytes]:
    """Whole lines, ``events`` of them, in blocks of at most 20,000."""
    block = _Block(source, seed)
    for index in range(-(-events // BLOCK)):
        data = block.number(index)
        left = events - index * BLOCK
        yield data if left >= BLOCK else b"".join(data.splitlines(keepends=True)[:left])


def kserve_messages(requests: int, seed: int = 7) -> bytes:
    """What KServe's logger sends: CloudEvents over HTTP, a request and its response, 64 numbers in."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(requests):
        tensor = {"name": "x", "shape": [1, 64], "datatype": "FP32", "data": np.round(rng.random(64), 3).tolist()}
        answer = {"name": "label", "shape": [1], "datatype": "INT64", "data": [int(rng.integers(10))]}
        bodies = (("request", {"inputs": [tensor]}), ("response", {"model_name": "digits", "outputs": [answer]}))
        for kind, body in bodies:
            data = json.dumps(body).encode()
            second = 60 * number // 1000 % 60
            found.append(
                b"POST / HTTP/1.1\r\nHost: collector\r\nCe-Specversion: 1.0\r\n"
                + f"Ce-Id: {number:032x}\r\nCe-Type: org.kubeflow.serving.inference.{kind}\r\n".encode()
                + f"Ce-Time: 2026-01-01T00:{number // 60000:02d}:{second:02d}.000Z\r\n".encode()
                + b"Ce-Source: http://digits\r\nCe-Inferenceservicename: digits\r\nCe-Namespace: models\r\n"
                + f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode()
                + data
                + b"\r\n"
            )
    return b"".join(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", choices=SOURCES)
    parser.add_argument("events", type=int)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    for data in blocks(given.source, given.events, given.seed):
        sys.stdout.buffer.write(data)


if __name__ == "__main__":
    main()
