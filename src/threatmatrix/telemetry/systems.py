"""Which system and model an event belongs to, and who asked where the log itself does not say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from threatmatrix.model.event import Event
from threatmatrix.model.system import System
from threatmatrix.telemetry.building import with_place
from threatmatrix.telemetry.joining.facts import worth_joining
from threatmatrix.telemetry.patterns import Pattern, best_first
from threatmatrix.telemetry.principals import Teller

__all__ = ["Place", "Resolver", "Told", "expected_sources", "input_ranges"]

Place = tuple[str | None, str | None, str | None, str | None]
"""``(system, model, host, endpoint)`` of a record, as its log has them."""

Told = tuple[str | None, str | None, str | None, str | None, str | None]
"""``(system, principal, key_id, session, src_ip)`` of a record, the system already told."""

_CACHED = 8192  # paths, hosts and addresses come from clients: invented ones must not fill the memory


class Resolver:
    """Fills ``system``, ``model`` and a missing ``principal``, as ``systems.yaml`` says.

    A system or model that an event carries is never overwritten; a principal only where the system's ``tell_by``
    puts another field before it. The principal is the identity that the gateway enforces: a block on a readable name
    would stop nobody. :attr:`names` (identity → readable name) is for whoever shows it.

    A host that fits narrows the choice to its systems; one that fits nothing says nothing. Then the endpoint
    decides, the pattern with the most literal characters before others; where no endpoint fits, a model name that
    only one of the systems has; at last the host, where it is of one system alone. An event that nothing fits comes
    back as it was.
    """

    def __init__(self, systems: Sequence[System]) -> None:
        self._hosts = best_first((Pattern(host), system.name, None) for system in systems for host in system.hosts)
        self._endpoints = best_first(_endpoints(systems))
        self._owners: dict[str, set[str]] = {}
        for system in systems:
            for model in system.models:
                self._owners.setdefault(model.name, set()).add(system.name)
        self._tellers = {system.name: Teller(system.principal) for system in systems}
        names: dict[str, str] = {}
        for system in systems:
            for identity, name in system.principal.names:
                names.setdefault(identity, name)  # the first system wins where two name the same identity
        self.names: Mapping[str, str] = MappingProxyType(names)
        self._place = lru_cache(maxsize=_CACHED)(self._find)
        self._systems_at = lru_cache(maxsize=_CACHED)(self._find_host)

    def resolve(self, event: Event) -> Event:
        """The event with its system, model and principal, or the event itself where nothing changes."""
        system, model, principal = event.system, event.model, event.principal
        if system is None or model is None:
            system, model = self._place(system, model, event.host, event.endpoint)
        teller = self._tellers.get(system) if system is not None else None
        if teller is not None and (principal is None or not teller.keeps_principal):
            principal = teller.tell(principal, event.key_id, event.session, event.src_ip)
        if system == event.system and model == event.model and principal == event.principal:
            return event
        return with_place(event, system, model, principal)

    def place_many(self, rows: Iterable[Place]) -> list[tuple[str | None, str | None]]:
        """The (system, model) of each distinct combination: what :meth:`resolve` would fill in, column by column."""
        return [
            (system, model) if system is not None and model is not None else self._place(system, model, host, endpoint)
            for system, model, host, endpoint in rows
        ]

    def tell_many(self, rows: Iterable[Told]) -> list[str | None]:
        """The principal of each distinct combination; the system must have been told before (:meth:`place_many`)."""
        found: list[str | None] = []
        for system, principal, key_id, session, src_ip in rows:
            teller = self._tellers.get(system) if system is not None else None
            found.append(principal if teller is None else teller.tell(principal, key_id, session, src_ip))
        return found

    def told_by(self, system: str | None) -> tuple[str, ...]:
        """The fields, in order, that :meth:`tell_many` looks at; ``("principal",)`` for an unknown system."""
        teller = self._tellers.get(system) if system is not None else None
        return ("principal",) if teller is None else teller.fields

    def _find(
        self, system: str | None, model: str | None, host: str | None, endpoint: str | None
    ) -> tuple[str | None, str | None]:
        at = self._systems_at(host) if host is not None and self._hosts else frozenset[str]()
        if system is not None:
            at = frozenset((system,))
        if endpoint is not None:
            found = self._by_endpoint(at, model, endpoint)
            if found is not None:
                return found
        if system is None and model is not None:
            owners = self._owners.get(model, set())
            owners = owners & at if at else owners
            system = next(iter(owners)) if len(owners) == 1 else None
        if system is None and len(at) == 1:
            (system,) = at
        return system, model

    def _by_endpoint(self, at: frozenset[str], model: str | None, endpoint: str) -> tuple[str, str | None] | None:
        for pattern, system, its_model in self._endpoints:
            if at and system not in at:
                continue
            if (its_model is None or model in (None, its_model)) and pattern.fits(endpoint):
                return system, model or its_model
        return None

    def _find_host(self, host: str) -> frozenset[str]:
        """The systems whose best pattern fits a host, with or without its port."""
        host = host.lower().rstrip(".")
        bare = host.rpartition(":")[0] if _has_port(host) else host
        for pattern, system, _ in self._hosts:
            if pattern.fits(host) or pattern.fits(bare):
                return frozenset((system,))
        return frozenset()


def _endpoints(systems: Sequence[System]) -> Iterable[tuple[Pattern, str, str | None]]:
    """Each endpoint of each system; no model where several models of a system share the path."""
    for system in systems:
        models: dict[str, set[str]] = {}
        for model in system.models:
            for endpoint in model.endpoints:
                models.setdefault(endpoint, set()).add(model.name)
        for endpoint, names in models.items():
            yield Pattern(endpoint), system.name, next(iter(names)) if len(names) == 1 else None


def _has_port(host: str) -> bool:
    """``name:80`` and ``[::1]:80``, but not a bare ``::1``."""
    head, _, port = host.rpartition(":")
    return port.isdecimal() and (head.endswith("]") or ":" not in head)


def input_ranges(systems: Sequence[System]) -> dict[str, tuple[float, float]]:
    """Model → (least, greatest) number of its inputs, for ``Inputs``; the first system wins where two name a model."""
    found: dict[str, tuple[float, float]] = {}
    for system in systems:
        for model in system.models:
            if model.input_range is not None:
                found.setdefault(model.name, model.input_range)
    return found


def expected_sources(systems: Sequence[System]) -> dict[str | None, frozenset[str]]:
    """System → the sources that its telemetry names, for ``Joiner``; None: of events that belong to no system."""
    found: dict[str | None, frozenset[str]] = {
        system.name: frozenset(entry.source for entry in system.telemetry) for system in systems
    }
    found[None] = frozenset[str]().union(*filter(worth_joining, found.values()))
    return found
