"""What captures of model servers have in common: bodies become rows, and each row an event.

The modules that need NumPy are imported when the first body is read: to name a source takes none of them.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from threatmatrix.model.event import Event
from threatmatrix.telemetry.building import build_event
from threatmatrix.telemetry.decoding import canonical
from threatmatrix.telemetry.inputs.answers import Answer, read_answer
from threatmatrix.telemetry.inputs.payloads import Payload, open_payload
from threatmatrix.telemetry.inputs.secrets import conceal, scrub
from threatmatrix.telemetry.readers.base import Where, content_id, reject, trace_of
from threatmatrix.telemetry.readers.messages import chat_of
from threatmatrix.telemetry.readers.parts import first_text

if TYPE_CHECKING:
    from threatmatrix.telemetry.inputs.bodies import Body
    from threatmatrix.telemetry.inputs.inputs import Inputs

__all__ = [
    "PER_ROW",
    "Headers",
    "answer_of",
    "body_of",
    "bytes_of",
    "chatted",
    "hashed_id",
    "objects_of",
    "payload_of",
    "row_events",
]

# Whoever names one of these would have keys and tokens kept as names of principals.
_SECRET = frozenset(
    {"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "apikey", "x-goog-api-key"}
    | {"ocp-apim-subscription-key", "x-amz-security-token", "x-auth-token"}
)


PER_ROW = {
    "row": "place in the batch",
    "rows": "rows of the batch",
    "input_fp": "keyed hash of the row",
    "input_vec": "keyed projection of the row's numbers",
    "vec_scale": "of `input_vec`",
    "vec_key": "of `input_vec`",
    "input_fp_prev": "under the key before, while keys overlap",
    "input_vec_prev": "under the key before, while keys overlap",
    "vec_key_prev": "of `input_vec_prev`",
    "input_bytes": "size of the row",
    "input_raw": "the row, where asked for",
    "output_label": "label of the answer's row",
    "output_scores": "scores of the answer's row",
}
"""What :func:`row_events` fills, for ``gives``."""


class Headers:
    """Request headers as a capture keeps them: name → value, or name → list of values, in any case."""

    def __init__(self, headers: Mapping[Any, Any]) -> None:
        self._values: dict[str, str] = {}
        for name, value in headers.items():
            first = value[0] if isinstance(value, list) and value else value
            if isinstance(name, str) and isinstance(first, str) and first:
                self._values.setdefault(name.lower(), first)

    def get(self, name: str) -> str | None:
        """The first value of the header of this lower-case name."""
        return self._values.get(name)

    def principal(self, header: str, inputs: Inputs | None) -> str | None:
        """Who asked, as the header that the user named says; headers that carry keys or tokens are not taken."""
        return None if header in _SECRET else conceal(self._values.get(header), inputs)

    def told(self, principal_header: str, inputs: Inputs | None) -> dict[str, str | None]:
        """The fields of an event that headers tell. ``X-Forwarded-For`` is not believed: a client writes it."""
        return {
            "principal": self.principal(principal_header, inputs),
            "user_agent": scrub(self._values.get("user-agent"), inputs),
            "trace_id": trace_of(self._values.get("traceparent")),
        }


@lru_cache(maxsize=2)  # several readers ask the same of the same lines
def _objects(first_lines: tuple[str, ...]) -> tuple[dict[str, Any], ...]:
    found = []
    for line in first_lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(value)
    return tuple(found)


def objects_of(first_lines: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """The first lines that are JSON objects. To be looked at, not changed."""
    return _objects(tuple(first_lines))


def chatted(value: Any) -> object:
    """What a language model was asked by this request body, in the common spelling; None for any other body."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("messages"), list):
        return chat_of(value["messages"], value.get("system"))
    if isinstance(value.get("contents"), list | dict):
        contents = value["contents"]
        system = value.get("systemInstruction") or value.get("system_instruction")
        parts = system.get("parts") if isinstance(system, dict) else system
        return chat_of(contents if isinstance(contents, list) else [contents], parts)
    return chat_of(first_text(value, "prompt", "text_input"))


def payload_of(data: bytes, content_type: str, where: Where, key: str) -> Payload:
    """What was sent. Raises FormatError for JSON that is nested too deeply."""
    try:
        return open_payload(data, content_type)
    except RecursionError:
        raise reject(where, key, "nested too deeply") from None


def body_of(payload: Payload, where: Where, key: str) -> Body:
    """The rows of a request. Raises FormatError for one that is nested too deeply."""
    from threatmatrix.telemetry.inputs import bodies
    from threatmatrix.telemetry.inputs.oip import BodyProblem

    try:
        asked = chatted(payload.value)
        return bodies.of_text(canonical(asked)) if asked is not None else bodies.read_payload(payload)
    except (BodyProblem, RecursionError):
        raise reject(where, key, "nested too deeply") from None


def answer_of(payload: Payload | None, rows: int | None) -> Answer | None:
    """The answers by row; ``rows`` of the request, None where it is not known."""
    if payload is None:
        return None
    return read_answer(payload.value, rows) if payload.kind in ("json", "csv") else Answer(0)


def bytes_of(encoded: str, where: Where, key: str) -> bytes:
    """What a base64 text holds. Raises FormatError."""
    try:
        return binascii.a2b_base64(encoded.encode("ascii"), strict_mode=True)
    except ValueError:
        raise reject(where, key, "must be base64") from None


def hashed_id(source: str, record: Mapping[str, Any], where: Where) -> str:
    """An event id where the source has none. Raises FormatError for a record that is nested too deeply."""
    try:
        return content_id(source, record)
    except RecursionError:
        raise reject(where, "", "nested too deeply") from None


def row_events(
    fields: dict[str, Any], event_id: str, inputs: Inputs | None, body: Body | None, answer: Answer | None
) -> list[Event]:
    """One event for each row, ``<event_id>:<row>``; one for all where the rows are not known one by one.

    ``fields``: what the rows have in common; ``model`` and ``time`` among them.
    """
    if body is None:
        return _answered(fields, event_id, answer)
    from threatmatrix.telemetry.inputs import bodies

    stand_ins = bodies.input_fields(inputs, fields.get("model"), body, fields["time"])
    if not body.apart:
        return [build_event({**fields, **stand_ins[0]._asdict(), "event_id": event_id, "rows": body.rows})]
    by_row = answer.by_row if answer is not None and len(answer.by_row) == body.rows else None
    events = []
    for row, stand_in in enumerate(stand_ins):
        own = {**fields, **stand_in._asdict(), "event_id": f"{event_id}:{row}", "row": row, "rows": body.rows}
        if by_row:
            own["output_label"], own["output_scores"] = by_row[row]
        events.append(build_event(own))
    return events


def _answered(fields: dict[str, Any], event_id: str, answer: Answer | None) -> list[Event]:
    """Events of an answer without its request."""
    rows = (answer.rows if answer else 0) or None
    if answer is None or not answer.by_row:
        return [build_event({**fields, "event_id": event_id, "rows": rows})]
    return [
        build_event(
            {
                **fields,
                "event_id": f"{event_id}:{row}",
                "row": row,
                "rows": rows,
                "output_label": label,
                "output_scores": scores,
            }
        )
        for row, (label, scores) in enumerate(answer.by_row)
    ]
