"""TODO."""

from __future__ import annotations

from threatmatrix.emulate.attacks.kinds import AttackKind

__all__ = ["KINDS"]

KINDS: tuple[AttackKind, ...] = ()
