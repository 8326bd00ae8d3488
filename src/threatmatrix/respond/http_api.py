"""The http-api executor: one request, with an idempotency key, to an allowed host."""

from __future__ import annotations

import base64
import http.client
import re
from collections.abc import Iterable, Mapping
from urllib.parse import SplitResult, quote, urlsplit

from threatmatrix.model.response import ActionRecord
from threatmatrix.respond.actions import DidNotHappen, Doubtful, Observation
from threatmatrix.respond.variables import KEY_VARIABLE

__all__ = ["HttpExecutor"]

_UNSENDABLE = re.compile(r"[^\x20-\x7e\x80-\xff\t]")
_SECRET_PREFIX = "THREATMATRIX_"  # noqa: S105 (the beginning of a name: a playbook cannot ask for any other variable)
_MAX_ANSWER = 64 * 1024
_KEY = f"{KEY_VARIABLE}:value"


class HttpExecutor:
    """No redirects, no proxies, a timeout, and only hosts that the configuration allows.

    The key goes into the ``Idempotency-Key`` header. A connection that was never made certainly had
    no effect; a lost answer and a 5xx may have had one. A secret that the playbook's own text names
    in a header is read from the environment when the request is made and stored nowhere: outcomes
    name the kind of an error and never quote it, as its text may hold a header.
    """

    by_hand = False

    def __init__(self, allowed_hosts: Iterable[str], environ: Mapping[str, str]) -> None:
        self._allowed = frozenset(host.lower() for host in allowed_hosts)
        self._environ = environ

    def act(self, record: ActionRecord) -> str:
        params = record.params
        content = params.get("content")
        body = content.encode("utf-8", "replace") if content is not None else None
        if params.get("content_b64") is not None:
            body = base64.b64decode(params["content_b64"])
        status = self._send(record, params["method"], params["url"], body)
        if 200 <= status < 300:
            return f"HTTP {status}"
        if status >= 500:
            raise Doubtful(f"HTTP {status}: the other side failed, perhaps after it had acted")
        raise DidNotHappen(f"HTTP {status}: refused")

    def observe(self, record: ActionRecord) -> Observation:
        url = record.params.get("status_url")
        if not url:
            return Observation(None, "it has no status address to ask")
        try:
            status = self._send(record, "GET", url, None)
        except (DidNotHappen, Doubtful) as error:
            return Observation(None, f"its status cannot be read ({error})")
        if 200 <= status < 300:
            return Observation(True, f"its status address answers HTTP {status}")
        if status in {404, 410}:
            return Observation(False, f"its status address answers HTTP {status}")
        return Observation(None, f"its status cannot be read (HTTP {status})")

    def repeatable(self, record: ActionRecord) -> bool:
        return bool(record.params.get("idempotent"))

    def undo(self, record: ActionRecord, by: str) -> str | None:
        return None

    def _send(self, record: ActionRecord, method: str, url: str, body: bytes | None) -> int:
        """One request; returns the status. Raises DidNotHappen or Doubtful."""
        key = record.idempotency_key
        try:
            parts = urlsplit(url.replace(_KEY, quote(key, safe="")))
            self._check(parts)
            headers = self._headers(record, body)
            connection = self._connection(parts, record.params["timeout_seconds"])
            connection.connect()
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise DidNotHappen(f"no connection: {_kind(error)}") from error
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request(method, target, body=body, headers=headers)
            answer = connection.getresponse()
            answer.read(_MAX_ANSWER)
            return answer.status
        except ValueError as error:  # a header or target that http.client refuses before it sends
            raise DidNotHappen(f"not sent: {_kind(error)}") from error
        except (OSError, http.client.HTTPException) as error:
            raise Doubtful(f"no answer: {_kind(error)}") from error
        finally:
            connection.close()

    def _check(self, parts: SplitResult) -> None:
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise DidNotHappen(f"{parts.geturl()!r} is no http or https address")
        if parts.username is not None or parts.password is not None:
            raise DidNotHappen("an address with a password in it is refused: use a header and the environment")
        host = parts.hostname.lower()
        if host not in self._allowed and f"{host}:{parts.port}" not in self._allowed:
            allowed = ", ".join(sorted(self._allowed)) or "none"
            raise DidNotHappen(f"the host {host} is not allowed (allowed: {allowed})")

    def _headers(self, record: ActionRecord, body: bytes | None) -> dict[str, str]:
        key = record.idempotency_key
        headers = {"User-Agent": "threatmatrix", "Idempotency-Key": record.idempotency_key, "Connection": "close"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        for name, value in record.params.get("headers", ()):
            parts = [value] if isinstance(value, str) else value
            # A part is text, or the name of a secret: text from telemetry can never become the second.
            texts = [self._secret(p["secret"]) if isinstance(p, dict) else p.replace(_KEY, key) for p in parts]
            headers[name] = "".join(texts)
        for name, text in headers.items():
            if _UNSENDABLE.search(name + text):
                raise DidNotHappen(f"not sent: the header {name[:60]!r} holds a character that no header can carry")
        return headers

    def _secret(self, name: str) -> str:
        if not name.startswith(_SECRET_PREFIX):
            raise DidNotHappen(f"a playbook may read environment variables named {_SECRET_PREFIX}… only, not {name}")
        if name not in self._environ:
            raise DidNotHappen(f"the environment variable {name} is not set")
        return self._environ[name].strip()  # a file's last newline is no part of it

    @staticmethod
    def _connection(parts: SplitResult, timeout: float) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(str(parts.hostname), parts.port, timeout=timeout)


def _kind(error: Exception) -> str:
    """What went wrong, without the error's own text: that may quote a header, and so a secret."""
    reason = error.strerror if isinstance(error, OSError) else None
    return f"{type(error).__name__} ({reason})" if reason else type(error).__name__
