"""Language: a translator and what is learnt from its answers, a language model and its replica, sponge inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.attacks.availability.sponge import sponge
from threatmatrix.emulate.attacks.extraction.bleu import bleu
from threatmatrix.emulate.attacks.extraction.imitation import (
    collect_translations,
    imitate_translator,
    serve_from_copy,
)
from threatmatrix.emulate.attacks.extraction.replication import rebuild_corpus, replicate_language_model
from threatmatrix.emulate.attacks.extraction.word_alignment import NOWHERE, align
from threatmatrix.emulate.attacks.extraction.word_classes import word_classes
from threatmatrix.emulate.attacks.text.translation_flip import Flip, craft_flips, send_flips
from threatmatrix.emulate.kneser_ney import UNKNOWN, Recipe, train_ngrams, words_of
from threatmatrix.emulate.reference import build_reference
from threatmatrix.emulate.reference.base import Reference
from threatmatrix.emulate.reference.translator_rules import translate
from threatmatrix.emulate.stage import Brought, Stage
from threatmatrix.emulate.target import Rows, texts
from threatmatrix.emulate.targets.in_process import InProcess
from threatmatrix.model.errors import UsageError


@pytest.fixture(scope="module")
def translator() -> Reference:
    return build_reference("translator", 100, tests=40, public=2200)


@pytest.fixture(scope="module")
def language_model() -> Reference:
    return build_reference("language-model", 100, pages=800, tests=30)


def stage(reference: Reference, n: int = 30, budget: int = 0, **changes: Any) -> Stage:
    held = dict(reference.known) | changes.pop("held", {})
    values: dict[str, Any] = {
        "target": InProcess(reference), "judge": InProcess(reference),
        "samples": reference.attacker.at(np.arange(n)), "rng": np.random.default_rng(3), "params": {},
        "budget": budget, "held": held,
    }  # fmt: skip
    return Stage(**(values | changes))


def share(brought: Brought) -> float:
    return sum(outcome.confirmed for outcome in brought.outcomes) / len(brought.outcomes)


# --- the translator ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("english", "spanish"),
    [
        ("The red house is old.", "La casa roja es vieja."),
        ("He did not see the captain's ships.", "No vio los barcos del capitán."),
        ("The queen loves him.", "La reina lo ama."),
        ("She wants to buy it.", "Quiere comprarlo."),
        ("The teacher helps the good pupil.", "La maestra ayuda al buen alumno."),
        ("The boy who lost his books cleans the table.", "El chico que perdió sus libros limpia la mesa."),
        ("They learnt the poem by heart.", "Learnt el poema de memoria."),
        ("The bank gave a loan to the merchant.", "El banco dio un préstamo al comerciante."),
        ("A wolf saw the bank near the river.", "Un lobo vio la orilla cerca del río."),
        ("The greenhouse is old.", "La casa verde es vieja."),
        ("The stone bridge broke her.", "El puente de piedra la rompió."),
        ("", ""),
        ("?!", "?!"),
    ],
)
def test_the_service_follows_its_rules(english: str, spanish: str) -> None:
    assert translate(english).text == spanish


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(("the", "her", "'s", "bank", "who", "did", "not", "wants", "to", "open", "zyx", ",", "é")),
        max_size=30,
    )
)
def test_the_service_takes_any_text_and_says_what_it_cost(words: list[str]) -> None:
    text = " ".join(words)
    done = translate(text)
    assert done == translate(text)
    assert done.operations >= len(words)
    assert done.unknown <= len(words)


def test_a_word_that_is_unknown_costs_more_and_stays_as_it_is() -> None:
    assert translate("a scurex").operations > 3 * translate("a house").operations
    assert "scurex" in translate("a scurex").text


def test_a_person_says_it_otherwise(translator: Reference) -> None:
    answers = translator.model.answer(translator.attacker.x)
    references = [reference for _, reference in translator.known["test_set"]]
    assert answers.texts is not None
    assert 20 < bleu(answers.texts, references) < 90


def test_a_reference_is_the_same_for_the_same_seed(translator: Reference) -> None:
    again = build_reference("translator", 100, tests=40, public=10)
    assert list(again.attacker.x) == list(translator.attacker.x)
    assert again.known["test_set"] == translator.known["test_set"]
    assert set(translator.attacker.x).isdisjoint(translator.calibration)
    assert set(translator.attacker.x).isdisjoint(translator.known["public_texts"])


@pytest.mark.parametrize("name", ["translator", "language_model"])
def test_honest_users_repeat_themselves(name: str, request: pytest.FixtureRequest) -> None:
    reference: Reference = request.getfixturevalue(name)
    visits = reference.honest(clients=6, seed=1)
    seen = [next(visits) for _ in range(300)]
    sentences = [text for visit in seen for text in visit.rows]
    assert len(set(sentences)) < len(sentences) / 2
    assert [visit.at for visit in seen] == sorted(visit.at for visit in seen)
    assert {visit.account for visit in seen} <= {f"honest-{n:02d}" for n in range(1, 7)}


# --- BLEU, alignment, classes -----------------------------------------------------------------------


def test_bleu_is_what_its_authors_say() -> None:
    assert bleu(["a b c d e"], ["a b c d e"]) == pytest.approx(100.0)
    assert bleu(["a b c d"], ["e f g h"]) == 0.0
    # 4 of 5 words, 3 of 4 pairs, 2 of 3 triples, 1 of 2 runs of four; a word shorter than the reference
    expected = 100 * math.exp(1 - 6 / 5) * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert bleu(["a b c d x"], ["a b c d y z"]) == pytest.approx(expected)


def test_words_are_aligned_with_what_they_stand_for() -> None:
    nouns = {"house": "casa", "table": "mesa", "street": "calle", "door": "puerta"}
    others = {"red": "roja", "old": "vieja", "new": "nueva"}
    pairs = [(["the", a, n], ["la", nouns[n], others[a]]) for n in nouns for a in others]
    pairs += [(["the", n], ["la", nouns[n]]) for n in nouns] + [(["the"], ["la"])] * 3
    found = align([source for source, _ in pairs], [target for _, target in pairs])
    assert found[: len(nouns) * len(others)] == [[0, 2, 1]] * (len(nouns) * len(others))
    assert align([[], ["x"]], [["x"], ["y"]]) == [[NOWHERE], [0]]


def test_words_of_a_kind_are_of_a_class() -> None:
    things, deeds = ("house", "tree", "door"), ("sees", "likes", "finds")
    sentences = [["the", a, verb, "the", b] for a in things for b in things for verb in deeds]
    classes = word_classes(sentences, 3, np.random.default_rng(0))
    assert len({classes[word] for word in things}) == len({classes[word] for word in deeds}) == 1


# --- imitation --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stolen(translator: Reference) -> dict[str, Any]:
    """What the chain holds after the theft."""
    bought = collect_translations(stage(translator, budget=650))
    copied = imitate_translator(stage(translator, held=dict(bought.holds)))
    return {"bought": bought, "copied": copied, **bought.holds, **copied.holds}


def test_an_imitation_is_learnt_from_answers_alone(translator: Reference, stolen: dict[str, Any]) -> None:
    few = {"translations": stolen["translations"][:150]}
    figures, control = stolen["copied"].figures, stage(translator, held=few, control=True)
    by_lot = imitate_translator(control)
    assert control.target.queries == 0
    assert share(stolen["copied"]) > share(by_lot) + 0.15
    assert figures["bleu_between"] > by_lot.figures["bleu_between"] + 40
    assert figures["bleu_gap"] == pytest.approx(abs(figures["bleu_victim"] - figures["bleu_imitation"]))


def test_collecting_stays_within_its_budget_and_off_the_test_sentences(translator: Reference) -> None:
    one = stage(translator, budget=90, params={"rows": 40})
    bought = collect_translations(one)
    assert one.target.queries == len(bought.holds["translations"]) == 90
    assert not {source for source, _ in bought.holds["translations"]} & set(one.samples.x)
    assert share(bought) == 1.0
    assert share(collect_translations(stage(translator, budget=90, control=True))) == 0.0


def test_collecting_goes_on_with_another_account_and_ends_without_one(translator: Reference) -> None:
    served: dict[str, int] = {}

    def refuse(key: str, rows: int) -> bool:
        served[key] = served.get(key, 0) + rows
        return served[key] > 50

    target = InProcess(translator, accounts=AccountPool(("a", "b")), refuse=refuse)
    bought = collect_translations(stage(translator, budget=300, target=target))
    assert len(bought.holds["translations"]) == 100
    assert all(outcome.refused for outcome in bought.outcomes)


def test_nothing_to_learn_from_is_said(translator: Reference) -> None:
    with pytest.raises(UsageError, match="translations"):
        imitate_translator(stage(translator))
    with pytest.raises(UsageError, match="not a single"):
        imitate_translator(stage(translator, held={"translations": ()}))


def test_customers_of_the_copy_are_served_better_than_by_lot(translator: Reference, stolen: dict[str, Any]) -> None:
    copy, by_lot = (serve_from_copy(stage(translator, held=stolen, control=by_lot)) for by_lot in (False, True))
    assert share(copy) > share(by_lot)


def test_what_flips_the_imitation_is_sent_once(translator: Reference, stolen: dict[str, Any]) -> None:
    found = craft_flips(stage(translator, held=stolen))
    flips: tuple[Flip, ...] = found.holds["flips"]
    crafted = [flip for flip in flips if flip.changed != flip.sentence]
    assert crafted
    for flip in crafted:
        assert len(flip.changed.split()) == len(flip.sentence.split()) + 1
        assert stolen["imitation"].translate(flip.changed) != stolen["imitation"].translate(flip.sentence)
        assert flip.chosen in flip.changed.lower()
    sending = stage(translator, held=stolen | dict(found.holds), budget=200)
    sent = send_flips(sending)
    assert sending.target.queries == len(crafted)
    assert {outcome.index for outcome in sent.outcomes if outcome.confirmed} <= {flip.index for flip in crafted}


# --- language model and replica ---------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(("the", "of", "rain", "zz")), max_size=3))
def test_the_chances_of_what_follows_add_up_to_one(before: list[str]) -> None:
    model = train_ngrams(["the rain of the rain", "rain and the end of the rain", "and of the end"], Recipe(least=2))
    known = [word if word in model.vocabulary else UNKNOWN for word in before]
    assert sum(model.chance(word, ["<s>", "<s>", *known]) for word in model.vocabulary) == pytest.approx(1.0)


def test_perplexity_is_that_of_the_chances() -> None:
    model = train_ngrams(["a b", "a b", "a c"], Recipe(order=2, least=1))
    total, words = model.log_likelihood("A b")
    by_hand = [model.chance("a", ["<s>"]), model.chance("b", ["a"]), model.chance("</s>", ["b"])]
    assert (total, words) == (pytest.approx(sum(map(math.log, by_hand))), 3)
    assert model.perplexity("a b") == pytest.approx(math.exp(-total / 3))
    assert model.perplexity("a b") < model.perplexity("b b a c")
    with pytest.raises(ValueError, match="nothing"):
        train_ngrams([], Recipe())


def test_the_model_goes_on_with_a_text_and_scores_it(language_model: Reference) -> None:
    answer = language_model.model.answer(texts(["Shares of acorn holdings", "Shares of acorn holdings"]))
    assert answer.texts is not None
    assert answer.texts[0] == answer.texts[1] != ""
    assert answer.scores is not None
    assert answer.scores[0, 1] == len(words_of("Shares of acorn holdings")) + 1
    with pytest.raises(ValueError, match="text"):
        language_model.model.answer(np.zeros((1, 3)))


def test_a_replica_is_made_of_what_was_published(language_model: Reference) -> None:
    rebuilt = rebuild_corpus(stage(language_model))
    assert share(rebuilt) == 1.0
    held = dict(rebuilt.holds)
    one = stage(language_model, held=held, threshold=0.15)
    replica = replicate_language_model(one)
    by_lot = replicate_language_model(stage(language_model, held=held, threshold=0.15, control=True))
    assert one.target.queries == 0
    assert share(replica) > share(by_lot) + 0.3
    assert sum(outcome.before for outcome in replica.outcomes) < len(replica.outcomes) / 4
    assert abs(replica.figures["perplexity_ratio"] - 1) < abs(by_lot.figures["perplexity_ratio"] - 1)
    assert replica.figures["perplexity_released"] > replica.figures["perplexity_replica"]


# --- sponge inputs ----------------------------------------------------------------------------------


def test_breeding_finds_dearer_texts_than_chance_within_the_same_budget(translator: Reference) -> None:
    def bred(control: bool) -> Brought:
        params = {"population": 30}
        one = stage(translator, n=15, budget=300, threshold=2.0, control=control, params=params)
        found = sponge(one)
        assert one.target.queries <= 300
        assert all(len(text.encode()) == 80 for text in found.holds["sponges"])
        return found

    assert bred(False).figures["cost_ratio"] > 1.1 * bred(True).figures["cost_ratio"]


def test_a_model_without_scores_is_judged_by_what_it_writes(translator: Reference) -> None:
    silent: Callable[[], InProcess] = lambda: InProcess(translator, gives_scores=False)  # noqa: E731
    found = sponge(stage(translator, n=10, budget=200, target=silent(), judge=silent(), params={"population": 20}))
    rows: Rows = texts(found.holds["sponges"])
    assert len(rows) == 10
