"""From when to when a hunt goes: days, times, and so long before now."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from threatmatrix.model.errors import UsageError

__all__ = ["moment", "span"]

_RELATIVE = re.compile(r"-?(\d{1,6})([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def span(since: str, until: str, now: int) -> tuple[int | None, int | None]:
    """(first, end) in µs: events with first <= time < end; None where nothing is asked for. Raises UsageError."""
    low = moment(since, now) if since else None
    high = moment(until, now, end=True) if until else None
    if low is not None and high is not None and low >= high:
        raise UsageError(f"nothing lies between {since} and {until}", hint="--since must come before --until")
    return low, high


def moment(text: str, now: int, *, end: bool = False) -> int:
    """µs of ``2026-01-31``, ``2026-01-31T09:30``, ``24h`` or ``-7d`` (so long before ``now``).

    A time without a zone is UTC. As an ``end`` a day means all of it, a time the moment before which events lie.
    Raises UsageError.
    """
    if found := _RELATIVE.fullmatch(text.strip()):
        return now - int(found[1]) * _UNITS[found[2]] * 1_000_000
    try:
        at = datetime.fromisoformat(text.strip())
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        whole = end and re.fullmatch(r"\d{4}-?\d\d-?\d\d|\d{4}-?W\d\d(-?\d)?", text.strip())
        return (at - _EPOCH + timedelta(days=1 if whole else 0)) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        hint = "Write a day (2026-01-31), a time (2026-01-31T09:30Z), or how long ago (24h, -7d)"
        raise UsageError(f"{text!r} is no time", hint=hint) from None
