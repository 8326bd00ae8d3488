"""Ids of events that pass the joiner: they follow from the request, not from who reported it first."""

from __future__ import annotations

from hashlib import blake2b
from operator import attrgetter
from urllib.parse import quote

from threatmatrix.model.event import EVENT_COLUMNS, Event
from threatmatrix.telemetry.joining.unit import Unit

__all__ = ["Names", "base_of"]

_LONGEST = 200  # characters of a request id, escaped; a longer one is named by its hash
_CONTENT = attrgetter(*(name for name in EVENT_COLUMNS if name != "event_id"))


class Names:
    """Gives each event an id that no other event in sight has."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def give(self, base: str, row: int | None, event: Event) -> str:
        """``base``, ``base:row`` from the second row on; with a hash of the event where that is taken."""
        name = f"{base}:{row}" if row else base
        if name in self._taken:
            name = f"{name}~{_hash(repr(_CONTENT(event)))}"
            if name in self._taken:  # nothing tells them apart but the id that their source gave them
                own = event.event_id
                name = own if own.startswith(f"{name}~") and own not in self._taken else f"{name}~{_hash(own)}"
            number, plain = 1, name
            while name in self._taken:
                number += 1
                name = f"{plain}~{number}"
        self._taken.add(name)
        return name

    def take(self, name: str) -> None:
        """Mark an id as taken."""
        self._taken.add(name)

    def free(self, name: str) -> None:
        """An event went out of sight."""
        self._taken.discard(name)


def _hash(text: str) -> str:
    return blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def base_of(unit: Unit, event: Event) -> str:
    """``req:`` and the request id, escaped; where no record had one, the id that its source gave ``unit``."""
    if event.request_ref is None:
        return str(unit.key[0])
    escaped = quote(event.request_ref, safe="", errors="replace")
    if len(escaped) > _LONGEST:
        escaped = "h-" + blake2b(event.request_ref.encode("utf-8", "replace"), digest_size=16).hexdigest()
    return f"req:{escaped}"
