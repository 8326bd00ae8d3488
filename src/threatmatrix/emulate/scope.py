"""Scope: what was signed off. Whatever is not listed is refused, with what is listed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

from threatmatrix.model.errors import ScopeError
from threatmatrix.model.system import Scope

__all__ = ["check", "is_loopback", "to_take_back"]


_NO_END = 2**63 - 1


def check(scope: Scope, host: str, model: str, technique: str, now: int) -> None:
    """Raise ScopeError unless the scope covers this host (with or without port), model and technique.

    ``now`` is microseconds since 1970-01-01 UTC. Hosts other than loopback need ``allow_remote`` too.
    """
    file = scope.file or "scope"
    if now >= scope.expires:
        end = datetime.fromtimestamp(scope.expires / 1e6, UTC).isoformat(timespec="seconds")
        raise ScopeError(f"{file}: expired on {end}", hint=f"Ask its owner, {scope.owner}, to sign it off again")
    _listed(file, "techniques", technique, scope.techniques)
    _listed(file, "models", model, scope.models)
    name, port = split_host(host)
    if not any(split_host(entry) in ((name, port), (name, None)) for entry in scope.hosts):
        _listed(file, "hosts", host, scope.hosts)
    if not scope.allow_remote and not is_loopback(name):
        raise ScopeError(
            f"{file}: {name} is not loopback, and allow_remote is not set",
            hint="Set allow_remote: true only for hosts that you own or may attack",
        )


def to_take_back(scope: Scope) -> Scope:
    """The same scope without its end, for a client that only takes back what was changed while it held.

    Leaving a target changed because a date has passed would harm its owner more than the few requests that mend it.
    Host, model and technique still have to be listed.
    """
    return replace(scope, expires=_NO_END)


def _listed(file: str, key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ScopeError(f"{file}: {key}: {value!r} is not in scope (in scope: {', '.join(allowed) or 'nothing'})")


def split_host(host: str) -> tuple[str, int | None]:
    """``host``, ``host:port``, ``[v6]:port`` or a bare IPv6 address → (name in lower case, port or None)."""
    try:
        return str(ip_address(host)), None
    except ValueError:
        pass
    try:
        parts = urlsplit(f"//{host}")
        return (parts.hostname or ""), parts.port
    except ValueError:
        return host.lower(), None


def is_loopback(name: str) -> bool:
    """Whether a host name or address is this machine's loopback (a name is trusted only as ``localhost``)."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
