"""A copy of the target's model, made of its answers."""

from __future__ import annotations

from threatmatrix.emulate.attacks.extraction.active import ActiveParams, active
from threatmatrix.emulate.attacks.extraction.equations import EquationParams, equation_solving
from threatmatrix.emulate.attacks.extraction.imitation import (
    CollectParams,
    ImitateParams,
    ServeParams,
    collect_translations,
    imitate_translator,
    serve_from_copy,
)
from threatmatrix.emulate.attacks.extraction.jacobian import JacobianParams, jacobian_augmentation
from threatmatrix.emulate.attacks.extraction.replication import (
    RebuildParams,
    ReplicateParams,
    rebuild_corpus,
    replicate_language_model,
)
from threatmatrix.emulate.attacks.extraction.sources import (
    InDistributionParams,
    RandomQueriesParams,
    in_distribution,
    random_queries,
)
from threatmatrix.emulate.attacks.extraction.stand_in import StandInParams, train_stand_in
from threatmatrix.emulate.attacks.kinds import AttackKind

__all__ = ["KINDS"]

KINDS = (
    AttackKind(
        use="random_queries",
        title="Extraction by random inputs",
        family="extraction",
        access="label",
        modality="vector",
        cost="the budget of the step, in requests of 50 rows",
        source="Tramèr et al. 2016",
        params=RandomQueriesParams,
        whole=random_queries,
    ),
    AttackKind(
        use="in_distribution",
        title="Extraction by inputs of the right kind",
        family="extraction",
        access="label",
        modality="vector",
        cost="the budget of the step, in requests of 50 rows",
        source="Orekondy, Schiele, Fritz 2019",
        params=InDistributionParams,
        whole=in_distribution,
    ),
    AttackKind(
        use="jacobian_augmentation",
        title="Extraction by Jacobian-based data augmentation",
        family="extraction",
        access="label",
        modality="vector",
        cost="the budget of the step: seeds first, then what grows from them in each round",
        source="Papernot et al. 2017",
        params=JacobianParams,
        whole=jacobian_augmentation,
    ),
    AttackKind(
        use="active",
        title="Extraction by active learning",
        family="extraction",
        access="label",
        modality="vector",
        cost="the budget of the step: seeds first, the rest in equal rounds",
        source="Pal et al. 2020",
        params=ActiveParams,
        whole=active,
    ),
    AttackKind(
        use="equation_solving",
        title="Equation solving for linear models",
        family="extraction",
        access="score",
        modality="vector",
        cost="the budget of the step; one more than the inputs have values is enough for exact scores",
        source="Tramèr et al. 2016",
        params=EquationParams,
        whole=equation_solving,
    ),
    AttackKind(
        use="collect_translations",
        title="Translations in bulk",
        family="extraction",
        access="label",
        modality="text",
        cost="one for each sentence, up to the budget of the step",
        source="Wallace, Stern, Song 2020",
        params=CollectParams,
        whole=collect_translations,
    ),
    AttackKind(
        use="imitate_translator",
        title="Imitation of a translator",
        family="extraction",
        access="file",
        modality="text",
        cost="none: it learns from answers that are held",
        source="Wallace, Stern, Song 2020; Brown et al. 1993",
        params=ImitateParams,
        whole=imitate_translator,
    ),
    AttackKind(
        use="serve_from_copy",
        title="Customers served from a copy",
        family="extraction",
        access="file",
        modality="text",
        cost="none",
        source="Wallace, Stern, Song 2020",
        params=ServeParams,
        whole=serve_from_copy,
    ),
    AttackKind(
        use="rebuild_corpus",
        title="Training texts rebuilt from their description",
        family="extraction",
        access="none",
        modality="text",
        cost="none",
        source="Gokaslan et al. 2019",
        params=RebuildParams,
        whole=rebuild_corpus,
    ),
    AttackKind(
        use="replicate_language_model",
        title="Replication of a language model",
        family="extraction",
        access="none",
        modality="text",
        cost="none: it learns from public texts",
        source="Gokaslan et al. 2019; Kneser, Ney 1995",
        params=ReplicateParams,
        whole=replicate_language_model,
    ),
    AttackKind(
        use="train_stand_in",
        title="A stand-in trained on public data",
        family="extraction",
        access="none",
        modality="image",
        cost="none: it learns from public pictures",
        source="Belhumeur et al. 1997; AML.T0005",
        params=StandInParams,
        whole=train_stand_in,
    ),
)
