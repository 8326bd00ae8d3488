"""Honest clients on the same road as the attacker: each request goes out when its time has come."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

from threatmatrix.emulate.reference.honest import HonestRequest
from threatmatrix.emulate.reference.mlp import FloatArray, IntArray
from threatmatrix.model.errors import RunError

__all__ = ["Served", "Street"]


@dataclass(frozen=True, slots=True)
class Served:
    """What became of one honest request: labels (n,) int64, or None where it was refused."""

    time: int
    account: str
    index: IntArray
    labels: IntArray | None


class Street:
    """Sends honest requests in order of event time; ``pace`` stretches their gaps."""

    def __init__(
        self,
        url: str,
        model: str,
        traffic: Iterator[HonestRequest],
        key: Callable[[str], str],
        *,
        start: int,
        pace: float = 1.0,
    ) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._path = f"/v2/models/{model}/infer"
        self._traffic = traffic
        self._key = key
        self._start = start
        self._pace = pace
        self._next = next(traffic, None)
        self.served: list[Served] = []

    def close(self) -> None:
        self._connection.close()

    def until(self, now: int) -> int:
        """Send everything that falls due up to ``now`` (µs); returns the rows that were sent."""
        rows = 0
        while self._next is not None and (at := self._due(self._next)) <= now:
            labels = self.send(self._next.account, self._next.user_agent, self._next.rows, at)
            self.served.append(Served(at, self._next.account, self._next.index, labels))
            rows += len(self._next.rows)
            self._next = next(self._traffic, None)
        return rows

    def send(self, account: str, user_agent: str, rows: FloatArray, at: int) -> IntArray | None:
        """One request: labels (n,) int64, or None where the gateway refused. Raises RunError for anything else."""
        tensor = {"name": "input", "shape": list(rows.shape), "datatype": "FP64", "data": rows.ravel().tolist()}
        headers = {
            "content-type": "application/json",
            "user-agent": user_agent,
            "x-api-key": self._key(account),
            "x-event-time": str(at),
        }
        try:
            self._connection.request("POST", self._path, json.dumps({"inputs": [tensor]}).encode(), headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise RunError(f"the reference server failed an honest client: {error!r}") from error
        if response.status in {403, 429}:
            return None
        if response.status != 200:
            raise RunError(f"the reference server answered an honest client with HTTP {response.status}")
        outputs = {output["name"]: output["data"] for output in json.loads(content)["outputs"]}
        return np.asarray(outputs["label"], dtype=np.int64)

    def _due(self, request: HonestRequest) -> int:
        return self._start + int(request.offset_us * self._pace)
