"""Variants of an attack, by name: plain, its random control, and attackers who adapt."""

from __future__ import annotations

from dataclasses import dataclass

from threatmatrix.model.errors import UnknownNameError

__all__ = ["ADAPTIONS", "LABELS", "REPEATS", "Variant", "parse_variant"]

LABELS = ("plain", "random-control", "blocked-account", "fresh-accounts")
"""Variants that change who sends, or what is sent, but not how the attack goes about it."""

ADAPTIONS = ("rotation", "averaged", "oars", "lockstep")
"""What may follow ``adaptive-``, one or several joined by ``+``: ``adaptive-rotation+averaged``."""

REPEATS = 5


@dataclass(frozen=True, slots=True)
class Variant:
    """``rotation``: another account for each request, and at once on a refusal. ``repeats``: how often a
    query is asked (majority of labels, mean of scores; each counts). ``oars``: successive queries as far
    apart as the attack tolerates, drawn again when refused. ``lockstep``: all samples at once, in turn.
    """

    name: str
    control: bool = False
    rotation: bool = False
    repeats: int = 1
    oars: bool = False
    lockstep: bool = False


def parse_variant(name: str, *, repeats: int = REPEATS) -> Variant:
    """Name → variant; raises UnknownNameError. ``repeats`` is how often an averaging variant asks."""
    if name in LABELS:
        return Variant(name, control=name == "random-control")
    parts = set(name.removeprefix("adaptive-").split("+"))
    if not name.startswith("adaptive-") or not parts <= set(ADAPTIONS):
        raise UnknownNameError("variant", name, [*LABELS, *(f"adaptive-{a}" for a in ADAPTIONS)])
    return Variant(
        name,
        rotation="rotation" in parts,
        repeats=repeats if "averaged" in parts else 1,
        oars="oars" in parts,
        lockstep="lockstep" in parts,
    )
