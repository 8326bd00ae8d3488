"""The plans of what proxies log: nginx and Envoy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.columnar.plan import Kind, Plan, Told
from threatmatrix.telemetry.columnar.sql import address, first_text, integer_up_to, iso_time, rounds, trace_id
from threatmatrix.telemetry.readers.base import MAX_INT, MAX_TIME, Reader, Where

__all__ = ["envoy_plan", "nginx_plan"]

_MOST_MS = 10**9  # beyond it rounding to a microsecond is left to the reader
_MOST_STATUS = 999
_TARGET = ("endpoint", "category", "operation", "model", "model_version", "object")
# nginx: the texts that its reader looks at
_NGINX = (
    "uri", "request_uri", "method", "request_method", "request_id", "key_id", "tenant", "user", "remote_user",
    "src_ip", "remote_addr", "server_name", "ua", "user_agent", "http_user_agent", "decision", "traceparent",
    "http_traceparent", "time", "time_iso8601",
)  # fmt: skip
# Envoy, in the order in which its reader looks at them
_PATHS = ("path", "x_envoy_original_path", "x-envoy-original-path", ":path")
_METHODS = ("method", "request_method", ":method")
_REQUESTS = ("x_request_id", "request_id", "x-request-id")
_PEER = ("downstream_peer_uri_san", "downstream_peer_subject")
_CLIENTS = (
    "downstream_remote_address_without_port",
    "downstream_remote_address",
    "downstream_direct_remote_address_without_port",
    "downstream_direct_remote_address",
)
_UPSTREAM = ("upstream_cluster", "authority", ":authority", "response_flags", "response_code_details")
_AGENTS = ("user_agent", "ua", "user-agent")
_TEXTS = (*_PATHS, *_METHODS, *_REQUESTS, *_PEER, *_CLIENTS, *_UPSTREAM, *_AGENTS)
_OTHERS = ("start_time", "stream_id", "key_id", "principal", "user", "traceparent", "trace_id")
_BY_THE_QUERY = ("artifact_access", "model_registry")  # what is acted upon stands in the query


def nginx_plan(reader: Reader) -> Plan:
    """``log_format … escape=json``, numbers with or without quotes."""
    keys: dict[str, Kind] = dict.fromkeys(_NGINX, "text")
    keys |= dict.fromkeys(("bytes_in", "request_length", "status"), "integer")
    keys |= dict.fromkeys(("rt", "request_time", "msec"), "number")
    iso, is_iso = iso_time(first_text("time", "time_iso8601"))
    seconds = 'CASE WHEN abs("msec") >= 1e11 THEN "msec" / 1000 ELSE "msec" END * 1000'
    latency = 'coalesce("rt", "request_time") * 1000'
    moment = f'CASE WHEN "msec" IS NULL THEN {iso} WHEN abs({seconds}) < 4e15 THEN CAST({seconds} AS BIGINT) * 1000 END'
    size = 'coalesce("bytes_in", "request_length")'
    method = first_text("method", "request_method")
    columns = {
        "event_id": f"'nginx:' || {first_text('request_id')}",
        "time": moment,
        "source": "'nginx'",
        "tenant": first_text("tenant"),
        "principal": first_text("user", "remote_user", "key_id"),
        "key_id": first_text("key_id"),
        "src_ip": first_text("src_ip", "remote_addr"),
        "host": first_text("server_name"),
        "user_agent": first_text("ua", "user_agent", "http_user_agent"),
        "method": method,
        "request_ref": first_text("request_id"),
        "input_bytes": f"try_cast({size} AS BIGINT)",
        "latency_ms": f"round({latency}, 3)",
        "status": 'try_cast("status" AS BIGINT)',
        "decision": first_text("decision"),
        "trace_id": trace_id(first_text("traceparent", "http_traceparent")),
    }
    uri = first_text("uri", "request_uri")
    certain = (
        f"{first_text('request_id')} IS NOT NULL",  # else the event's id is a hash of the record
        f"{uri} IS NOT NULL",
        f'("msec" IS NULL AND {is_iso} OR "msec" IS NOT NULL AND {rounds(seconds)})',
        f"{moment} BETWEEN 0 AND {MAX_TIME}",
        f"({latency} IS NULL OR {rounds(f'{latency} * 1000')} AND abs({latency}) < {_MOST_MS})",
        integer_up_to(size, MAX_INT),
        integer_up_to('"status"', _MOST_STATUS),
    )
    target = _target(reader, uri, method, "uri", {"request_id": "1", "msec": 0})
    quoted = frozenset(key for key, kind in keys.items() if kind in ("integer", "number"))
    return Plan("nginx", 1, keys, columns, certain, (target,), quoted)


def envoy_plan(reader: Reader) -> Plan:
    """``json_format`` with the stream's id; without one an event's id is a hash of the record."""
    keys: dict[str, Kind] = dict.fromkeys((*_TEXTS, *_OTHERS), "text")
    keys |= {"bytes_received": "integer", "response_code": "integer", "status": "integer", "duration": "number"}
    time, is_iso = iso_time(first_text("start_time"))
    status = 'coalesce("response_code", "status")'
    columns = {
        "event_id": f"'envoy:' || {first_text('stream_id')}",
        "time": time,
        "source": "'envoy'",
        "principal": first_text("principal", "user", *_PEER, "key_id"),
        "key_id": first_text("key_id"),
        "src_ip": address(first_text(*_CLIENTS)),
        "user_agent": first_text(*_AGENTS),
        "method": first_text(*_METHODS),
        "request_ref": first_text(*_REQUESTS),
        "input_bytes": 'try_cast("bytes_received" AS BIGINT)',
        "latency_ms": '"duration"',
        "status": f"nullif(try_cast({status} AS BIGINT), 0)",
        "trace_id": f"coalesce({trace_id(first_text('traceparent'))}, {first_text('trace_id')})",
    }
    certain = (
        f"{first_text('stream_id')} IS NOT NULL",
        f"{first_text(*_PATHS)} IS NOT NULL",
        is_iso,
        f"{time} BETWEEN 0 AND {MAX_TIME}",
        integer_up_to('"bytes_received"', MAX_INT),
        integer_up_to(status, _MOST_STATUS),
    )
    stub = {"stream_id": "1", "start_time": "2026-01-01T00:00:00Z"}
    target = _target(reader, first_text(*_PATHS), first_text(*_METHODS), "path", stub)
    where = Told(
        tuple(f'"{key}"' for key in _UPSTREAM),
        ("host", "decision", "policy_ref"),
        _asked(reader, _UPSTREAM, ("host", "decision", "policy_ref"), {**stub, "path": "/"}),
    )
    quoted = frozenset({"bytes_received", "response_code", "status", "duration"})
    return Plan("envoy", 1, keys, columns, certain, (target, where), quoted)


def _target(reader: Reader, uri: str, method: str, key: str, stub: Mapping[str, Any]) -> Told:
    """What the reader makes of a path, without its query, and a method."""
    ask = _asked(reader, (key, "method"), _TARGET, stub)

    def tell(values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        found = ask(values)
        return None if found is None or found[1] in _BY_THE_QUERY else found

    return Told((f"split_part(split_part({uri}, '?', 1), '#', 1)", method), _TARGET, tell)


def _asked(reader: Reader, keys: tuple[str, ...], columns: tuple[str, ...], stub: Mapping[str, Any]) -> Any:
    """The reader itself, asked with a record that has nothing but these keys and what no record may lack."""

    def tell(values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        record = {**stub, **dict(zip(keys, values, strict=True))}
        try:
            events: list[Event] = list(reader.parse(record, Where()))
        except (FormatError, ValueError):
            return None
        return tuple(getattr(events[0], column) for column in columns) if len(events) == 1 else None

    return tell
