"""What an attack is, for whoever looks it up: its name, what it needs, where it comes from."""

from __future__ import annotations

from dataclasses import dataclass

from threatmatrix.emulate.attacks.base import Attack
from threatmatrix.emulate.stage import Whole
from threatmatrix.model.procedure import Access, Modality

__all__ = ["AttackKind"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackKind:
    """One attack. Exactly one of ``attack`` (one input at a time) and ``whole`` (everything at once) is there."""

    use: str
    title: str
    family: str
    access: Access
    modality: Modality
    cost: str  # queries, in words
    source: str  # paper or specification
    params: type  # a frozen dataclass with defaults: its parameters
    attack: Attack | None = None
    whole: Whole | None = None

    def __post_init__(self) -> None:
        if (self.attack is None) == (self.whole is None):
            raise ValueError(f"{self.use}: an attack is on one input at a time or on everything, not both or neither")
