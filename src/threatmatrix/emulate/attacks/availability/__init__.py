"""Inputs that keep a model from answering anybody."""

from __future__ import annotations

from threatmatrix.emulate.attacks.availability.sponge import SpongeParams, sponge
from threatmatrix.emulate.attacks.kinds import AttackKind

__all__ = ["KINDS"]

KINDS = (
    AttackKind(
        use="sponge",
        title="Sponge inputs by a genetic algorithm",
        family="availability",
        access="score",
        modality="text",
        cost="the population once for each generation, up to the budget of the step",
        source="Shumailov et al. 2021",
        params=SpongeParams,
        whole=sponge,
    ),
)
