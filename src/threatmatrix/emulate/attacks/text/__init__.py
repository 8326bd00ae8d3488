"""Attacks on models that judge texts: mail, names, request headers."""

from __future__ import annotations

from functools import partial

from threatmatrix.emulate.attacks.kinds import AttackKind
from threatmatrix.emulate.attacks.text.fields import (
    FieldEditParams,
    FieldSearchParams,
    StandInParams,
    field_edit,
    field_search,
    stand_in,
)
from threatmatrix.emulate.attacks.text.good_words import (
    GoodWordsParams,
    WordRankingParams,
    word_append,
    word_insert,
    word_ranking,
)
from threatmatrix.emulate.attacks.text.insertion import (
    FamilySurveyParams,
    InsertionChoiceParams,
    StringInsertParams,
    family_survey,
    insertion_choice,
    string_insert,
)
from threatmatrix.emulate.attacks.text.shadow_score import (
    ProbeScoresParams,
    ShadowScoreParams,
    probe_scores,
    shadow_score,
)
from threatmatrix.emulate.attacks.text.translation_flip import CraftParams, SendParams, craft_flips, send_flips

__all__ = ["KINDS"]

MAIL = "Pearce, Landers, DerbyCon 2019 (Proof Pudding)"
WORDS = "Lowd, Meek, Good word attacks on statistical spam filters, 2005"
DGA = "MITRE ATLAS AML.CS0001, 2020"
HEADERS = "MITRE ATLAS AML.CS0000, 2020"


_sent = partial(AttackKind, family="text", modality="text", access="file", cost="1 for each sample")
_made = partial(AttackKind, family="text", modality="text", access="file", cost="none: it asks the target nothing")
_asked = partial(AttackKind, family="text", modality="text", access="score", cost="1 for each text")

KINDS = (
    _asked(
        use="probe_scores", title="Look for scores in answers", source=MAIL,
        params=ProbeScoresParams, whole=probe_scores,
    ),
    _asked(
        use="shadow_score", title="Shadow of a scoring model", source=MAIL,
        params=ShadowScoreParams, whole=shadow_score,
    ),
    _made(
        use="word_ranking", title="Words switched on and off", source=MAIL,
        params=WordRankingParams, whole=word_ranking,
    ),
    _sent(use="word_append", title="Good words at the end", source=WORDS, params=GoodWordsParams, whole=word_append),
    _sent(use="word_insert", title="Good words in between", source=WORDS, params=GoodWordsParams, whole=word_insert),
    _made(
        use="family_survey", title="Which families are recognised", source=DGA,
        params=FamilySurveyParams, whole=family_survey,
    ),
    _made(
        use="insertion_choice", title="Choose one string", source=DGA,
        params=InsertionChoiceParams, whole=insertion_choice,
    ),
    _sent(
        use="string_insert", title="One string in every name", source=DGA,
        params=StringInsertParams, whole=string_insert,
    ),
    AttackKind(
        use="stand_in", title="A stand-in from public traffic", family="text", modality="text", access="none",
        cost="none: it asks the target nothing", source=HEADERS, params=StandInParams, whole=stand_in,
    ),
    _made(
        use="field_search", title="Edit fields on the stand-in", source=HEADERS,
        params=FieldSearchParams, whole=field_search,
    ),
    _sent(use="field_edit", title="Send the edited requests", source=HEADERS, params=FieldEditParams, whole=field_edit),
    AttackKind(
        use="craft_flips",
        title="Translation flips, found on an imitation",
        family="text",
        access="file",
        modality="text",
        cost="none: the search is on the imitation",
        source="Wallace, Stern, Song 2020",
        params=CraftParams,
        whole=craft_flips,
    ),
    AttackKind(
        use="send_flips",
        title="Translation flips, sent to the service",
        family="text",
        access="label",
        modality="text",
        cost="1 for each sentence",
        source="Wallace, Stern, Song 2020",
        params=SendParams,
        whole=send_flips,
    ),
)  # fmt: skip
