"""A changed input that the model gets wrong: by scores, by labels, by a model of the attacker's own."""

from __future__ import annotations

from threatmatrix.emulate.attacks.evasion.hop_skip_jump import HopSkipJumpParams, hop_skip_jump
from threatmatrix.emulate.attacks.evasion.random_control import RandomControlParams, random_control
from threatmatrix.emulate.attacks.evasion.square import SquareParams, square
from threatmatrix.emulate.attacks.evasion.transfer import TransferParams, transfer
from threatmatrix.emulate.attacks.kinds import AttackKind

__all__ = ["KINDS"]

KINDS = (
    AttackKind(
        use="square",
        title="Square",
        family="evasion",
        access="score",
        modality="image",
        cost="one for each proposal, up to the budget of a sample",
        source="Andriushchenko et al. 2020",
        params=SquareParams,
        attack=square,
    ),
    AttackKind(
        use="hop_skip_jump",
        title="HopSkipJump",
        family="evasion",
        access="label",
        modality="vector",
        cost="up to the budget of a sample; each row of a gradient batch is one",
        source="Chen, Jordan, Wainwright 2020",
        params=HopSkipJumpParams,
        attack=hop_skip_jump,
    ),
    AttackKind(
        use="transfer",
        title="Transfer from a model at hand (PGD)",
        family="evasion",
        access="file",
        modality="vector",
        cost="1 for each sample",
        source="Madry et al. 2018; Papernot, McDaniel, Goodfellow 2016",
        params=TransferParams,
        attack=transfer,
    ),
    AttackKind(
        use="random_control",
        title="Random control",
        family="evasion",
        access="label",
        modality="vector",
        cost="the budget of a sample, and no further batch after a hit",
        source="none needed: the control beside which the others are read",
        params=RandomControlParams,
        attack=random_control,
    ),
)
