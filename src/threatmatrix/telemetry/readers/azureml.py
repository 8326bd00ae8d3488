"""Azure Machine Learning's data collector: CloudEvents as JSON lines, one for each request, response or batch of rows.

Source: Azure Machine Learning documentation, "Collect production data from models deployed for real-time
inferencing": payload logging (collections ``request`` and ``response``) and custom logging (``model_inputs``,
``model_outputs``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from threatmatrix.model.event import Category, Event
from threatmatrix.telemetry.inputs.answers import usage_of
from threatmatrix.telemetry.inputs.payloads import Payload
from threatmatrix.telemetry.inputs.secrets import scrub
from threatmatrix.telemetry.readers.base import (
    NOTHING_ASKED,
    Form,
    Options,
    Reader,
    Where,
    check_time,
    from_iso,
    reject,
    text,
)
from threatmatrix.telemetry.readers.captures import PER_ROW, answer_of, body_of, hashed_id, objects_of, row_events
from threatmatrix.telemetry.readers.messages import opened
from threatmatrix.telemetry.readers.paths import clean_path

if TYPE_CHECKING:
    from threatmatrix.telemetry.inputs.inputs import Inputs

__all__ = ["AzureMLReader"]

_TYPE = "azureml.inference."
_REQUESTS = frozenset({"request", "inputs", "model_inputs", "model_inputs_outputs"})
_RESPONSES = frozenset({"response", "outputs", "model_outputs"})
_SOURCE = re.compile(r"/onlineEndpoints/([^/]{1,256})(?:/deployments/([^/]{1,256}))?", re.IGNORECASE)
_RANGE = re.compile(r"bytes [0-9]{1,18}-([0-9]{1,18})/(?:[0-9]{1,18}|\*)")
_CORRELATION = "correlationid"

_GIVES = {
    **PER_ROW,
    "event_id": "`azureml:` + `id` + row, or a hash of the record",
    "time": "`time`",
    "source": "`azureml`",
    "category": "`inference`",
    "operation": "`infer`",
    "host": "endpoint in `source`",
    "method": "`method` (requests only)",
    "endpoint": "`path` (requests only)",
    "model": "endpoint in `source`",
    "model_version": "deployment in `source`, or `modelversion`",
    "request_ref": "`correlationid` of the row or the line, or `xrequestid`",
    "input_bytes": "size of the row, or `contentrange` where the data lie elsewhere",
    "tokens_in": "`usage` of the answer",
    "tokens_out": "`usage` of the answer",
}


class AzureMLReader:
    """The collector's JSON lines: requests and responses, as sent or as tables; often several rows to the line."""

    name = "azureml"
    description = "Azure ML data collector: CloudEvents as JSON lines"
    form: Form = "lines"
    gives: Mapping[Category, Mapping[str, str]] = {"inference": _GIVES}

    def __init__(self, options: Options = NOTHING_ASKED) -> None:
        self._inputs = options.inputs

    def recognises(self, first_lines: Sequence[str]) -> bool:
        """True for a line whose ``type`` starts with ``azureml.inference.``."""
        kinds = [obj.get("type") for obj in objects_of(first_lines)]
        return any(isinstance(kind, str) and kind.startswith(_TYPE) for kind in kinds)

    def with_options(self, options: Options) -> Reader:
        """A reader that fingerprints inputs."""
        return AzureMLReader(options)

    def parse(self, obj: Mapping[str, Any], where: Where) -> Sequence[Event]:
        """One line → an event for each row; none for a collection whose name tells neither inputs nor outputs."""
        collected = text(obj, where, "type")
        if collected is None or not collected.startswith(_TYPE):
            raise reject(where, "type", f"must start with {_TYPE}")
        collection = collected.removeprefix(_TYPE)
        if collection not in _REQUESTS | _RESPONSES:
            return ()
        stamp = text(obj, where, "time")
        if stamp is None:
            raise reject(where, "time", "missing")
        fields = _fields(obj, check_time(from_iso(stamp, "time", where), "time", where), self._inputs, where)
        call = text(obj, where, "id")
        event_id = f"azureml:{call}" if call else hashed_id("azureml", obj, where)
        data = opened(obj.get("data"))
        if data is None or obj.get("datainblob") in ("true", True):
            fields["input_bytes"] = _size(obj) if collection in _REQUESTS else None
            return row_events(fields, event_id, None, None, None)
        rows, calls = _taken_apart(data)
        kind: Literal["json", "text"] = "text" if isinstance(rows, str) else "json"
        if collection in _REQUESTS:
            events = row_events(fields, event_id, self._inputs, body_of(Payload(kind, rows), where, "data"), None)
        else:
            fields["tokens_in"], fields["tokens_out"] = usage_of(data)
            events = row_events(fields, event_id, None, None, answer_of(Payload(kind, rows), None))
        return _told_apart(events, calls) if calls and len(calls) == len(events) else events


def _fields(obj: Mapping[str, Any], time: int, inputs: Inputs | None, where: Where) -> dict[str, Any]:
    place = _SOURCE.search(text(obj, where, "source") or "")
    endpoint, deployment = place.groups() if place else (None, None)
    path = text(obj, where, "path")
    return {
        "time": time,
        "source": "azureml",
        "category": "inference",
        "operation": "infer",
        "host": endpoint,
        "method": text(obj, where, "method"),
        "endpoint": scrub(clean_path(path), inputs) if path else None,
        "model": endpoint,
        "model_version": deployment or text(obj, where, "modelversion"),
        "request_ref": text(obj, where, _CORRELATION, "xrequestid"),
    }


def _taken_apart(data: Any) -> tuple[Any, list[str]]:
    """The rows without their ``correlationid``, and those ids: a column that tells which request a row belongs to."""
    if not (isinstance(data, list) and data and all(isinstance(row, dict) and _CORRELATION in row for row in data)):
        return data, []
    calls = [row[_CORRELATION] for row in data]
    if not all(isinstance(call, str) and call for call in calls):
        return data, []
    return [{name: cell for name, cell in row.items() if name != _CORRELATION} for row in data], calls


def _told_apart(events: Sequence[Event], calls: Sequence[str]) -> list[Event]:
    """The events of the rows of several requests, each under its own request."""
    rows, seen = Counter(calls), Counter[str]()
    found = []
    for event, call in zip(events, calls, strict=True):
        found.append(replace(event, request_ref=call, row=seen[call], rows=rows[call]))
        seen[call] += 1
    return found


def _size(obj: Mapping[str, Any]) -> int | None:
    """Bytes of data that the collector put elsewhere (more than 4 MB, or binary): ``bytes 0-80770/80771``."""
    given = obj.get("contentrange")
    match = _RANGE.fullmatch(given) if isinstance(given, str) else None
    return int(match[1]) + 1 if match else None
