"""nginx access log in JSON: ``log_format … escape=json '{"time":"$time_iso8601", …}'``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from threatmatrix.model.event import Category, Event
from threatmatrix.telemetry.building import build_event
from threatmatrix.telemetry.readers.base import (
    NOTHING_ASKED,
    Form,
    Options,
    Reader,
    Where,
    check_time,
    content_id,
    from_iso,
    integer,
    milliseconds,
    number,
    reject,
    text,
    top_level_keys,
    trace_of,
    without_secrets,
)
from threatmatrix.telemetry.readers.paths import target_of

__all__ = ["NginxReader"]

_URI = ("uri", "request_uri")
_MSEC = "msec"
_ISO = ("time", "time_iso8601")
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
    "key_id": "`key_id`",
    "src_ip": "`src_ip`",
    "host": "`server_name`",
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
    """JSON access log of nginx; keys as in docs/sources/logs.md, or nginx's own variable names."""

    name = "nginx"
    description = "nginx access log in JSON (log_format escape=json)"
    form: Form = "lines"
    gives: Mapping[Category, Mapping[str, str]] = {
        "inference": _GIVES,
        "model_access": _GIVES,
        "artifact_access": _GIVES | {"object": "path of the artifact", "model": "`name` in the query"},
        "model_registry": _GIVES | {"object": "`alias` in the query", "model": "`name` in the query"},
        "http": {name: origin for name, origin in _GIVES.items() if name not in ("model", "model_version")},
    }

    def __init__(self, options: Options = NOTHING_ASKED) -> None:
        self._inputs = options.inputs

    def recognises(self, first_lines: Sequence[str]) -> bool:
        """True where a line has a uri, a status and a time."""
        return any(
            "status" in keys and keys & set(_URI) and keys & {_MSEC, *_ISO} and "category" not in keys
            for keys in top_level_keys(first_lines)
        )

    def with_options(self, options: Options) -> Reader:
        """A reader that names secrets under the keys of the options; an access log carries no input."""
        return NginxReader(options)

    def parse(self, obj: Mapping[str, Any], where: Where) -> Sequence[Event]:
        """One request → one event. ``X-Forwarded-For`` and ``Host`` are not believed: a client writes them."""
        uri = text(obj, where, *_URI)
        if uri is None:
            raise reject(where, _URI[0], "missing")
        method = text(obj, where, "method", "request_method")
        request = text(obj, where, "request_id")
        key = text(obj, where, "key_id")
        fields = {
            "event_id": f"nginx:{request}" if request else content_id("nginx", obj),
            "time": _time(obj, where),
            "source": "nginx",
            **target_of(uri, method)._asdict(),
            "tenant": text(obj, where, "tenant"),
            "principal": text(obj, where, "user", "remote_user") or key,
            "key_id": key,
            "src_ip": text(obj, where, "src_ip", "remote_addr"),
            "host": text(obj, where, "server_name"),
            "user_agent": text(obj, where, "ua", "user_agent", "http_user_agent"),
            "method": method,
            "request_ref": request,
            "input_bytes": integer(obj, where, "bytes_in", "request_length"),
            "latency_ms": milliseconds(number(obj, where, "rt", "request_time")),
            "status": integer(obj, where, "status", most=_MAX_STATUS),
            "decision": text(obj, where, "decision"),
            "trace_id": trace_of(text(obj, where, "traceparent", "http_traceparent")),
        }
        return (build_event(without_secrets(fields, self._inputs)),)


def _time(obj: Mapping[str, Any], where: Where) -> int:
    """µs. ``$msec`` is seconds with three decimals (ngx_http_log_module); plain milliseconds pass too."""
    seconds = number(obj, where, _MSEC)
    if seconds is not None:
        if abs(seconds) >= _MILLISECONDS_FROM:
            seconds /= 1000
        return check_time(round(seconds * 1000) * 1000, _MSEC, where)
    key = next((name for name in _ISO if obj.get(name)), _ISO[0])
    iso = text(obj, where, *_ISO)
    if iso is None:
        raise reject(where, key, f"missing, and so is {_MSEC}")
    return check_time(from_iso(iso, key, where), key, where)
