"""What a model remembers of its training data: who was in it, and what a class looks like."""

from __future__ import annotations

from threatmatrix.emulate.attacks.kinds import AttackKind
from threatmatrix.emulate.attacks.privacy.inversion import InversionParams, nes_inversion
from threatmatrix.emulate.attacks.privacy.lira import LiraParams, lira
from threatmatrix.emulate.attacks.privacy.membership import (
    ConfidenceParams,
    LabelOnlyParams,
    confidence_threshold,
    label_only,
)

__all__ = ["KINDS"]

KINDS = (
    AttackKind(
        use="confidence_threshold",
        title="Membership by confidence",
        family="privacy",
        access="score",
        modality="vector",
        cost="1 for each record",
        source="Yeom et al. 2018",
        params=ConfidenceParams,
        whole=confidence_threshold,
    ),
    AttackKind(
        use="lira",
        title="Membership by likelihood ratio (LiRA)",
        family="privacy",
        access="score",
        modality="vector",
        cost="1 for each record",
        source="Carlini et al. 2022",
        params=LiraParams,
        whole=lira,
    ),
    AttackKind(
        use="label_only",
        title="Membership by labels alone",
        family="privacy",
        access="label",
        modality="vector",
        cost="32 for each record: 8 disturbed copies at each of 4 strengths",
        source="Choquette-Choo et al. 2021",
        params=LabelOnlyParams,
        whole=label_only,
    ),
    AttackKind(
        use="nes_inversion",
        title="Inversion by NES",
        family="privacy",
        access="score",
        modality="vector",
        cost="the budget of the step, in equal parts for the classes",
        source="Fredrikson, Jha, Ristenpart 2015; Ilyas et al. 2018",
        params=InversionParams,
        whole=nes_inversion,
    ),
)
