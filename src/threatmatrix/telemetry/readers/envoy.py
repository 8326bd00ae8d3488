"""Envoy access log in JSON (``json_format``), Istio's default among them."""

from __future__ import annotations

import re
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
    address_of,
    content_id,
    integer,
    number,
    reject,
    seconds_or_iso,
    text,
    top_level_keys,
    trace_of,
    without_secrets,
)
from threatmatrix.telemetry.readers.paths import target_of

__all__ = ["EnvoyReader"]

# A json_format names its keys freely: these are the command operators in lower case, Istio's names, and common others.
_PATH = ("path", "x_envoy_original_path", "x-envoy-original-path", ":path")
_METHOD = ("method", "request_method", ":method")
_REQUEST = ("x_request_id", "request_id", "x-request-id")
_CLIENT = (
    "downstream_remote_address_without_port",
    "downstream_remote_address",
    "downstream_direct_remote_address_without_port",
    "downstream_direct_remote_address",
)
_CODE = ("response_code", "status")
_AUTHORITY = ("authority", ":authority")
_PEER = ("downstream_peer_uri_san", "downstream_peer_subject")
_MARKS = frozenset({"response_flags", "upstream_cluster", "upstream_host", *_CLIENT})
_MAX_STATUS = 999
# Istio names clusters direction|port|subset|host.
_ISTIO = re.compile(r"(?:outbound|inbound)_?[.|][^|]*\|[^|]*\|([^|]*)", re.ASCII)
_POLICY = "rbac_access_denied_matched_policy["

_GIVES = {
    "event_id": "`envoy:` + `stream_id`, or a hash of the record",
    "time": "`start_time`",
    "source": "`envoy`",
    "category": "told by the path",
    "operation": "told by the path",
    "principal": "`principal`, `user`, or the peer's certificate (`downstream_peer_uri_san`), or `key_id`",
    "key_id": "`key_id`",
    "src_ip": "`downstream_remote_address` without the port",
    "host": "`authority`, where a route was found; or the service in `upstream_cluster`",
    "user_agent": "`user_agent`",
    "method": "`method`",
    "endpoint": "`path`",
    "model": "told by the path",
    "model_version": "told by the path",
    "request_ref": "`x_request_id`",
    "input_bytes": "`bytes_received` (body)",
    "latency_ms": "`duration`",
    "status": "`response_code`",
    "decision": "`response_flags` UAEX, or `response_code_details`",
    "policy_ref": "`response_code_details`",
    "trace_id": "`traceparent`, or `trace_id`",
}


class EnvoyReader:
    """JSON access log of Envoy; keys named after the command operators, as in docs/sources/logs.md, or as Istio does.

    ``x_request_id`` may be the client's own and one request has the same in the log of each proxy that it passes, so
    it never makes an event's id: a client that repeats one must not have its requests taken for one.
    """

    name = "envoy"
    description = "Envoy or Istio access log in JSON (json_format)"
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
        """True where a line has a start time, a response code and a key that only Envoy has."""
        return any(
            "start_time" in keys and keys & set(_CODE) and keys & _MARKS and keys & set(_PATH)
            for keys in top_level_keys(first_lines)
        )

    def with_options(self, options: Options) -> Reader:
        """A reader that names secrets under the keys of the options; an access log carries no input."""
        return EnvoyReader(options)

    def parse(self, obj: Mapping[str, Any], where: Where) -> Sequence[Event]:
        """One request → one event; ``()`` for a connection of no HTTP, which has no path."""
        time = seconds_or_iso(obj, where, "start_time")
        if time is None:
            raise reject(where, "start_time", "missing")
        path = text(obj, where, *_PATH)
        method = text(obj, where, *_METHOD)
        if path is None:
            if method is None and "response_code" in obj:
                return ()  # a TCP proxy's line
            raise reject(where, "path", "missing")
        stream = text(obj, where, "stream_id")
        key = text(obj, where, "key_id")
        flags = text(obj, where, "response_flags") or ""
        details = text(obj, where, "response_code_details") or ""
        fields = {
            "event_id": f"envoy:{stream}" if stream else content_id("envoy", obj),
            "time": time,
            "source": "envoy",
            **target_of(path, method)._asdict(),
            "principal": text(obj, where, "principal", "user", *_PEER) or key,
            "key_id": key,
            "src_ip": address_of(text(obj, where, *_CLIENT)),
            "host": _host(obj, where, flags),
            "user_agent": text(obj, where, "user_agent", "ua", "user-agent"),
            "method": method,
            "request_ref": text(obj, where, *_REQUEST),
            "input_bytes": integer(obj, where, "bytes_received"),
            "latency_ms": number(obj, where, "duration"),
            "status": _status(obj, where),
            "decision": "deny" if _is_denied(flags, details) else None,
            "policy_ref": details[len(_POLICY) : -1] or None if details.startswith(_POLICY) else None,
            "trace_id": trace_of(text(obj, where, "traceparent")) or text(obj, where, "trace_id"),
        }
        return (build_event(without_secrets(fields, self._inputs)),)


def _status(obj: Mapping[str, Any], where: Where) -> int | None:
    """Envoy writes 0 where no answer was begun: the client went away."""
    return integer(obj, where, *_CODE, most=_MAX_STATUS) or None


def _is_denied(flags: str, details: str) -> bool:
    """UAEX: refused by the external authorisation service; the details name it too, and the RBAC filter."""
    return "UAEX" in flags.split(",") or details.startswith(("ext_authz_denied", "rbac_access_denied"))


def _host(obj: Mapping[str, Any], where: Where, flags: str) -> str | None:
    """The authority is the client's word until a virtual host of the configuration has matched it (no flag NR)."""
    cluster = text(obj, where, "upstream_cluster")
    authority = text(obj, where, *_AUTHORITY)
    if authority and cluster and "NR" not in flags.split(","):
        return address_of(authority.rpartition(":")[0] if authority.rpartition(":")[2].isdigit() else authority)
    service = _ISTIO.fullmatch(cluster or "")
    return (service[1] or None) if service else cluster
