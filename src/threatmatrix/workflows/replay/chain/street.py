"""Honest users on the same road as the attacker: each request goes out when its time has come."""

from __future__ import annotations

import base64
import http.client
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from threatmatrix.emulate.reference.artefact_staff import StaffVisit
from threatmatrix.emulate.reference.base import Visit
from threatmatrix.emulate.target import Rows
from threatmatrix.model.errors import RunError

__all__ = ["Errand", "Street", "of_model", "of_store"]

_REFUSED = frozenset({403, 429})


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One request of an honest user, ready to send. ``at``: µs since the start; ``rows``: what it counts."""

    at: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    rows: int = 1


def of_model(visits: Iterator[Visit], model: str, key: Callable[[str], str]) -> Iterator[Errand]:
    """Visits to a model, as the Open Inference Protocol has them; feedback goes beside it."""
    for visit in visits:
        yield errand_of(visit, model, key)


def errand_of(visit: Visit, model: str, key: Callable[[str], str]) -> Errand:
    """One visit as a request."""
    body: dict[str, Any] = {"inputs": [_tensor(visit.rows)]}
    verb = "infer"
    if visit.teaches is not None:
        body["labels"], verb = visit.teaches.tolist(), "feedback"
    headers = {
        "content-type": "application/json",
        "user-agent": visit.user_agent,
        "x-api-key": key(visit.account),
        "x-forwarded-for": visit.address,
    }
    path = f"/v2/models/{quote(model, safe='')}/{verb}"
    content = json.dumps(body).encode()
    return Errand(at=visit.at, method="POST", path=path, headers=headers, body=content, rows=len(visit.rows))


def of_store(visits: Iterator[StaffVisit]) -> Iterator[Errand]:
    """Visits to an artefact store."""
    for each in visits:
        yield Errand(at=each.at, method=each.method, path=each.path, headers=each.headers, body=each.body)


class Street:
    """Sends the requests of honest users in order of event time; ``pace`` stretches their gaps."""

    def __init__(self, url: str, errands: Iterator[Errand], *, start: int, pace: float = 1.0) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._errands = errands
        self._start = start
        self._pace = pace
        self._next = next(errands, None)
        self.sent = self.refused = 0  # requests

    def close(self) -> None:
        self._connection.close()

    def until(self, now: int) -> int:
        """Send everything that falls due up to ``now`` (µs); returns the rows that were sent."""
        rows = 0
        while self._next is not None and (at := self._start + int(self._next.at * self._pace)) <= now:
            self.send(self._next, at)
            rows += self._next.rows
            self._next = next(self._errands, None)
        return rows

    def send(self, errand: Errand, at: int) -> bool:
        """One request; False where it was refused. Raises RunError for any other answer than a good one."""
        headers = {**errand.headers, "x-event-time": str(at)}
        try:
            self._connection.request(errand.method, errand.path, errand.body or None, headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise RunError(f"the reference server failed an honest user: {error!r}") from error
        self.sent += 1
        if response.status in _REFUSED:
            self.refused += 1
            return False
        if not 200 <= response.status < 300:
            said = content[:200].decode(errors="replace")
            raise RunError(f"the reference server answered an honest user with HTTP {response.status}: {said}")
        return True


def _tensor(rows: Rows) -> dict[str, object]:
    if rows.dtype.kind != "O":
        return {"name": "input", "shape": list(rows.shape), "datatype": "FP64", "data": rows.ravel().tolist()}
    data = [base64.b64encode(row).decode("ascii") if isinstance(row, bytes) else row for row in rows]
    return {"name": "input", "shape": [len(rows)], "datatype": "BYTES", "data": data}
