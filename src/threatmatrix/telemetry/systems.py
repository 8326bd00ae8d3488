"""Which system and model an event belongs to, and who asked where the log itself does not say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from threatmatrix.model.event import Event
from threatmatrix.model.system import PrincipalMapping, System
from threatmatrix.telemetry.building import with_place

__all__ = ["Resolver"]


class Resolver:
    """Fills ``system``, ``model`` and a missing ``principal``, as ``systems.yaml`` says.

    What the log itself says stays: a system, model or principal that an event carries is never
    overwritten. A principal is the identity that the gateway enforces: a block on a readable name
    would stop nobody. :attr:`names` (identity → readable name) is for whoever shows it. The
    endpoint decides first, the pattern with the most literal characters before others; where no
    endpoint fits, a model name that only one system has. ``*`` in a pattern stands for any
    characters of the path, ``/`` too. An event that nothing fits comes back as it was.
    """

    def __init__(self, systems: Sequence[System]) -> None:
        patterns = [
            (_literals(endpoint), system.name, model.name)
            for system in systems
            for model in system.models
            for endpoint in model.endpoints
        ]
        patterns.sort(key=lambda entry: -sum(map(len, entry[0])))  # stable: the first written wins between equals
        self._patterns = patterns
        owners: dict[str, set[str]] = {}
        for system in systems:
            for model in system.models:
                owners.setdefault(model.name, set()).add(system.name)
        self._owner = {model: next(iter(names)) for model, names in owners.items() if len(names) == 1}
        self._principals = {system.name: system.principal for system in systems}
        names: dict[str, str] = {}
        for system in systems:
            for identity, name in system.principal.names:
                names.setdefault(identity, name)  # the first system wins where two name the same identity
        self.names: Mapping[str, str] = MappingProxyType(names)
        # Paths come from clients: the cache is bounded, so that invented ones cannot fill the memory.
        self._place = lru_cache(maxsize=8192)(self._find)

    def resolve(self, event: Event) -> Event:
        """The event with its system, model and principal, or the event itself where nothing changes."""
        system, model = event.system, event.model
        if system is None or model is None:
            system, model = self._place(event.endpoint, model, system)
        principal = self._principal(event, system)
        if system == event.system and model == event.model and principal == event.principal:
            return event
        return with_place(event, system, model, principal)

    def _find(self, endpoint: str | None, model: str | None, system: str | None) -> tuple[str | None, str | None]:
        if endpoint is not None:
            for literals, its_system, its_model in self._patterns:
                if system in (None, its_system) and model in (None, its_model) and _fits(literals, endpoint):
                    return its_system, its_model
        if system is None and model is not None:
            system = self._owner.get(model)
        return system, model

    def _principal(self, event: Event, system: str | None) -> str | None:
        if event.principal is not None or system is None or system not in self._principals:
            return event.principal
        return _told_by(event, self._principals[system])


def _told_by(event: Event, mapping: PrincipalMapping) -> str | None:
    if mapping.field == "src_ip":
        return event.src_ip
    return event.session if mapping.field == "session" else event.principal


def _literals(endpoint: str) -> tuple[str, ...]:
    """What stands between the ``*`` of a pattern; several in a row are one."""
    return tuple(re.split(r"\*+", endpoint))


def _fits(literals: tuple[str, ...], path: str) -> bool:
    """Whether a path fits, in one pass: a regular expression takes polynomial time over hostile paths."""
    first, *middle = literals
    if not middle:
        return path == first
    last = middle.pop()
    if len(path) < len(first) + len(last) or not path.startswith(first) or not path.endswith(last):
        return False
    position, end = len(first), len(path) - len(last)
    for literal in middle:
        position = path.find(literal, position, end)
        if position < 0:
            return False
        position += len(literal)
    return True
