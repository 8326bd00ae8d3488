"""nginx access log in JSON: ``log_format … escape=json '{"time":"$time_iso8601", …}'``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from threatmatrix.model.event import Category, Event
from threatmatrix.telemetry.readers.base import (
    MAX_TIME,
    Form,
    Options,
    Reader,
    Where,
    content_id,
    from_iso,
    integer,
    number,
    reject,
    text,
    top_level_keys,
)
from threatmatrix.telemetry.readers.paths import classify, clean_path

__all__ = ["NginxReader"]

_URI = ("uri", "request_uri")
_MSEC = "msec"
_ISO = ("time", "time_iso8601")
# W3C Trace Context, section 3.2: version "-" trace-id "-" parent-id "-" flags.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*", re.ASCII | re.DOTALL)
_MILLISECONDS_FROM = 1e11  # as seconds this is the year 5138: a larger figure must be milliseconds
_MAX_STATUS = 999


_GIVES = {
    "event_id": "`nginx:` + `request_id`, or a hash of the record",
    "time": "`msec` (seconds), or `time` (ISO 8601)",
    "source": "`nginx`",
    "category": "told by the path",
    "operation": "told by the path",
    "tenant": "`tenant`",
    "principal": "`user`, or `key_id`",
    "src_ip": "`src_ip`",
    "user_agent": "`ua`",
    "method": "`method`",
    "endpoint": "`uri`",
    "model": "told by the path",
    "model_version": "told by the path",
    "request_ref": "`request_id`",
    "input_bytes": "`bytes_in` (headers included)",
    "latency_ms": "`rt` (seconds)",
    "status": "`status`",
    "decision": "`decision`",
    "trace_id": "`traceparent`",
}


class NginxReader:
    """JSON access log of nginx; keys as in docs/telemetry.md, or nginx's own variable names."""

    name = "nginx"
    description = "nginx access log in JSON (log_format escape=json)"
    form: Form = "lines"
    gives: Mapping[Category, Mapping[str, str]] = {
        "inference": _GIVES,
        "model_access": _GIVES,
        "http": _GIVES,
    }

    def recognises(self, first_lines: Sequence[str]) -> bool:
        """True where a line has a uri, a status and a time."""
        return any(
            "status" in keys and keys & set(_URI) and keys & {_MSEC, *_ISO} and "category" not in keys
            for keys in top_level_keys(first_lines)
        )

    def with_options(self, options: Options) -> Reader:
        """Itself: an access log carries no input."""
        return self

    def parse(self, obj: Mapping[str, Any], where: Where) -> Sequence[Event]:
        """One request → one event. ``X-Forwarded-For`` and ``Host`` are not believed: a client writes them."""
        uri = text(obj, where, *_URI)
        if uri is None:
            raise reject(where, _URI[0], "missing")
        path = clean_path(uri)
        route = classify(path)
        seconds = number(obj, where, "rt", "request_time")
        request = text(obj, where, "request_id")
        event = Event(
            event_id=f"nginx:{request}" if request else content_id("nginx", obj),
            time=_time(obj, where),
            source="nginx",
            category=route.category,
            operation=route.operation,
            tenant=text(obj, where, "tenant"),
            principal=text(obj, where, "user", "remote_user", "key_id"),
            src_ip=text(obj, where, "src_ip", "remote_addr"),
            user_agent=text(obj, where, "ua", "user_agent", "http_user_agent"),
            method=text(obj, where, "method", "request_method"),
            endpoint=path,
            model=route.model,
            model_version=route.version,
            request_ref=request,
            input_bytes=integer(obj, where, "bytes_in", "request_length"),
            latency_ms=None if seconds is None else round(seconds * 1000, 3),
            status=integer(obj, where, "status", most=_MAX_STATUS),
            decision=text(obj, where, "decision"),
            trace_id=_trace_id(text(obj, where, "traceparent", "http_traceparent")),
        )
        return (event,)


def _time(obj: Mapping[str, Any], where: Where) -> int:
    """µs. ``$msec`` is seconds with three decimals (ngx_http_log_module); plain milliseconds pass too."""
    seconds = number(obj, where, _MSEC)
    if seconds is not None:
        if abs(seconds) >= _MILLISECONDS_FROM:
            seconds /= 1000
        time, key = round(seconds * 1000) * 1000, _MSEC
    else:
        key = next((name for name in _ISO if obj.get(name)), _ISO[0])
        iso = text(obj, where, *_ISO)
        if iso is None:
            raise reject(where, key, f"missing, and so is {_MSEC}")
        time = from_iso(iso, key, where)
    if not 0 <= time <= MAX_TIME:
        raise reject(where, key, "must lie between 1970 and the year 10000")
    return time


def _trace_id(traceparent: str | None) -> str | None:
    """The trace id, or None: the header comes from the client, a crooked one must not hide the request."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    return match[1] if match and match[1].strip("0") else None
