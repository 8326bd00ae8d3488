"""Attacks in NumPy, one file each, written as generators that yield queries and receive replies."""

from __future__ import annotations

from types import MappingProxyType

from threatmatrix.emulate.attacks.base import Attack
from threatmatrix.emulate.attacks.hop_skip_jump import hop_skip_jump
from threatmatrix.emulate.attacks.random_control import random_control
from threatmatrix.emulate.attacks.square import square
from threatmatrix.emulate.attacks.transfer import transfer

__all__ = ["ATTACKS", "RECON"]

ATTACKS: MappingProxyType[str, Attack] = MappingProxyType(
    {
        "hop_skip_jump": hop_skip_jump,
        "square": square,
        "transfer": transfer,
        "random_control": random_control,
    }
)
"""A procedure's ``use`` → the attack on one sample."""

RECON = ("read_metadata",)
"""Procedures that read and never infer: no sample, no norm."""
