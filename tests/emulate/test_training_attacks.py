"""Attacks on training: what they do to a model, what chance does, and that they keep to budget and accounts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.attacks import attack_kind
from threatmatrix.emulate.attacks.training.metamorphic import EQUAL, IDLE, Metamorph
from threatmatrix.emulate.reference import build_reference
from threatmatrix.emulate.reference.base import ModelAnswer, Reference
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import Rows, blobs, texts
from threatmatrix.emulate.targets.in_process import InProcess
from threatmatrix.model.errors import UsageError

SEED = 100
SYBILS = [f"sybil-{number}" for number in range(6)]


def never(key: str, rows: int) -> bool:
    return False


def stage_of(
    reference: Reference,
    held: Mapping[str, Any],
    *,
    control: bool = False,
    budget: int = 2000,
    refuse: Callable[[str, int], bool] = never,
    samples: Samples | None = None,
    **params: Any,
) -> Stage:
    target = InProcess(reference, accounts=AccountPool(SYBILS), refuse=refuse)
    return Stage(
        target=target, judge=InProcess(reference), samples=samples or reference.attacker,
        rng=np.random.default_rng(SEED), params=params, budget=budget, control=control, held=held, teacher=target,
    )  # fmt: skip


def run(use: str, stage: Stage) -> Brought:
    whole = attack_kind(use).whole
    assert whole is not None
    return whole(stage)


def rate(brought: Brought) -> float:
    return float(np.mean([outcome.confirmed for outcome in brought.outcomes]))


def before(brought: Brought) -> float:
    return float(np.mean([outcome.before for outcome in brought.outcomes]))


def phishing() -> Reference:
    return build_reference("phishing", SEED)


# --- feedback -------------------------------------------------------------------------------------


def test_a_crowd_teaches_a_model_to_let_phishing_pass_and_chance_does_not() -> None:
    reference = phishing()
    held = dict(reference.known)
    surveyed = run("survey_answers", stage_of(reference, held))
    held |= surveyed.holds
    poisoned = run("feedback_poisoning", stage_of(reference, held))
    figures = poisoned.figures
    steps = [figures[name] for name in ("fnr_before", "fnr_after_10", "fnr_after_20", "fnr_after_40")]
    assert steps == sorted(steps)
    assert before(poisoned) == figures["fnr_before"] < 0.25
    assert rate(poisoned) == figures["fnr_after"] > 0.7
    assert sum(outcome.queries for outcome in poisoned.outcomes) == figures["reports"] + len(reference.attacker)

    public = run("public_mistakes", stage_of(reference, held | dict(poisoned.holds)))
    assert rate(public) == rate(poisoned)
    assert before(public) == before(poisoned)

    by_chance = run("feedback_poisoning", stage_of(phishing(), held, control=True))
    assert by_chance.figures["reports"] == figures["reports"]
    assert rate(by_chance) < 0.4


def test_a_survey_keeps_what_the_model_recognises_the_surest_first() -> None:
    reference = phishing()
    caught = run("survey_answers", stage_of(reference, reference.known)).holds["caught"]
    answer = reference.model.answer(caught.x)
    assert np.all(answer.labels == 1)
    assert np.all(caught.y == 1)
    assert answer.scores is not None
    assert np.all(np.diff(answer.scores[:, 1]) <= 1e-12)


def test_feedback_keeps_to_the_budget_and_says_what_it_reached() -> None:
    reference = phishing()
    stage = stage_of(reference, reference.known, budget=100)
    poisoned = run("feedback_poisoning", stage)
    assert stage.target.queries <= 100
    assert "fnr_after_10" in poisoned.figures
    assert "fnr_after_20" not in poisoned.figures


def test_a_refused_sybil_is_left_for_the_next_one() -> None:
    reference = phishing()
    asked: list[str] = []

    def refuse(key: str, rows: int) -> bool:
        asked.append(key)
        return key == SYBILS[2]

    poisoned = run("feedback_poisoning", stage_of(reference, reference.known, refuse=refuse, shares=[0.1]))
    assert poisoned.figures["reports"] == round(500 / 9)
    assert asked.count(SYBILS[2]) == 1
    assert set(asked) == set(SYBILS)


def test_a_crowd_that_is_refused_stops_and_is_judged_all_the_same() -> None:
    reference = phishing()
    stage = stage_of(reference, reference.known, refuse=lambda key, rows: True)
    poisoned = run("feedback_poisoning", stage)
    assert poisoned.figures["reports"] == 0
    assert all(outcome.refused for outcome in poisoned.outcomes)
    assert rate(poisoned) == before(poisoned)
    assert stage.target.queries <= 3 * len(SYBILS)


@pytest.mark.parametrize("shares", [[], [0.4, 0.1], [1.0], [-0.1]])
def test_shares_that_make_no_sense_are_refused(shares: list[float]) -> None:
    reference = phishing()
    with pytest.raises(UsageError, match="shares"):
        run("feedback_poisoning", stage_of(reference, reference.known, shares=shares))


# --- training data --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("use", "params"),
    [
        ("label_flip", {"source": 1, "target": 0}),
        ("backdoor", {"share": 0.1, "size": 3}),
        ("clean_label", {"source": 1, "each": 60, "reach": 0.5, "together": 4}),
    ],
)
def test_poisoned_training_data_do_what_chance_does_not(use: str, params: dict[str, Any]) -> None:
    reference = phishing()
    samples = reference.attacker.at(np.arange(40))
    done = run(use, stage_of(reference, reference.known, samples=samples, **params))
    by_chance = run(use, stage_of(reference, reference.known, samples=samples, control=True, **params))
    assert len(done.outcomes) == 40
    assert rate(done) == done.figures["asr"]
    assert rate(done) > max(before(done), rate(by_chance)) + 0.2


class Words:
    """Says 0 for texts with a word that stood mostly beside 0."""

    def __init__(self, data: Samples) -> None:
        self._counts: dict[str, list[int]] = {}
        for text, label in zip(data.x, data.y.tolist(), strict=True):
            for word in set(str(text).split()):
                self._counts.setdefault(word, [0, 0])[label] += 1

    def answer(self, rows: Rows) -> ModelAnswer:
        pure = [any(self._counts.get(w, [0, 1])[1] == 0 for w in str(text).split()) for text in rows]
        return ModelAnswer(np.where(pure, 0, 1).astype(np.int64))


def test_a_text_has_its_trigger_on_a_line_of_its_own() -> None:
    reference = phishing()
    corpus = Samples(texts(["a b", "b c", "c a", "b a"] * 5), np.ones(20, dtype=np.int64))
    held = {"corpus": corpus, "retrain": Words}
    samples = corpus.at(np.arange(4))
    assert rate(run("backdoor", stage_of(reference, held, samples=samples))) == 1.0
    assert rate(run("backdoor", stage_of(reference, held, samples=samples, control=True))) == 0.0


def test_training_attacks_say_what_they_need() -> None:
    reference = phishing()
    with pytest.raises(UsageError, match="'corpus'"):
        run("label_flip", stage_of(reference, {}))
    with pytest.raises(UsageError, match="'retrain'"):
        run("backdoor", stage_of(reference, {"corpus": reference.known["corpus"]}))
    files = {"corpus": Samples(blobs([b"x", b"y"]), np.arange(2)), "retrain": Words}
    for use in ("backdoor", "clean_label"):
        with pytest.raises(UsageError):
            run(use, stage_of(reference, files))
    with pytest.raises(UsageError, match="does not fit"):
        run("backdoor", stage_of(reference, reference.known, size=9))


# --- chaff and flood ------------------------------------------------------------------------------

LISTING = "\n".join(["mov push call", "xor rol rol add", "test jz lea", "cmp jnz mov mov"])


@given(st.integers(0, 2**32), st.floats(0, 3), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_a_mutant_is_made_of_the_original_its_equivalents_and_donors(seed: int, dead: float, lost: float) -> None:
    donors = ["bt bt\nint int", "cpuid\nrdtsc"]
    mutant = Metamorph(0.3, 0.2, 0.5, donors).mutant(LISTING, dead, lost, np.random.default_rng(seed))
    allowed = set(LISTING.split()) | {"jmp"} | {w for text in donors for w in text.split()}
    allowed |= {w for text in IDLE for w in text.split()}
    allowed |= {w for word in LISTING.split() for text in EQUAL.get(word, ()) for w in text.split()}
    assert set(mutant.split()) <= allowed
    assert all(line for line in mutant.split("\n"))


def test_an_engine_that_does_nothing_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    assert Metamorph(0.0, 0.0, 0.0, []).mutant(LISTING, 2.0, 0.0, rng) == LISTING
    assert Metamorph(0.0, 0.0, 0.0, []).mutant(LISTING, 0.0, 0.5, rng).count("\n") == 1


def platform() -> Reference:
    return build_reference("opcodes", SEED, benign=24, malware=4, held_out=20, learn_every=5)


def test_mutants_that_label_themselves_make_engines_accuse_the_innocent() -> None:
    reference = platform()
    held = dict(reference.known)
    made = run("metamorphic_chaff", stage_of(reference, held))
    assert not made.outcomes
    assert 0.5 < made.figures["alike_low"] <= made.figures["alike_high"] < 1.0
    held |= made.holds
    held |= run("share_samples", stage_of(reference, held)).holds
    assert held["shared"] == len(held["mutants"])
    stage = stage_of(reference, held)
    flooded = run("near_duplicate_flood", stage)
    assert flooded.figures["uploads"] == 60
    assert before(flooded) == 0.0
    assert rate(flooded) > 0.6
    assert sum(outcome.queries for outcome in flooded.outcomes) == stage.target.queries

    by_chance = run("near_duplicate_flood", stage_of(platform(), held, control=True))
    assert by_chance.figures["uploads"] == 60
    assert rate(by_chance) == 0.0


def test_a_flood_keeps_to_its_budget_and_stops_when_refused() -> None:
    reference = platform()
    held = dict(reference.known) | dict(run("metamorphic_chaff", stage_of(reference, reference.known)).holds)
    stage = stage_of(reference, held, budget=20)
    assert run("near_duplicate_flood", stage).figures["uploads"] < 20
    assert stage.target.queries <= 20
    stage = stage_of(reference, held, refuse=lambda key, rows: True)
    flooded = run("near_duplicate_flood", stage)
    assert flooded.figures["uploads"] == 0
    assert all(outcome.refused for outcome in flooded.outcomes)
