"""Attacks in NumPy, one file each, by the name under which a procedure's step uses them.

Two shapes: on one input at a time, a generator that yields queries and receives replies (attacks/base.py), and on
everything at once, a function of a stage (emulate/stage.py). A family is a folder with a ``KINDS`` of its own; it is
imported when one of its attacks is looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module

from threatmatrix.emulate.attacks.kinds import AttackKind
from threatmatrix.model.errors import UnknownNameError

__all__ = ["FAMILIES", "AttackKind", "attack_kind", "attack_kinds"]

FAMILIES = (
    "recon",
    "access",
    "evasion",
    "text",
    "binary",
    "extraction",
    "privacy",
    "training",
    "supply_chain",
    "availability",
)
"""Folders of this room, in the order in which an attack usually goes."""


@cache
def _all() -> Mapping[str, AttackKind]:
    return {kind.use: kind for kind in attack_kinds()}


def attack_kinds() -> Iterator[AttackKind]:
    """Every attack, family by family."""
    for family in FAMILIES:
        yield from import_module(f"{__name__}.{family}").KINDS


def attack_kind(use: str) -> AttackKind:
    """The attack of this name; raises UnknownNameError."""
    found = _all().get(use)
    if found is None:
        raise UnknownNameError("attack", use, _all())
    return found
