"""What is defended, and within which bounds it may be attacked on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = [
    "TELL_BY",
    "TRAITS",
    "Criticality",
    "ModelEntry",
    "PrincipalMapping",
    "Scope",
    "System",
    "TelemetryEntry",
    "TellBy",
    "Trait",
]

Criticality = Literal["low", "medium", "high", "critical"]

Trait = Literal[
    "predictive",  # answers with labels or scores
    "generative",  # answers with text or images
    "agent",  # calls tools
    "retrieval",  # reads documents
    "trained",  # you train or fine-tune it
    "feedback",  # learns from its users
    "third-party",  # weights, data or packages from outside
    "edge",  # the model is shipped to devices
    "physical",  # inputs from cameras or sensors
    "public",  # anybody may query it
]
"""What a system is like: which techniques can concern it at all (``threatmatrix assess``)."""

TRAITS: tuple[Trait, ...] = get_args(Trait)

TellBy = Literal["principal", "key_id", "session", "src_ip"]
"""An event's field that can tell who asked."""

TELL_BY: tuple[TellBy, ...] = get_args(TellBy)


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model of a system and the paths under which it is served (``*`` stands for any characters, ``/`` too).

    ``input_range``: least and greatest number of its inputs, the unit that distances are scaled by; None: (0, 1).
    """

    name: str
    endpoints: tuple[str, ...] = ()
    input_range: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class TelemetryEntry:
    """One log of a system: its reader, its path or glob, and the mapping file that the reader ``mapping`` needs."""

    source: str
    path: str
    mapping: str = ""


@dataclass(frozen=True, slots=True)
class PrincipalMapping:
    """How a principal is told from an event, and readable names for identities.

    ``tell_by``: the first of these fields that says something is the principal. ``header``: the HTTP header that
    names it, for sources that log headers (lower case; "" for none). ``addresses``: network in CIDR notation → the
    principal behind it. ``names`` are for showing only: the identity itself is what a gateway enforces.
    """

    tell_by: tuple[TellBy, ...] = ("principal",)
    header: str = ""
    names: tuple[tuple[str, str], ...] = ()  # (identity in the log, readable name)
    addresses: tuple[tuple[str, str], ...] = ()  # (network, principal)


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One entry of ``systems.yaml``."""

    name: str
    owner: str
    criticality: Criticality
    models: tuple[ModelEntry, ...]
    hosts: tuple[str, ...] = ()  # names under which it is addressed; * stands for any characters
    traits: tuple[Trait, ...] = ()
    telemetry: tuple[TelemetryEntry, ...] = ()
    principal: PrincipalMapping = PrincipalMapping()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A signed-off scope (``scope.yaml``): what an emulation may attack, how hard, and until when.

    ``expires`` is microseconds since 1970-01-01 UTC; ``techniques`` are slugs; ``rps`` is requests
    per second, a hard limit that the client keeps.
    """

    owner: str
    hosts: tuple[str, ...]  # host or host:port; loopback unless allow_remote says otherwise
    models: tuple[str, ...]
    techniques: tuple[str, ...]
    max_queries: int
    rps: float
    expires: int
    allow_remote: bool = False
    file: str = ""
