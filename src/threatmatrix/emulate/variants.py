"""Variants of an attack, by name: plain, its random control, and attackers who adapt."""

from __future__ import annotations

from dataclasses import dataclass

from threatmatrix.emulate.attacks.base import Draws
from threatmatrix.model.errors import UnknownNameError

__all__ = ["ADAPTIONS", "LABELS", "REPEATS", "Variant", "parse_variant"]

LABELS = ("plain", "random-control", "blocked-account", "fresh-accounts")
"""Variants that change who sends, or what is sent, but not how the attack goes about it."""

ADAPTIONS = ("rotation", "averaged", "oars", "lockstep", "noise", "wide", "heavy-tailed", "delay", "dummies")
"""What may follow ``adaptive-``, one or several joined by ``+``: ``adaptive-rotation+averaged``."""

REPEATS = 5
NOISE = 0.05
"""Deviation of the ``noise`` variant, as a share of the inputs' range."""
WIDE = 3.0
"""The ``wide`` variant draws so many times as far apart as the attack itself would."""
DELAY_SECONDS = 60.0
"""The ``delay`` variant waits so long before each query."""
DUMMIES = 1
"""The ``dummies`` variant sends so many innocent rows for each of its own."""


@dataclass(frozen=True, slots=True)
class Variant:
    """``rotation``: another account for each request, and at once on a refusal. ``repeats``: how often a
    query is asked (majority of labels, mean of scores; each counts). ``oars``: successive queries as far
    apart as the attack tolerates, drawn again when refused. ``lockstep``: all samples at once, in turn. ``noise``:
    gaussian noise on each row, as a share of the range, but for the last word of an attack. ``wide``, ``draws``:
    random proposals farther apart, or from a heavy-tailed distribution; drawn again when refused. ``delay``: seconds
    of the target's own time before each query. ``dummies``: innocent rows of the attacker's own before each query, so
    many for each row of it; each counts.
    """

    name: str
    control: bool = False
    rotation: bool = False
    repeats: int = 1
    oars: bool = False
    lockstep: bool = False
    noise: float = 0.0
    wide: float = 1.0
    draws: Draws = "gaussian"
    delay: float = 0.0
    dummies: int = 0

    def cost(self, repeat: bool) -> int:
        """Rows that are sent for one row of a query."""
        return (self.repeats if repeat else 1) + self.dummies


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
        noise=NOISE if "noise" in parts else 0.0,
        wide=WIDE if "wide" in parts else 1.0,
        draws="heavy-tailed" if "heavy-tailed" in parts else "gaussian",
        delay=DELAY_SECONDS if "delay" in parts else 0.0,
        dummies=DUMMIES if "dummies" in parts else 0,
    )
