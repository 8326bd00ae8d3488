"""Reference targets that learn while they serve: what a user taught can be taken back as if it had never been."""

from __future__ import annotations

from functools import cache
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threatmatrix.emulate.reference import build_reference
from threatmatrix.emulate.reference.base import Reference, TaughtModel
from threatmatrix.emulate.target import Rows, texts

SEED = 101
SMALL = {"phishing": {}, "opcodes": {"benign": 16, "malware": 3, "held_out": 20, "learn_every": 3}}


def built(name: str) -> tuple[Reference, TaughtModel]:
    reference = build_reference(name, SEED, **SMALL[name])
    assert isinstance(reference.model, TaughtModel)
    return reference, reference.model


@cache
def untouched(name: str) -> tuple[Reference, TaughtModel]:
    """For tests that teach it nothing."""
    return built(name)


def scores(model: TaughtModel, rows: Rows) -> np.ndarray:
    found = model.answer(rows).scores
    assert found is not None
    return found


Lessons = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 99), st.integers(0, 1)), max_size=20)


@given(Lessons, st.sampled_from("abc"))
@settings(max_examples=10, deadline=None)
def test_reports_are_forgotten_without_a_trace(lessons: list[tuple[str, int, int]], who: str) -> None:
    reference, model = built("phishing")
    _, other = built("phishing")
    reports = reference.known["reports"]
    for user, at, label in lessons:
        model.teach(reports.x[at : at + 1], np.array([label]), user)
        if user != who:
            other.teach(reports.x[at : at + 1], np.array([label]), user)
    assert model.forget(who) == sum(user == who for user, _, _ in lessons)
    assert np.array_equal(scores(model, reports.x), scores(other, reports.x))
    assert model.forget(who) == 0


def test_uploads_are_forgotten_without_a_trace() -> None:
    reference, model = built("opcodes")
    public = reference.known["public_programs"]
    fresh = scores(model, reference.attacker.x)
    for at, user in enumerate("abaab"):
        model.teach(public[2 * at : 2 * at + 2], np.zeros(2, dtype=np.int64), user)
    assert model.forget("a") == 6
    _, other = built("opcodes")
    for at in (1, 4):
        other.teach(public[2 * at : 2 * at + 2], np.zeros(2, dtype=np.int64), "b")
    assert np.array_equal(scores(model, reference.attacker.x), scores(other, reference.attacker.x))
    assert model.forget("b") == 4
    assert np.array_equal(scores(model, reference.attacker.x), fresh)


def test_an_uploaders_own_label_counts_for_nothing() -> None:
    reference, model = built("opcodes")
    _, other = built("opcodes")
    public = reference.known["public_programs"][:9]
    model.teach(public, np.zeros(9, dtype=np.int64), "a")
    other.teach(public, np.full(9, 2), "a")
    assert np.array_equal(scores(model, reference.attacker.x), scores(other, reference.attacker.x))


def test_ten_engines_vote() -> None:
    reference, model = untouched("opcodes")
    votes = scores(model, reference.known["original"].x)
    assert np.allclose(votes.sum(axis=1), 1.0)
    assert np.allclose(votes * 10, np.round(votes * 10))
    assert model.answer(reference.known["original"].x).labels.tolist() == [1]
    assert reference.accuracy > 0.8


def test_phishing_is_told_well_enough_and_its_parts_share_no_row() -> None:
    reference, _ = untouched("phishing")
    assert reference.accuracy > 0.85
    sizes = [len(reference.known["corpus"]), len(reference.known["reports"]), len(reference.calibration)]
    assert sizes == [500, 150, 150]
    assert len(reference.attacker) >= 60
    assert set(reference.attacker.y.tolist()) == {1}
    learnt, reported, usual, attacked = (
        {row.tobytes() for row in x}
        for x in (
            reference.known["corpus"].x,
            reference.known["reports"].x,
            reference.calibration,
            reference.attacker.x,
        )
    )
    assert not attacked & (learnt | reported | usual)
    assert not learnt & reported


@pytest.mark.parametrize("name", SMALL)
def test_the_same_seed_gives_the_same_target(name: str) -> None:
    (one, model), (two, other) = built(name), untouched(name)
    assert np.array_equal(one.attacker.x, two.attacker.x)
    assert np.array_equal(scores(model, one.attacker.x), scores(other, one.attacker.x))


@pytest.mark.parametrize("name", SMALL)
def test_rows_and_labels_that_are_none_are_refused(name: str) -> None:
    reference, model = untouched(name)
    rows = reference.attacker.x[:1]
    with pytest.raises(ValueError, match="label"):
        model.teach(rows, np.array([7]), "a")
    with pytest.raises(ValueError, match="row"):
        model.answer(np.zeros((1, 3)))
    assert model.forget("a") == 0
    if name == "opcodes":
        with pytest.raises(ValueError, match="listing"):
            model.teach(texts(["mov"]), np.array([0]), "a")


@pytest.mark.parametrize("name", SMALL)
def test_honest_users_come_in_order_and_teach_now_and_then(name: str) -> None:
    reference, _ = untouched(name)
    visits = list(islice(reference.honest(clients=9, seed=3), 600))
    assert all(one.at <= two.at for one, two in pairwise(visits))
    taught = [visit for visit in visits if visit.teaches is not None]
    assert 5 <= len(taught) <= 90
    assert all(len(visit.teaches) == len(visit.rows) for visit in taught if visit.teaches is not None)
    assert {visit.account for visit in visits} == {f"honest-{n:02d}" for n in range(1, 10)}
    assert len({visit.address for visit in visits}) == 6  # two of three accounts have their own
    again = list(islice(reference.honest(clients=9, seed=3), 50))
    assert [(v.at, v.account) for v in again] == [(v.at, v.account) for v in visits[:50]]
