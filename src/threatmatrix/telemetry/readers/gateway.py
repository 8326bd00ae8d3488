"""The gateway's own log: one JSON object per inference row, keys named as the Event fields."""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, get_args

from threatmatrix.model.event import CATEGORIES, EVENT_COLUMNS, Category, Event, Outcome
from threatmatrix.telemetry.building import build_event
from threatmatrix.telemetry.inputs.secrets import scrub
from threatmatrix.telemetry.readers.base import (
    MAX_INT,
    MAX_TIME,
    NOTHING_ASKED,
    Form,
    Options,
    Reader,
    Where,
    content_id,
    reject,
    top_level_keys,
)

__all__ = ["GatewayReader"]

VERSION = 1

_AGENTS = 1024  # user agents remembered: the same few come again and again

_OUTCOMES = get_args(Outcome)

_TYPES: dict[str, type] = {"VARCHAR": str, "BIGINT": int, "DOUBLE": float, "BLOB": bytes, "DOUBLE[]": tuple}
_KINDS = {name: _TYPES[sql] for name, sql in EVENT_COLUMNS.items() if name != "source"}
_NAMES = {str: "a text", int: "an integer", float: "a number", bytes: "base64 text", tuple: "a list of numbers"}


class GatewayReader:
    """JSON lines as the gateway writes them (docs/telemetry.md has the format).

    Raw inputs are kept only where they were asked for, and secrets in the user agent become names, as in every log.
    """

    name = "gateway"
    description = "threatmatrix gateway log: one JSON line per inference row"
    form: Form = "lines"
    gives: Mapping[Category, Mapping[str, str]] = {
        category: {name: f"`{name}`" for name in EVENT_COLUMNS} for category in CATEGORIES
    }

    def __init__(self, options: Options = NOTHING_ASKED) -> None:
        self._inputs = options.inputs
        self._keep_raw = options.inputs is not None and options.inputs.keep_raw
        self._agents: dict[str, str] = {}

    def recognises(self, first_lines: Sequence[str]) -> bool:
        """True where a line has ``time`` and ``category`` and one of ``v``, ``event_id``."""
        return any({"time", "category"} <= keys and keys & {"v", "event_id"} for keys in top_level_keys(first_lines))

    def with_options(self, options: Options) -> Reader:
        """A reader that names secrets under the keys of the options; the gateway has fingerprinted the input."""
        return GatewayReader(options)

    def parse(self, obj: Mapping[str, Any], where: Where) -> Sequence[Event]:
        """One line → one event. Unknown keys are passed over: a newer gateway may write more."""
        fields: dict[str, Any] = {"source": "gateway"}
        known = _KINDS.get
        for key, value in obj.items():
            kind = known(key)
            if kind is None or value is None:
                continue
            given = type(value)
            if given is kind and (kind is str or (kind is int and 0 <= value <= MAX_INT)):
                fields[key] = value
            else:
                fields[key] = _convert(kind, key, value, where)
        _check(obj, fields, where)
        if "event_id" not in fields:
            fields["event_id"] = _event_id(obj, fields)
        if "user_agent" in fields:
            fields["user_agent"] = self._agent(fields["user_agent"])
        if not self._keep_raw:
            fields.pop("input_raw", None)
        return (build_event(fields),)

    def _agent(self, text: str) -> str:
        known = self._agents.get(text)
        if known is None:
            known = scrub(text, self._inputs)
            if len(self._agents) >= _AGENTS:
                self._agents.clear()
            self._agents[text] = known
        return known


def _check(obj: Mapping[str, Any], fields: Mapping[str, Any], where: Where) -> None:
    if obj.get("v", VERSION) != VERSION:
        raise reject(where, "v", f"is not a log version that this reader knows (valid: {VERSION})")
    time = fields.get("time")
    if time is None:
        raise reject(where, "time", "missing")
    if time > MAX_TIME:
        raise reject(where, "time", "must be microseconds since 1970-01-01 UTC, before the year 10000")
    if fields.get("category") not in CATEGORIES:
        raise reject(where, "category", f"missing or unknown (valid: {', '.join(CATEGORIES)})")
    if fields.get("outcome", "success") not in _OUTCOMES:
        raise reject(where, "outcome", f"is unknown (valid: {', '.join(_OUTCOMES)})")


def _event_id(obj: Mapping[str, Any], fields: Mapping[str, Any]) -> str:
    if "request_ref" in fields:
        return f"{fields['request_ref']}:{fields.get('row', 0)}"
    return content_id("gateway", obj)


def _convert(kind: type, key: str, value: Any, where: Where) -> Any:
    """What the fast path did not take: numbers with a fraction, lists, base64 — or a wrong type."""
    if kind is float and type(value) in (float, int):
        return _finite(key, value, where)
    if kind is bytes and type(value) is str:
        try:
            return binascii.a2b_base64(value.encode("ascii"), strict_mode=True)
        except ValueError:
            raise reject(where, key, "must be base64") from None
    if kind is tuple and type(value) is list and {float, int} >= set(map(type, value)):
        try:
            scores = tuple(map(float, value))
        except OverflowError:
            raise reject(where, key, "holds a number that is not finite") from None
        if all(map(isfinite, scores)):
            return scores
        raise reject(where, key, "holds a number that is not finite")
    if kind is int and type(value) is int:
        raise reject(where, key, f"must be from 0 to {MAX_INT}")
    raise reject(where, key, f"must be {_NAMES[kind]}")


def _finite(key: str, value: float | int, where: Where) -> float:
    try:
        result = float(value)
    except OverflowError:
        raise reject(where, key, "must be a finite number") from None
    if not isfinite(result) or (key == "vec_scale" and result <= 0):
        raise reject(where, key, "must be a finite number" + (" above 0" if key == "vec_scale" else ""))
    return result
