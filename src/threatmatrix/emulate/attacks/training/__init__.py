"""A hand in what a model learns from: its labels, its inputs, its users' feedback, the samples that it is sent."""

from __future__ import annotations

from threatmatrix.emulate.attacks.kinds import AttackKind
from threatmatrix.emulate.attacks.training.backdoor import BackdoorParams, backdoor
from threatmatrix.emulate.attacks.training.chaff import MetamorphicChaffParams, metamorphic_chaff
from threatmatrix.emulate.attacks.training.clean_label import CleanLabelParams, clean_label
from threatmatrix.emulate.attacks.training.feedback import FeedbackPoisoningParams, feedback_poisoning
from threatmatrix.emulate.attacks.training.flood import (
    NearDuplicateFloodParams,
    ShareSamplesParams,
    near_duplicate_flood,
    share_samples,
)
from threatmatrix.emulate.attacks.training.label_flip import LabelFlipParams, label_flip
from threatmatrix.emulate.attacks.training.survey import (
    PublicMistakesParams,
    SurveyAnswersParams,
    public_mistakes,
    survey_answers,
)

__all__ = ["KINDS"]

KINDS = (
    AttackKind(
        use="label_flip",
        title="Label flip",
        family="training",
        access="train",
        modality="any",
        cost="none; two trainings",
        source="Biggio, Nelson, Laskov 2011",
        params=LabelFlipParams,
        whole=label_flip,
    ),
    AttackKind(
        use="backdoor",
        title="Backdoor by a trigger (BadNets)",
        family="training",
        access="train",
        modality="any",
        cost="none; two trainings",
        source="Gu, Dolan-Gavitt, Garg 2017",
        params=BackdoorParams,
        whole=backdoor,
    ),
    AttackKind(
        use="clean_label",
        title="Clean-label poisoning (collision)",
        family="training",
        access="train",
        modality="vector",
        cost="none; one training for each group of inputs",
        source="Shafahi et al. 2018",
        params=CleanLabelParams,
        whole=clean_label,
    ),
    AttackKind(
        use="survey_answers",
        title="Survey of a model's answers to inputs at hand",
        family="training",
        access="label",
        modality="any",
        cost="1 for each input at hand",
        source="Adversarial ML Threat Matrix 2020, case Tay poisoning",
        params=SurveyAnswersParams,
        whole=survey_answers,
    ),
    AttackKind(
        use="feedback_poisoning",
        title="Feedback poisoning by sybils",
        family="training",
        access="feedback",
        modality="any",
        cost="1 for each report, and 1 for each held-out input",
        source="Microsoft 2016; Barreno et al. 2010",
        params=FeedbackPoisoningParams,
        whole=feedback_poisoning,
    ),
    AttackKind(
        use="public_mistakes",
        title="What the public hears from a poisoned model",
        family="training",
        access="label",
        modality="any",
        cost="1 for each held-out input",
        source="Adversarial ML Threat Matrix 2020, case Tay poisoning",
        params=PublicMistakesParams,
        whole=public_mistakes,
    ),
    AttackKind(
        use="metamorphic_chaff",
        title="Mutants by a metamorphic engine",
        family="training",
        access="none",
        modality="text",
        cost="none",
        source="metame; Lin, Stamp 2011",
        params=MetamorphicChaffParams,
        whole=metamorphic_chaff,
    ),
    AttackKind(
        use="share_samples",
        title="Samples shared on a platform",
        family="training",
        access="feedback",
        modality="text",
        cost="1 for each upload",
        source="Adversarial ML Threat Matrix 2020, case VirusTotal poisoning",
        params=ShareSamplesParams,
        whole=share_samples,
    ),
    AttackKind(
        use="near_duplicate_flood",
        title="Near-duplicate flood",
        family="training",
        access="feedback",
        modality="text",
        cost="1 for each upload, and 1 for each mutant that is looked up",
        source="Adversarial ML Threat Matrix 2020, case VirusTotal poisoning",
        params=NearDuplicateFloodParams,
        whole=near_duplicate_flood,
    ),
)
