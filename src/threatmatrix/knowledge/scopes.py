"""``scope.yaml``: a signed-off permission to attack named models, within bounds, until a date."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from threatmatrix.knowledge.check import check
from threatmatrix.knowledge.schemas_user import ScopeFile
from threatmatrix.knowledge.yamlfile import Document, load_yaml
from threatmatrix.model.errors import ScopeError
from threatmatrix.model.system import Scope

__all__ = ["is_loopback", "load_scope", "scope_template"]

_HINT = "`threatmatrix init` writes a commented example"


def load_scope(path: Path, now: int, *, techniques: Collection[str] | None = None) -> Scope:
    """Read a scope and refuse one that has expired or reaches further than it says.

    ``now`` and the result's ``expires`` are microseconds since 1970-01-01 UTC. ``techniques``: the
    known slugs, if those of the file are to be checked. Raises InputError (no file), FormatError,
    ScopeError (expired, or a host that is not loopback without ``allow_remote``).
    """
    document = load_yaml(path)
    content = check(document, ScopeFile, hint=_HINT)
    expires = _expiry(document, content.expires)
    if expires <= now:
        raise ScopeError(
            f"{document.file}: this scope expired at {content.expires}", hint="Have its owner sign a new date"
        )
    for position, host in enumerate(content.hosts):
        _check_host(document, position, host, content.allow_remote)
    if techniques is not None:
        _check_techniques(document, content.techniques, techniques)
    return Scope(
        owner=content.owner,
        hosts=tuple(content.hosts),
        models=tuple(content.models),
        techniques=tuple(content.techniques),
        max_queries=content.max_queries,
        rps=float(content.rps),
        expires=expires,
        allow_remote=content.allow_remote,
        file=document.file,
    )


def _expiry(document: Document, text: str) -> int:
    """A date counts to its end in UTC; a time needs its offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        _not_a_moment(document, text)
    if "T" not in text and " " not in text:
        moment = moment.replace(tzinfo=UTC) + timedelta(days=1)
    if moment.tzinfo is None:
        _not_a_moment(document, text)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _not_a_moment(document: Document, text: str) -> NoReturn:
    problem = f"{text!r} is no date or time with an offset"
    raise document.error(("expires",), problem, hint="Write 2027-01-31 or 2027-01-31T18:00:00Z") from None


def _check_host(document: Document, position: int, host: str, allow_remote: bool) -> None:
    if "/" in host or "@" in host or "*" in host or any(sign.isspace() for sign in host):
        raise document.error(("hosts", position), f"{host!r} is not a host or host:port")
    if not allow_remote and not is_loopback(host):
        where = document.line(("hosts", position))
        raise ScopeError(
            f"{document.file}:{where}: hosts[{position}]: {host} is not on this machine",
            hint="To attack over a network, its owner writes `allow_remote: true` into the scope",
        )


def is_loopback(host: str) -> bool:
    """Whether ``host`` or ``host:port`` is this machine: localhost, 127.0.0.0/8 or ::1."""
    name = host.strip()
    if name.startswith("["):
        name = name[1:].split("]", 1)[0]
    elif name.count(":") == 1:
        name = name.split(":", 1)[0]
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _check_techniques(document: Document, wanted: Collection[str], known: Collection[str]) -> None:
    for position, slug in enumerate(wanted):
        if slug not in known:
            near = get_close_matches(slug, known, n=3)
            problem = f"no technique is called {slug!r}" + (f"; near it: {', '.join(near)}" if near else "")
            raise document.error(("techniques", position), problem)


def scope_template(*, owner: str = "", expires: str = "") -> str:
    """A commented scope.yaml for the reference target.

    Without ``owner`` and ``expires`` it is refused until a person has filled both in: a permission
    that nobody gave is none.
    """
    return _TEMPLATE.format(owner=_quoted(owner), expires=_quoted(expires))


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_TEMPLATE = """\
# scope.yaml: the permission to attack. An emulation refuses whatever is not listed here.
owner: {owner}        # who signs for it: a name that can be asked
expires: {expires}    # a date (to its end, UTC) or a time such as 2027-01-31T18:00:00Z

hosts:                # host or host:port; only this machine unless allow_remote is true
  - 127.0.0.1
models:               # model names as the target serves them
  - digits
techniques:           # slugs, as `threatmatrix coverage` lists them
  - ml-model-discovery
  - offline-evasion
  - online-evasion

max_queries: 700000   # rows in all, a hard limit; `threatmatrix replay CASE --dry-run` says what a replay needs at most
rps: 5000             # requests a second, a hard limit
allow_remote: false   # true: hosts may be on the network, and you may attack them
"""
