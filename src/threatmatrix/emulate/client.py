"""A client of the Open Inference Protocol v2 that keeps to a signed-off scope and a hard budget."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import numpy as np

from threatmatrix import __version__
from threatmatrix.emulate import scope as scopes
from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.connection import Connection, RawAnswer
from threatmatrix.emulate.ledger import QueryLedger
from threatmatrix.emulate.target import Answer, FloatArray, IntArray
from threatmatrix.model.errors import KillSwitchThrown, ScopeError, TargetError, TargetRefused
from threatmatrix.model.system import Scope

__all__ = ["OIPClient"]

REFUSALS = (401, 403, 429)


def _wall_clock() -> int:
    return time.time_ns() // 1000


def _no_hook(rows: int) -> None:
    pass


class OIPClient:
    """A :class:`~threatmatrix.emulate.target.Target` behind ``POST {base_url}/v2/models/{model}/infer``.

    Before every request, in this order: the kill-switch file, an earlier failure (a target that failed is
    not asked again), the scope (host, model, technique, expiry), ``before_request(rows)``, the budgets, the
    rate. After it ``after_request(rows)``, whatever the answer. Rows count when they are sent.

    - ``ledger``: shared by all clients under one scope; without it one of ``scope.max_queries``. It keeps the
      rate of all its clients together: its own ``rps`` or the scope's, whichever is lower.
    - ``max_queries``: a further limit for this client alone.
    - ``agent``: comes before ``threatmatrix/<version> emulation/<correlation>`` in the user agent.
    - ``clock``: event time in µs for the ``x-event-time`` header, or None; for replays.
    - ``now``: wall clock in µs, for the scope's expiry.

    Raises ScopeError, KillSwitchThrown, BudgetExhausted; TargetRefused for 401, 403 and 429; TargetError for
    5xx, any other status, a lost connection, a timeout or an answer that is none. Redirects are not followed.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        scope: Scope,
        technique: str,
        *,
        input_shape: tuple[int, ...],
        classes: int,
        input_name: str = "input",
        bounds: tuple[float, float] = (0.0, 1.0),
        accounts: AccountPool | None = None,
        account_header: str = "x-api-key",
        ledger: QueryLedger | None = None,
        max_queries: int | None = None,
        agent: str = "python-requests/2.32",
        correlation: str | None = None,
        before_request: Callable[[int], None] = _no_hook,
        after_request: Callable[[int], None] = _no_hook,
        clock: Callable[[], int | None] = lambda: None,
        now: Callable[[], int] = _wall_clock,
        kill_switch: Path | None = None,
        timeout: float = 30.0,
    ) -> None:
        self.input_shape = input_shape
        self.classes = classes
        self.bounds = bounds
        self.accounts = accounts or AccountPool()
        self.correlation = correlation or str(uuid.uuid4())
        self.queries = 0
        self.model = model
        self.before_request = before_request
        self.after_request = after_request
        self._url = urlsplit(base_url.rstrip("/"))
        if self._url.scheme not in ("http", "https") or not self._url.hostname or "@" in self._url.netloc:
            raise ScopeError(f"{base_url!r} is no target", hint="Give http://host:port, without a user name")
        self._scope, self._technique, self._now = scope, technique, now
        shared = ledger or QueryLedger(scope.max_queries)
        shared.keep_rate(scope.rps)
        self._shared = shared
        self._ledgers = [shared]
        if max_queries is not None:
            self._ledgers.append(QueryLedger(max_queries))
        self._clock, self._kill_switch = clock, kill_switch
        self._input_name = input_name
        self._account_header = account_header
        self._agent = f"{agent} threatmatrix/{__version__} emulation/{self.correlation}".lstrip()
        self._failure: TargetError | None = None
        self._model_path = f"/v2/models/{quote(model, safe='')}"
        self._check()
        self._connection = Connection(self._url, timeout=timeout, allow_remote=scope.allow_remote)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; a later request opens it again."""
        self._connection.close()

    def labels(self, x: FloatArray) -> IntArray:
        return self.ask(x).labels

    def scores(self, x: FloatArray) -> FloatArray | None:
        return self.ask(x, want_scores=True).scores

    def ask(self, x: FloatArray, *, want_scores: bool = False) -> Answer:
        """Send rows (n, d) float64 in one request and read labels, and scores where they are wanted and given."""
        names = ("label", "scores") if want_scores else ("label",)
        shape = [len(x), *self.input_shape]
        tensor = {"name": self._input_name, "shape": shape, "datatype": "FP64", "data": np.ravel(x).tolist()}
        body = json.dumps({"inputs": [tensor], "outputs": [{"name": name} for name in names]})
        answer = self._send("POST", f"{self._model_path}/infer", body.encode(), len(x))
        return self._read(answer, len(x), want_scores)

    def read_metadata(self) -> dict[str, object]:
        """GET the server's and the model's metadata and its readiness: path → JSON, one query each."""
        found: dict[str, object] = {}
        for path in ("/v2", self._model_path, f"{self._model_path}/ready"):
            content = self._send("GET", path, None, 1)
            try:
                found[path] = json.loads(content) if content.strip() else {}
            except ValueError:
                found[path] = {}
        return found

    def _check(self) -> None:
        scopes.check(self._scope, self._url.netloc, self.model, self._technique, self._now())

    def _send(self, method: str, path: str, body: bytes | None, rows: int) -> bytes:
        self._stop_if_asked()
        if self._failure is not None:
            raise self._failure
        self._check()
        self._afford(rows)
        self.before_request(rows)
        headers = self._headers(body is not None)
        try:
            answer = self._connection.request(method, self._url.path + path, body, headers, lambda: self._charge(rows))
        except TargetError as e:
            self._failure = e
            raise
        self.after_request(rows)
        return self._accept(answer)

    def _stop_if_asked(self) -> None:
        if self._kill_switch is not None and self._kill_switch.exists():
            raise KillSwitchThrown(f"{self._kill_switch} exists: the emulation stops", hint="Remove it to go on")

    def _afford(self, rows: int) -> None:
        for ledger in self._ledgers:
            if ledger.left < rows:
                ledger.take(rows)  # raises

    def _charge(self, rows: int) -> None:
        self._afford(rows)
        if self._shared.wait():  # what was true before the wait need not be true after it
            self._stop_if_asked()
            self._check()
            self._afford(rows)
        for ledger in self._ledgers:
            ledger.take(rows)
        self.queries += rows

    def _headers(self, has_body: bool) -> dict[str, str]:
        headers = {"user-agent": self._agent, "accept": "application/json"}
        if has_body:
            headers["content-type"] = "application/json"
        if key := self.accounts.before_request():
            headers[self._account_header] = key
        if (at := self._clock()) is not None:
            headers["x-event-time"] = str(at)
        return headers

    def _accept(self, answer: RawAnswer) -> bytes:
        if answer.status == 200:
            self.accounts.accepted()
            return answer.body
        said = answer.body[:200].decode(errors="replace").strip()
        if answer.status in REFUSALS:
            raise TargetRefused(answer.status, said)
        if 300 <= answer.status < 400:
            raise ScopeError(
                f"the target redirects to {answer.location or 'nowhere'}: redirects are not followed",
                hint="Put the address that you may attack into the scope and name it as the target",
            )
        error = TargetError(f"the target answered HTTP {answer.status}: {said}", hint="The emulation has stopped")
        if answer.status >= 500:
            self._failure = error
        raise error

    def _read(self, content: bytes, rows: int, want_scores: bool) -> Answer:
        try:
            outputs = {o["name"]: o["data"] for o in json.loads(content)["outputs"]}
            scores = self._read_scores(outputs, rows) if want_scores or "label" not in outputs else None
            if "label" not in outputs and scores is not None:
                return Answer(np.argmax(scores, axis=1).astype(np.int64), scores if want_scores else None)
            labels = np.asarray(outputs["label"])
            if labels.dtype.kind not in "iu":
                raise ValueError("labels are not whole numbers")
            labels = labels.astype(np.int64).reshape(rows)
            if np.any((labels < 0) | (labels >= self.classes)):
                raise ValueError(f"a label is outside 0..{self.classes - 1}")
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as e:
            raise TargetError(f"the target's answer is not that of the Open Inference Protocol: {e!r}") from e
        return Answer(labels, scores)

    def _read_scores(self, outputs: dict[str, Any], rows: int) -> FloatArray | None:
        if "scores" not in outputs:
            return None
        scores = np.asarray(outputs["scores"], dtype=np.float64).reshape(rows, self.classes)
        if not np.all(np.isfinite(scores)):
            raise ValueError("a score is not finite")
        return scores
