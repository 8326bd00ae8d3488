"""What every client over HTTP has in common: it keeps to a signed-off scope and hard budgets."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict, Unpack
from urllib.parse import SplitResult, urlsplit

from threatmatrix import __version__
from threatmatrix.emulate import scope as scopes
from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.ledger import QueryLedger
from threatmatrix.emulate.targets.connection import Connection, RawAnswer, RawRequest
from threatmatrix.model.errors import KillSwitchThrown, ScopeError, TargetError, TargetRefused, UsageError
from threatmatrix.model.system import Scope

__all__ = ["Conduct", "HTTPClient"]

REFUSALS = (401, 403, 429)
_HIDDEN = "(secret)"
_SLICE = 1.0
"""Seconds of a pause after which the kill switch is looked at again."""
_ADDRESS = "Give http://host:port, without a user name"


def _wall_clock() -> int:
    return time.time_ns() // 1000


def _no_hook(rows: int) -> None:
    pass


class Conduct(TypedDict, total=False):
    """How a client behaves, whatever it speaks.

    - ``accounts``, ``account_header``: whose key goes along, and in which header: ``authorization`` (as a bearer's),
      another, or "" for the one that the protocol has.
    - ``address``: key → the address for ``x-forwarded-for``, as a proxy would hand it on; for replays.
    - ``ledger``: shared by all clients under one scope; without it one of ``scope.max_queries``. It keeps the
      rate of all its clients together: its own ``rps`` or the scope's, whichever is lower.
    - ``max_queries``, ``seconds`` of wall time, ``rps``: further limits for this client alone.
    - ``agent``: comes before ``threatmatrix/<version> emulation/<correlation>`` in the user agent.
    - ``clock``: event time in µs for the ``x-event-time`` header, or None; for replays.
    - ``pause``: lets that many seconds pass where time is the clock's; without it a pause is really waited for.
    - ``now``: wall clock in µs, for the scope's expiry.
    - ``timeout``: seconds for one request, from its first byte to the last of its answer.
    """

    accounts: AccountPool | None
    account_header: str
    address: Callable[[str], str] | None
    ledger: QueryLedger | None
    max_queries: int | None
    seconds: float | None
    rps: float | None
    agent: str
    correlation: str | None
    before_request: Callable[[int], None]
    after_request: Callable[[int], None]
    clock: Callable[[], int | None]
    pause: Callable[[float], None]
    now: Callable[[], int]
    kill_switch: Path | None
    timeout: float


class HTTPClient:
    """Sends requests to one host, about one model, for one technique, and counts them.

    Before every request, in this order: the kill-switch file, an earlier failure (a target that failed is
    not asked again), the scope (host, model, technique, expiry), the budgets and the wall time,
    ``before_request(rows)``, the rate. After it ``after_request(rows)``, whatever the answer. Rows count when they
    are sent.

    Raises ScopeError, KillSwitchThrown, BudgetExhausted; TargetRefused for 401, 403 and 429; TargetError for
    5xx, any other status, a lost connection, a timeout or an answer that is none. Redirects are not followed.
    """

    def __init__(self, base_url: str, model: str, scope: Scope, technique: str, **conduct: Unpack[Conduct]) -> None:
        self.model = model
        self.queries = 0
        self.accounts = conduct.get("accounts") or AccountPool()
        self.correlation = conduct.get("correlation") or str(uuid.uuid4())
        self.before_request = conduct.get("before_request", _no_hook)
        self.after_request = conduct.get("after_request", _no_hook)
        self._url = urlsplit(base_url.rstrip("/"))
        if self._url.scheme not in ("http", "https") or not self._url.hostname or "@" in self._url.netloc:
            raise ScopeError(f"{base_url!r} is no target", hint=_ADDRESS)
        self._host = _with_port(self._url)
        self._scope, self._technique, self._now = scope, technique, conduct.get("now", _wall_clock)
        self._shared = conduct.get("ledger") or QueryLedger(scope.max_queries)
        self._shared.keep_rate(scope.rps)
        own = conduct.get("max_queries")
        limit = scope.max_queries if own is None else own
        self._own = QueryLedger(limit, rps=conduct.get("rps"), seconds=conduct.get("seconds"))
        self._clock, self._kill_switch = conduct.get("clock", lambda: None), conduct.get("kill_switch")
        self._account_header = conduct.get("account_header") or "x-api-key"
        self._address, self._pause = conduct.get("address"), conduct.get("pause", self._sleep)
        agent = conduct.get("agent", "python-requests/2.32")
        self._agent = f"{agent} threatmatrix/{__version__} emulation/{self.correlation}".lstrip()
        self._failure: TargetError | None = None
        self._check()
        timeout = conduct.get("timeout", 30.0)
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

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        rows: int,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        expected: Collection[int] = (),
        reverting: bool = False,
    ) -> RawAnswer:
        """Send one request that costs so many rows. ``path`` follows the base URL's.

        ``key``: this account's, instead of the pool's next. ``expected``: statuses that are no error beside 2xx.
        ``reverting``: it takes a change back, and no budget stands against that (it is counted apart).
        """
        self._stop_if_asked()
        if self._failure is not None:
            raise self._failure
        self._check()
        if not reverting:
            self.afford(rows)
        self.before_request(rows)
        own = self._headers(body is not None, self.accounts.before_request() if key is None else key)
        more = {name.lower(): value for name, value in (headers or {}).items()}
        request = RawRequest(method, self._url.path + path, body, _sendable(own | more))
        try:
            answer = self._connection.request(request, lambda: self._charge(rows, reverting=reverting))
        except TargetError as e:
            self._fail(e)
            raise
        self.after_request(rows)
        return self._accept(answer, expected, own_key=key is None)

    def pause(self, seconds: float) -> None:
        """Send nothing for so long. Raises KillSwitchThrown; BudgetExhausted, at once, where the wall time is shorter.

        The scope's end is seen by the next request.
        """
        self._stop_if_asked()
        self._pause(seconds)

    def _sleep(self, seconds: float) -> None:
        self._shared.outlast(seconds)
        self._own.outlast(seconds)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE))
            self._stop_if_asked()

    def secrets(self) -> tuple[str, ...]:
        """What an error must not repeat, whatever the target says."""
        return tuple(self.accounts.keys)

    def _check(self) -> None:
        scopes.check(self._scope, self._host, self.model, self._technique, self._now())

    def _stop_if_asked(self) -> None:
        if self._kill_switch is not None and self._kill_switch.exists():
            raise KillSwitchThrown(f"{self._kill_switch} exists: the emulation stops", hint="Remove it to go on")

    def afford(self, rows: int) -> None:
        """Raises BudgetExhausted where so many rows cannot be sent any more."""
        self._shared.afford(rows)
        self._own.afford(rows)

    def _charge(self, rows: int, *, reverting: bool) -> float:
        """Count the rows that go out now; the seconds that are left for them."""
        if reverting:
            self._shared.wait(past_the_end=True)
            self._shared.taken_back += rows
            self.queries += rows
            return math.inf
        self.afford(rows)
        if self._shared.wait() | self._own.wait():  # what was true before the wait need not be true after it
            self._stop_if_asked()
            self._check()
            self.afford(rows)
        self._shared.take(rows)
        self._own.take(rows)
        self.queries += rows
        return max(0.001, min(self._shared.seconds_left, self._own.seconds_left))

    def _headers(self, has_body: bool, key: str) -> dict[str, str]:
        headers = {"user-agent": self._agent, "accept": "application/json"}
        if has_body:
            headers["content-type"] = "application/json"
        if key:
            bearer = self._account_header.lower() == "authorization" and " " not in key
            headers[self._account_header.lower()] = f"Bearer {key}" if bearer else key
        if self._address is not None and (address := self._address(key)):
            headers["x-forwarded-for"] = address
        if (at := self._clock()) is not None:
            headers["x-event-time"] = str(at)
        return headers

    def _accept(self, answer: RawAnswer, expected: Collection[int], *, own_key: bool) -> RawAnswer:
        if 200 <= answer.status < 300 or answer.status in expected:
            if own_key:
                self.accounts.accepted()
            return answer
        said = self.hide(answer.body[:200].decode(errors="replace").strip())
        if answer.status in REFUSALS:
            raise TargetRefused(answer.status, said)
        if 300 <= answer.status < 400:
            raise ScopeError(
                f"the target redirects to {self.hide(answer.location) or 'nowhere'}: redirects are not followed",
                hint="Put the address that you may attack into the scope and name it as the target",
            )
        error = TargetError(f"the target answered HTTP {answer.status}: {said}", hint="The emulation has stopped")
        if answer.status >= 500:
            self._fail(error)
        raise error

    def _fail(self, error: TargetError) -> None:
        self._failure = error
        self._shared.failed = True

    def hide(self, text: str) -> str:
        """A message without the secrets that it repeats."""
        for secret in self.secrets():
            if secret:
                text = text.replace(secret, _HIDDEN)
        return text


def _with_port(url: SplitResult) -> str:
    """The host with its port, the protocol's own where none is written."""
    try:
        port = url.port or {"http": 80, "https": 443}[url.scheme]
    except ValueError as e:
        raise ScopeError(f"{url.netloc!r} is no address: {e}", hint=_ADDRESS) from e
    name = url.hostname or ""
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _sendable(headers: dict[str, str]) -> dict[str, str]:
    """The headers, none of which breaks out of its line; a value is not repeated, it may be a secret."""
    for name, value in headers.items():
        if not (name.isascii() and name.replace("-", "").replace("_", "").isalnum()):
            raise UsageError(f"{name!r} is no name for a header")
        if not (value.isascii() and value.isprintable()):
            raise UsageError(f"the value of the header {name} has characters that a header cannot carry")
    return headers
