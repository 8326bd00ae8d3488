"""What is defended, and within which bounds it may be attacked on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["TRAITS", "Criticality", "ModelEntry", "PrincipalMapping", "Scope", "System", "Trait"]

Criticality = Literal["low", "medium", "high", "critical"]

Trait = Literal[
    "predictive",
    "generative",
    "agent",
    "retrieval",
    "trained",
    "feedback",
    "third-party",
    "edge",
    "physical",
    "public",
]
"""What a system is like, for telling which techniques apply to it; docs/systems.md explains each."""

TRAITS: tuple[Trait, ...] = get_args(Trait)


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model of a system and the paths under which it is served (``*`` stands for any characters, ``/`` too)."""

    name: str
    endpoints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PrincipalMapping:
    """How a principal is told: which field tells it where the log names none, and readable names for identities.

    The identity itself is never replaced: it is what a gateway enforces.
    """

    field: Literal["principal", "src_ip", "session"] = "principal"
    names: tuple[tuple[str, str], ...] = ()  # (value in the log, readable name)


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One entry of ``systems.yaml``."""

    name: str
    owner: str
    criticality: Criticality
    models: tuple[ModelEntry, ...]
    telemetry: tuple[tuple[str, str], ...] = ()  # (source, path or glob)
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
