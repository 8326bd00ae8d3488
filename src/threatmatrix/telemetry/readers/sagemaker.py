"""Amazon SageMaker Data Capture: a line for each invocation of an endpoint that was sampled.

Source: SageMaker Developer Guide, "Capture data from real-time endpoint"; the files lie under
``<prefix>/<endpoint>/<variant>/yyyy/mm/dd/hh/<name>.jsonl``, and only that path tells the endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from threatmatrix.model.event import Category, Event
from threatmatrix.telemetry.inputs.answers import usage_of
from threatmatrix.telemetry.inputs.payloads import Payload
from threatmatrix.telemetry.inputs.secrets import conceal
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
    top_level_keys,
    trace_of,
)
from threatmatrix.telemetry.readers.captures import (
    PER_ROW,
    Headers,
    answer_of,
    body_of,
    bytes_of,
    hashed_id,
    payload_of,
    row_events,
)
from threatmatrix.telemetry.readers.parts import part

__all__ = ["SageMakerReader"]

_PATH = re.compile(
    r"(?:^|/)(?P<endpoint>[A-Za-z0-9-]{1,63})/(?P<variant>[A-Za-z0-9-]{1,63})/[0-9]{4}/[0-9]{2}/[0-9]{2}/[0-9]{2}/[^/]+$"
)
_ENCODINGS = ("CSV", "JSON", "BASE64")

_GIVES = {
    **PER_ROW,
    "event_id": "`sagemaker:` + `eventId` + row, or a hash of the record",
    "time": "`inferenceTime`",
    "source": "`sagemaker`",
    "category": "`inference`",
    "operation": "`infer`",
    "principal": "the entry of `customAttributes` that `principal.header` names",
    "host": "endpoint, told by the file's path",
    "endpoint": "`/endpoints/` + endpoint + `/invocations`",
    "model": "endpoint, told by the file's path",
    "model_version": "variant, told by the file's path",
    "request_ref": "`inferenceId`, or `eventId`",
    "tokens_in": "`usage` of the answer",
    "tokens_out": "`usage` of the answer",
    "trace_id": "`traceparent`, `trace_id` or `trace` in `customAttributes`",
}


class SageMakerReader:
    """JSON lines of Data Capture; inputs and outputs in CSV, JSON or base64."""

    name = "sagemaker"
    description = "Amazon SageMaker Data Capture: JSON lines of captureData"
    form: Form = "lines"
    gives: Mapping[Category, Mapping[str, str]] = {"inference": _GIVES}

    def __init__(self, options: Options = NOTHING_ASKED) -> None:
        self._inputs = options.inputs
        self._principal_header = options.principal_header

    def recognises(self, first_lines: Sequence[str]) -> bool:
        """True for a line with ``captureData`` and ``eventMetadata``."""
        return any({"captureData", "eventMetadata"} <= keys for keys in top_level_keys(first_lines))

    def with_options(self, options: Options) -> Reader:
        """A reader that fingerprints inputs, and knows which custom attribute names the principal."""
        return SageMakerReader(options)

    def parse(self, obj: Mapping[str, Any], where: Where) -> Sequence[Event]:
        """One invocation → an event for each row of its input."""
        captured, metadata = part(obj, where, "captureData"), part(obj, where, "eventMetadata")
        stamp = text(metadata, where, "inferenceTime")
        if stamp is None:
            raise reject(where, "inferenceTime", "missing")
        time = check_time(from_iso(stamp, "inferenceTime", where), "inferenceTime", where)
        asked = _side(part(captured, where, "endpointInput"), where)
        answered = _side(part(captured, where, "endpointOutput"), where)
        body = body_of(asked, where, "data") if asked else None
        tokens_in, tokens_out = usage_of(answered.value) if answered else (None, None)
        call = text(metadata, where, "eventId")
        custom = _custom(metadata)
        place = _PATH.search(where.file)
        endpoint = place["endpoint"] if place else None
        fields = {
            "time": time,
            "source": "sagemaker",
            "category": "inference",
            "operation": "infer",
            "principal": custom.principal(self._principal_header, self._inputs),
            "host": endpoint,
            "endpoint": f"/endpoints/{endpoint}/invocations" if endpoint else None,
            "model": endpoint,
            "model_version": place["variant"] if place else None,
            "request_ref": text(metadata, where, "inferenceId") or call,
            "tokens_in": tokens_in,
            "tokens_out": tokens_out,
            "trace_id": trace_of(custom.get("traceparent"))
            or conceal(custom.get("trace_id") or custom.get("trace"), self._inputs),
        }
        answer = answer_of(answered, body.rows if body else None)
        event_id = f"sagemaker:{call}" if call else hashed_id("sagemaker", obj, where)
        return row_events(fields, event_id, self._inputs, body, answer)


def _side(part: Mapping[str, Any], where: Where) -> Payload | None:
    """What ``endpointInput`` or ``endpointOutput`` holds; None where it was not captured."""
    data = part.get("data")
    if data is None:
        return None
    encoding = text(part, where, "encoding")
    if not isinstance(data, str):
        raise reject(where, "data", "must be a text")
    if encoding == "CSV":
        return Payload("csv", data)
    if encoding == "JSON":
        return payload_of(data.encode("utf-8", "surrogatepass"), "application/json", where, "data")
    if encoding == "BASE64":
        kind = part.get("observedContentType")
        content_type = kind.lower() if isinstance(kind, str) else ""
        return payload_of(bytes_of(data, where, "data"), content_type, where, "data")
    raise reject(where, "encoding", f"missing or unknown (valid: {', '.join(_ENCODINGS)})")


def _custom(metadata: Mapping[str, Any]) -> Headers:
    """``customAttributes``: the caller's ``X-Amzn-SageMaker-Custom-Attributes``, where it is ``name=value``."""
    given = metadata.get("customAttributes")
    entries = given if isinstance(given, list) else [given]
    pairs = (
        pair.partition("=") for entry in entries if isinstance(entry, str) for pair in re.split("[,;]", entry[:1024])
    )
    return Headers({name.strip(): value.strip() for name, _, value in pairs})
