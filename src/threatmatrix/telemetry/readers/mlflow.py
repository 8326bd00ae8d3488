"""MLflow: the webhooks of its model registry, stored as they came in, and the access log of its server.

Webhooks: MLflow 3.3 and newer, ``mlflow.webhooks`` (entity, action, timestamp, data). Access log: uvicorn with
MLflow's own log configuration (``2026/11/22 01:35:25 INFO:     127.0.0.1:48822 - "GET /… HTTP/1.1" 200 OK``), or
gunicorn's in the common log format. Both were taken from a running MLflow 3.17 server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from threatmatrix.model.event import Category, Event
from threatmatrix.telemetry.readers.base import (
    NOTHING_ASKED,
    Form,
    Options,
    Reader,
    Where,
    check_time,
    content_id,
    from_iso,
    reject,
    text,
    top_level_keys,
    without_secrets,
)
from threatmatrix.telemetry.readers.lines import Clock, journal_entry, json_line, split_time
from threatmatrix.telemetry.readers.paths import target_of

__all__ = ["MLflowReader"]

_WEBHOOK = frozenset({"entity", "action", "data"})
_ENVELOPE = ("payload", "body", "data")  # where a receiver that keeps the headers too puts the webhook
_DELIVERY = "x-mlflow-delivery-id"
_ENTITY = re.compile(r"[a-z][a-z_]{0,63}", re.ASCII)

_REQUEST = r'"(?P<method>[A-Z]{3,10}) (?P<uri>[^" ]+) HTTP/[0-9.]+" (?P<status>[0-9]{3})'
_UVICORN = re.compile(rf"(?P<client>\S{{2,60}}) - {_REQUEST}", re.ASCII)
_BEFORE_REQUEST = ' - "'
_QUOTED = r'(?:[^"\\]|\\.)*'
_COMMON = re.compile(
    rf"(?P<client>\S{{2,60}}) \S+ (?P<user>\S+) \[(?P<time>[^\]]{{20,40}})\] {_REQUEST}"
    rf'(?: \S+(?: "{_QUOTED}" "(?P<agent>{_QUOTED})")?)?',
    re.ASCII,
)
_OURS = re.compile(r'(?: -|\]) "[A-Z]{3,10} [^" ]{0,2000}?(?:mlflow|get-artifact)')

_HOOK_GIVES = {
    "event_id": "`mlflow:` + `X-MLflow-Delivery-Id`, or a hash of the record",
    "time": "`timestamp`",
    "source": "`mlflow`",
    "category": "`model_registry`",
    "operation": "`entity` + `.` + `action`",
    "object": "`data.alias`, or `data.key` (of a tag)",
    "model": "`data.name`",
    "model_version": "`data.version`",
    "outcome": "`success`: a webhook tells what has been done",
    "tenant": "`data.workspace`",
}
_LINE_GIVES = {
    "event_id": "`mlflow:` + a hash of the line",
    "time": "what the line begins with",
    "source": "`mlflow`",
    "category": "told by the path",
    "operation": "told by path and method",
    "principal": "user of the common log format",
    "src_ip": "address of the peer: a proxy's, where one stands in front",
    "user_agent": "last part of the combined log format",
    "method": "method",
    "endpoint": "path",
    "model": "`name` in the query",
    "model_version": "`version` in the query",
    "status": "status",
}


class MLflowReader:
    """Webhooks as JSON lines (alone, or as ``{"headers": …, "body": …}``), and lines of the server's log.

    Neither says who acted: what a proxy in front logs does (sources ``nginx`` and ``envoy`` know MLflow's paths).
    """

    name = "mlflow"
    description = "MLflow: webhooks of the model registry (JSON lines), access log of the server"
    form: Form = "text"
    gives: Mapping[Category, Mapping[str, str]] = {
        "model_registry": _HOOK_GIVES | {name: o for name, o in _LINE_GIVES.items() if name not in _HOOK_GIVES},
        "artifact_access": _LINE_GIVES | {"object": "path of the artifact"},
        "http": {name: o for name, o in _LINE_GIVES.items() if name not in ("model", "model_version")},
    }

    def __init__(self, options: Options = NOTHING_ASKED) -> None:
        self._clock = Clock(options.written, options.zone)
        self._inputs = options.inputs

    def recognises(self, first_lines: Sequence[str]) -> bool:
        """True where a line is a webhook, or a request for one of MLflow's paths."""
        if any(keys >= _WEBHOOK or _is_wrapped(keys) for keys in top_level_keys(first_lines)):
            return any('"entity' in line and "action" in line for line in first_lines)
        return any(_OURS.search(line) for line in first_lines)

    def with_options(self, options: Options) -> Reader:
        """A reader that knows the clock of the log."""
        return MLflowReader(options)

    def parse(self, line: str, where: Where) -> Sequence[Event]:
        """A webhook or a request → one event; ``()`` for what else a server's log says."""
        if not line.startswith("{"):
            time, rest = split_time(line, self._clock, where)
            return self._access(line, rest, time, where)
        obj = json_line(line, where)
        if "__REALTIME_TIMESTAMP" in obj:  # the server's log, as the journal keeps it
            entry = journal_entry(obj, where)
            return self._access(line, entry.message, entry.time, where)
        return (self._event(_webhook(obj, where)),)

    def _access(self, line: str, rest: str, time: int | None, where: Where) -> Sequence[Event]:
        common = _COMMON.match(rest)
        match = common or _uvicorn(rest)
        if match is None:
            return ()
        said = match.groupdict()
        if common:
            time = _common_time(common["time"], where)
        if time is None:
            raise reject(where, "time", "missing: this uvicorn logs none; use MLflow's log configuration, or gunicorn")
        fields = {
            "event_id": content_id("mlflow", line),
            "time": time,
            "source": "mlflow",
            **target_of(said["uri"], said["method"])._asdict(),
            "principal": _said(said.get("user")),
            "src_ip": said["client"] if common else said["client"].rpartition(":")[0] or said["client"],
            "user_agent": _said(said.get("agent")),
            "method": said["method"],
            "status": int(said["status"]),
        }
        return (self._event(fields),)

    def _event(self, fields: dict[str, Any]) -> Event:
        return Event(**without_secrets(fields, self._inputs))


def _uvicorn(line: str) -> re.Match[str] | None:
    """The request in a line, whatever a log configuration puts before it; found from its middle, in linear time."""
    middle = line.find(_BEFORE_REQUEST)
    return _UVICORN.match(line, line.rfind(" ", 0, middle) + 1) if middle > 0 else None


def _said(value: str | None) -> str | None:
    return None if value in ("", "-") else value


def _is_wrapped(keys: frozenset[str]) -> bool:
    return "headers" in keys and bool(keys & set(_ENVELOPE))


def _common_time(text: str, where: Where) -> int:
    try:
        moment = datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z")
    except ValueError:
        raise reject(where, "time", "must be a time such as 21/Nov/2026:17:00:00 +0000") from None
    return check_time(from_iso(moment.isoformat(), "time", where), "time", where)


def _webhook(obj: Mapping[str, Any], where: Where) -> dict[str, Any]:
    delivery = None
    if "entity" not in obj and isinstance(obj.get("headers"), dict):
        delivery = _header(obj["headers"], where)
        obj = _unwrapped(obj, where)
    entity, action = text(obj, where, "entity"), text(obj, where, "action")
    for key, value in (("entity", entity), ("action", action)):
        if value is None or not _ENTITY.fullmatch(value):
            raise reject(where, key, "missing, or no name of MLflow's webhooks")
    stamp = text(obj, where, "timestamp")
    if stamp is None:
        raise reject(where, "timestamp", "missing")
    data = obj.get("data")
    if not isinstance(data, dict):
        raise reject(where, "data", "must be an object")
    return {
        "event_id": f"mlflow:{delivery}" if delivery else content_id("mlflow", obj),
        "time": check_time(from_iso(stamp, "timestamp", where), "timestamp", where),
        "source": "mlflow",
        "category": "model_registry",
        "operation": f"{entity}.{action}",
        "tenant": text(data, where, "workspace"),
        "object": text(data, where, "alias", "key", "budget_policy_id"),
        "model": text(data, where, "name"),
        "model_version": text(data, where, "version"),
        "outcome": "success",
    }


def _header(headers: Mapping[str, Any], where: Where) -> str | None:
    for name, value in headers.items():
        if name.lower() == _DELIVERY:
            first = value[0] if isinstance(value, list) and value else value
            return text({name: first}, where, name)
    return None


def _unwrapped(obj: Mapping[str, Any], where: Where) -> Mapping[str, Any]:
    for key in _ENVELOPE:
        inner = obj.get(key)
        if isinstance(inner, str):
            return json_line(inner.strip(), where)
        if isinstance(inner, dict):
            return inner
    raise reject(where, "body", "missing: the webhook that belongs to the headers")
