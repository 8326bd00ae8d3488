"""Attacks on mail, domain names and request headers: the chain of each case, its controls, refusals and budgets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.emulate.text_world import small, stage

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.attacks import attack_kinds
from threatmatrix.emulate.attacks.asking import ask_all
from threatmatrix.emulate.attacks.text.fields import field_edit, field_search, stand_in
from threatmatrix.emulate.attacks.text.good_words import word_append, word_insert, word_ranking
from threatmatrix.emulate.attacks.text.insertion import Insertion, family_survey, insertion_choice, string_insert
from threatmatrix.emulate.attacks.text.shadow_score import probe_scores, shadow_score
from threatmatrix.emulate.stage import Brought
from threatmatrix.emulate.targets.in_process import InProcess
from threatmatrix.emulate.text_models import tokens
from threatmatrix.model.errors import UsageError

WORDS = {"norm": "words", "threshold": 40.0}
QUICK = {"pieces": 12, "keep": 2, "rounds": 3, "names": 3}


def share(brought: Brought) -> float:
    return float(np.mean([outcome.confirmed for outcome in brought.outcomes]))


@pytest.fixture(scope="module")
def mail() -> dict[str, Any]:
    held: dict[str, Any] = {}
    shadow = shadow_score(stage("mail", held))
    held.update(shadow.holds)
    held.update(word_ranking(stage("mail", held)).holds)
    return held | {"figures": shadow.figures}


@pytest.fixture(scope="module")
def domains() -> dict[str, Any]:
    held: dict[str, Any] = {}
    held.update(family_survey(stage("domains", held)).holds)
    held.update(insertion_choice(stage("domains", held, params=QUICK)).holds)
    return held


@pytest.fixture(scope="module")
def headers() -> dict[str, Any]:
    held: dict[str, Any] = {}
    held.update(stand_in(stage("headers", held)).holds)
    held.update(field_search(stage("headers", held)).holds)
    return held


def test_a_probe_tells_scores_from_verdicts() -> None:
    assert probe_scores(stage("mail", {})).figures["scores_given"] == 1.0
    silent = stage("mail", {}, target=InProcess(small("mail"), gives_scores=False))
    assert probe_scores(silent).figures["scores_given"] == 0.0
    assert silent.target.queries == 5


def test_a_shadow_comes_near_the_score_and_chance_does_not(mail: dict[str, Any]) -> None:
    by_chance = shadow_score(stage("mail", {}, control=True))
    assert mail["figures"]["shadow_mae"] < 120
    assert mail["figures"]["shadow_mae"] < by_chance.figures["shadow_mae"] / 2
    assert mail["figures"]["shadow_queries"] == 500


def test_a_shadow_asks_no_more_than_its_budget() -> None:
    bounded = stage("mail", {}, budget=90)
    assert shadow_score(bounded).figures["shadow_queries"] == 90
    assert bounded.target.queries == 90


def test_good_words_carry_spam_through_and_random_words_do_not(mail: dict[str, Any]) -> None:
    attacked = word_append(stage("mail", mail, **WORDS))
    by_chance = word_append(stage("mail", mail, control=True, **WORDS))
    assert share(attacked) > share(by_chance) + 0.4
    assert [o.queries for o in attacked.outcomes] == [o.queries for o in by_chance.outcomes] == [1] * 30
    assert {o.distance for o in attacked.outcomes} == {40.0}
    labels = small("mail").model.answer(small("mail").attacker.x).labels
    assert [o.before for o in attacked.outcomes] == [bool(label) for label in labels]


def test_scattered_words_work_as_well_and_leave_the_mail_in_order(mail: dict[str, Any]) -> None:
    assert share(word_insert(stage("mail", mail, **WORDS))) > 0.5


def test_more_words_than_the_norm_allows_are_no_success(mail: dict[str, Any]) -> None:
    assert share(word_append(stage("mail", mail, norm="words", threshold=39.0))) == 0.0


def test_an_attack_says_what_it_is_missing() -> None:
    with pytest.raises(UsageError, match="'shadow'"):
        word_ranking(stage("mail", {}))


def test_all_recognised_families_and_only_these_are_attacked(domains: dict[str, Any]) -> None:
    survey = family_survey(stage("domains", {}))
    assert 5 <= survey.figures["recognised_families"] < 16
    assert "suppobox" not in domains["recognised"]
    done = string_insert(stage("domains", domains, norm="characters", threshold=40.0))
    assert len(done.outcomes) == 3 * len(domains["recognised"])
    assert done.figures["attacked_families"] == len(domains["recognised"])


def test_one_string_hides_names_and_random_letters_do_not(domains: dict[str, Any]) -> None:
    attacked = string_insert(stage("domains", domains, norm="characters", threshold=40.0))
    by_chance = string_insert(stage("domains", domains, control=True, norm="characters", threshold=40.0))
    assert share(attacked) > share(by_chance) + 0.5
    assert attacked.figures["mean_family_detection"] < attacked.figures["mean_family_detection_before"]
    assert attacked.figures["worst_family_detection"] >= attacked.figures["mean_family_detection"]


def test_choosing_asks_the_target_nothing(domains: dict[str, Any]) -> None:
    choosing = stage("domains", domains, params=QUICK)
    chosen = insertion_choice(choosing).holds["insertion"]
    assert choosing.target.queries == 0
    assert chosen == domains["insertion"]  # the same seed, the same string
    assert len(chosen.text) <= 40


@given(st.text(alphabet="abc", min_size=1, max_size=63), st.text(alphabet="xyz", max_size=40), st.floats(0, 1))
def test_an_insertion_keeps_the_name_whole_and_within_what_dns_allows(label: str, text: str, place: float) -> None:
    name = Insertion(text, place).into(f"{label}.com")
    front, _, rest = name.partition(".")
    assert rest == "com"
    assert len(front) <= 63
    assert front.translate(str.maketrans("", "", "xyz")) == label


def test_a_stand_in_finds_malware_and_one_of_shuffled_labels_does_not() -> None:
    made = stand_in(stage("headers", {}, params={"alarms": 0.01}))
    assert made.figures["stand_in_tpr"] > 0.95
    assert made.figures["stand_in_fpr"] <= 0.01
    by_chance = stand_in(stage("headers", {}, control=True, params={"alarms": 0.01}))
    assert by_chance.figures["stand_in_tpr"] < 0.5


def test_edited_requests_pass_and_randomly_edited_ones_seldom(headers: dict[str, Any]) -> None:
    attacked = field_edit(stage("headers", headers, norm="characters", threshold=600.0))
    by_chance = field_edit(stage("headers", headers, control=True, norm="characters", threshold=600.0))
    assert share(attacked) > share(by_chance) + 0.4
    assert attacked.figures["benign_confidence"] > 0.8


def test_what_the_malware_needs_stays_in_the_request(headers: dict[str, Any]) -> None:
    for before, after in headers["crafted_requests"].items():
        kept = [line for line in before.split("\n")[1:] if line.lower().startswith(("host", "user-agent", "content-"))]
        assert after.split("\n")[0] == before.split("\n")[0]
        assert set(kept) <= set(after.split("\n"))
        names = [line.partition(":")[0].lower() for line in after.split("\n")[1:]]
        assert len(set(names)) == len(names)


def test_a_search_without_additions_only_takes_out(headers: dict[str, Any]) -> None:
    bare = field_search(stage("headers", headers, params={"add": False}))
    assert bare.figures["fields_added"] == 0.0
    assert bare.figures["fields_removed"] > 0.0


def test_a_refusal_ends_the_sending_and_what_was_not_reached_is_no_success(mail: dict[str, Any]) -> None:
    allowed = iter([False] * 10)
    target = InProcess(small("mail"), refuse=lambda key, rows: next(allowed, True))
    done = word_append(stage("mail", mail, target=target, **WORDS))
    assert len(done.outcomes) == 30
    assert not any(o.refused for o in done.outcomes[:10])
    assert all(o.refused and not o.confirmed for o in done.outcomes[10:])
    assert [o.queries for o in done.outcomes] == [1] * 11 + [0] * 19


def test_a_budget_that_ends_leaves_the_rest_unsent(mail: dict[str, Any]) -> None:
    short = stage("mail", mail, budget=12, **WORDS)
    done = word_append(short)
    assert short.target.queries == 12
    assert sum(o.queries for o in done.outcomes) == 12
    assert not any(o.confirmed for o in done.outcomes[12:])
    assert not any(o.refused for o in done.outcomes)


def test_another_account_goes_on_where_one_is_refused() -> None:
    target = InProcess(small("mail"), accounts=AccountPool(("a", "b")), refuse=lambda key, rows: key == "a")
    asking = stage("mail", {}, target=target)
    heard = ask_all(asking, small("mail").attacker.x[:20], 5)
    assert len(heard.labels) == 20
    assert not heard.refused
    assert target.queries == 25


def test_the_good_words_are_words_of_the_public_mail(mail: dict[str, Any]) -> None:
    public = {word for text in small("mail").known["public_texts"] for word in tokens(str(text))}
    assert set(mail["good_words"]) <= public


def test_every_attack_of_the_room_is_registered_with_its_parameters() -> None:
    uses = {kind.use for kind in attack_kinds() if kind.family == "text"}
    assert {"shadow_score", "word_append", "word_insert", "string_insert", "field_edit"} <= uses
