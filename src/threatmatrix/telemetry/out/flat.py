"""A finding, an incident or an event as a title and named values: what formats of one line are made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from threatmatrix.model.detection import Finding, PrincipalShare, Severity
from threatmatrix.model.event import Event
from threatmatrix.model.response import Incident

__all__ = ["Flat", "Item", "fitted", "flat", "shown"]

Item = Finding | Incident | Event
CUT = "…"
_CAPS = (4000, 1000, 250, 60, 15, 4, 0)  # characters of a value: the first with which the whole line fits is taken
_HIDDEN = {0x7F: "\u2421", 0xFEFF: "\ufffd", 0x2028: "\ufffd", 0x2029: "\ufffd"}
_PICTURES = {
    **{code: chr(0x2400 + code) for code in range(0x20)},
    **dict.fromkeys((*range(128, 160), *range(55296, 57344)), "�"),
    **_HIDDEN,
}


_OF_EVENT = (
    *("source", "category", "operation", "system", "tenant", "principal", "key_id", "src_ip", "host", "method"),
    *("endpoint", "status", "outcome", "decision", "policy_ref", "model", "model_version", "object", "session"),
    *("user_agent", "request_ref", "trace_id", "row", "output_label", "input_bytes", "input_fp", "tokens_in"),
    *("tokens_out", "latency_ms"),
)


class Flat(NamedTuple):
    """``values`` in the order of their weight; times in µs."""

    kind: str  # finding | incident | event
    identity: str
    title: str
    severity: Severity
    time: int
    message: str
    values: tuple[tuple[str, str | int | float], ...]

    def value(self, name: str) -> str:
        """As text; empty where it is not said."""
        return next((str(value) for key, value in self.values if key == name), "")


def flat(item: Item) -> Flat:
    """Inputs never leave: neither raw nor as a vector."""
    if isinstance(item, Finding):
        return _finding(item)
    return _incident(item) if isinstance(item, Incident) else _event(item)


def _finding(item: Finding) -> Flat:
    values = {
        "technique": item.technique,
        "detector": item.detector,
        "confidence": round(item.confidence, 3),
        "count": item.event_count,
        "system": item.system,
        "model": item.model,
        "first": item.first_time,
        "last": item.last_time,
        **_principals(item.principals),
    }
    return Flat("finding", item.finding_id, item.title, item.severity, item.last_time, item.explanation, _said(values))


def _incident(item: Incident) -> Flat:
    values = {
        "status": item.status,
        "techniques": ",".join(step.technique for step in item.chain),
        "count": len(item.finding_ids),
        "system": item.system,
        "model": item.model,
        "first": item.first_time,
        "last": item.last_time,
        **_principals(item.principals),
    }
    return Flat("incident", item.incident_id, item.title, item.severity, item.last_time, item.title, _said(values))


def _event(item: Event) -> Flat:
    values = {name: getattr(item, name) for name in _OF_EVENT}
    title = f"{item.category}: {item.operation or 'other'}"
    return Flat("event", item.event_id, title, Severity.informational, item.time, title, _said(values))


def _principals(shares: tuple[PrincipalShare, ...]) -> dict[str, str]:
    """The largest first; one that is a list of many says so by its number."""
    if not shares:
        return {}
    return {"principal": shares[0].principal, "principals": str(len(shares))}


def _said(values: Mapping[str, str | int | float | None]) -> tuple[tuple[str, str | int | float], ...]:
    return tuple((name, value) for name, value in values.items() if value is not None)


def shown(text: str) -> str:
    """Without what could end a line or hide in one: control characters become their pictures (␊), others U+FFFD."""
    return text.translate(_PICTURES)


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: max(most - 1, 0)] + CUT


def fitted(build: Callable[[int], str], limit: int) -> str:
    """The line with its values cut as little as need be to keep within ``limit`` octets of UTF-8."""
    for cap in _CAPS:
        line = build(cap)
        if len(line.encode()) <= limit:
            break
    return line
