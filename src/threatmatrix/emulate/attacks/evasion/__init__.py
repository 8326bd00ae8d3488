"""A changed input that the model gets wrong: by scores, by labels, by a model of the attacker's own."""

from __future__ import annotations

from threatmatrix.emulate.attacks.evasion.animate import AnimateStillsParams, animate_stills
from threatmatrix.emulate.attacks.evasion.boundary import BoundaryParams, boundary
from threatmatrix.emulate.attacks.evasion.hop_skip_jump import HopSkipJumpParams, hop_skip_jump
from threatmatrix.emulate.attacks.evasion.nes import NESParams, nes
from threatmatrix.emulate.attacks.evasion.patch import EotPatchParams, eot_patch
from threatmatrix.emulate.attacks.evasion.present_takes import PresentTakesParams, present_takes
from threatmatrix.emulate.attacks.evasion.random_control import RandomControlParams, random_control
from threatmatrix.emulate.attacks.evasion.show_patch import (
    PrintPatchParams,
    ShowPatchParams,
    print_patch,
    show_patch,
)
from threatmatrix.emulate.attacks.evasion.sign_opt import SignOPTParams, sign_opt
from threatmatrix.emulate.attacks.evasion.simba import SimBAParams, simba
from threatmatrix.emulate.attacks.evasion.square import SquareParams, square
from threatmatrix.emulate.attacks.evasion.sur_free import SurFreeParams, sur_free
from threatmatrix.emulate.attacks.evasion.transfer import TransferParams, transfer
from threatmatrix.emulate.attacks.evasion.zoo import ZOOParams, zoo
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
        use="simba",
        title="SimBA",
        family="evasion",
        access="score",
        modality="vector",
        cost="one or two for each basis vector, up to the budget of a sample",
        source="Guo et al. 2019",
        params=SimBAParams,
        attack=simba,
    ),
    AttackKind(
        use="nes",
        title="NES",
        family="evasion",
        access="score",
        modality="vector",
        cost="1 + 2 × pairs for each step, up to the budget of a sample",
        source="Ilyas et al. 2018",
        params=NESParams,
        attack=nes,
    ),
    AttackKind(
        use="zoo",
        title="ZOO",
        family="evasion",
        access="score",
        modality="vector",
        cost="1 + 2 × coordinates for each step, up to the budget of a sample",
        source="Chen et al. 2017",
        params=ZOOParams,
        attack=zoo,
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
        use="boundary",
        title="Boundary attack",
        family="evasion",
        access="label",
        modality="vector",
        cost="one for each proposal and each look at the norm, up to the budget of a sample",
        source="Brendel, Rauber, Bethge 2018",
        params=BoundaryParams,
        attack=boundary,
    ),
    AttackKind(
        use="sign_opt",
        title="Sign-OPT",
        family="evasion",
        access="label",
        modality="vector",
        cost="one for each direction of an estimate and a few for each step, up to the budget of a sample",
        source="Cheng et al. 2020",
        params=SignOPTParams,
        attack=sign_opt,
    ),
    AttackKind(
        use="sur_free",
        title="SurFree",
        family="evasion",
        access="label",
        modality="vector",
        cost="one for each angle, up to the budget of a sample",
        source="Maho, Furon, Le Merrer 2021",
        params=SurFreeParams,
        attack=sur_free,
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
    AttackKind(
        use="eot_patch",
        title="Patch by expectation over transformation",
        family="evasion",
        access="file",
        modality="image",
        cost="none: it is computed on a model at hand",
        source="Brown et al. 2017; Athalye et al. 2018",
        params=EotPatchParams,
        whole=eot_patch,
    ),
    AttackKind(
        use="print_patch",
        title="Print a patch",
        family="evasion",
        access="none",
        modality="image",
        cost="none",
        source="Kurakin, Goodfellow, Bengio 2017",
        params=PrintPatchParams,
        whole=print_patch,
    ),
    AttackKind(
        use="show_patch",
        title="Wear a printed patch",
        family="evasion",
        access="label",
        modality="image",
        cost="1 for each photograph",
        source="AML.CS0012",
        params=ShowPatchParams,
        whole=show_patch,
    ),
    AttackKind(
        use="animate_stills",
        title="Animate photographs",
        family="evasion",
        access="none",
        modality="image",
        cost="none",
        source="Xu et al. 2016; AML.CS0004",
        params=AnimateStillsParams,
        whole=animate_stills,
    ),
    AttackKind(
        use="present_takes",
        title="Present takes through a virtual camera",
        family="evasion",
        access="label",
        modality="image",
        cost="1 for each take",
        source="AML.CS0004",
        params=PresentTakesParams,
        whole=present_takes,
    ),
)
