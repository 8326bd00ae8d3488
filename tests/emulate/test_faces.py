"""Parametric faces and natural patches as targets: what they answer, and how honest people use them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threatmatrix.emulate.reference import build_reference
from threatmatrix.emulate.reference.base import Reference
from threatmatrix.emulate.reference.face_drawing import CONDITIONS, PIXELS, SIDE, draw, moments, people, with_condition
from threatmatrix.emulate.reference.face_models import ACCEPTED, ANOTHER, NOT_LIVE, Verification, motion
from threatmatrix.emulate.reference.face_takes import claims, live_takes, still_takes
from threatmatrix.model.errors import UsageError

from .face_town import ENROLLED, SMALL, small_service


@pytest.fixture(scope="module")
def identification() -> Reference:
    return small_service("identification")


@pytest.fixture(scope="module")
def verification() -> Reference:
    return small_service("verification")


@given(st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_a_drawn_face_is_a_picture_with_camera_levels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pictures = draw(people(2, rng), moments(2, rng), rng)
    assert pictures.shape == (2, PIXELS)
    assert pictures.min() >= 0.0
    assert pictures.max() <= 1.0
    assert np.array_equal(pictures, np.round(pictures, 3))


def test_shut_eyes_change_the_picture_around_the_eyes_only() -> None:
    rng = np.random.default_rng(1)
    who, at = people(1, rng), with_condition(moments(1, rng), noise=0.0)
    opened, shut = (draw(who, with_condition(at, open=value), rng).reshape(SIDE, SIDE) for value in (1.0, 0.0))
    changed = np.flatnonzero(np.abs(opened - shut).max(axis=1) > 0.01)
    assert changed.min() >= 6
    assert changed.max() <= 21
    assert len(changed) >= 3


def test_the_same_seed_builds_the_same_service(identification: Reference) -> None:
    again = build_reference("faces", 11, **SMALL)
    x = identification.attacker.x
    assert np.array_equal(again.attacker.x, x)
    first, second = (service.model.answer(x).scores for service in (identification, again))
    assert first is not None
    assert second is not None
    assert np.array_equal(first, second)


def test_identification_names_people_it_never_saw_in_these_pictures(identification: Reference) -> None:
    assert identification.accuracy > 0.8
    answer = identification.model.answer(identification.attacker.x)
    assert answer.scores is not None
    assert answer.scores.shape == (20, ENROLLED)
    assert np.allclose(answer.scores.sum(axis=1), 1.0)
    assert np.mean(answer.labels == identification.attacker.y) > 0.8


def test_with_unknown_strangers_get_no_name() -> None:
    found = build_reference("faces", 11, unknown=True, **SMALL)
    rng = np.random.default_rng(5)
    strangers = people(30, rng)
    labels = found.model.answer(draw(strangers, moments(30, rng), rng)).labels
    assert found.classes[-1] == "unknown"
    assert np.mean(labels == len(found.classes) - 1) > 0.5


def test_the_first_samples_are_spread_over_the_wearers(identification: Reference) -> None:
    assert identification.attacker.y[:4].tolist() == [0, 1, 0, 1]


def test_verification_accepts_the_live_and_refuses_the_bare_photograph(verification: Reference) -> None:
    assert verification.accuracy > 0.7
    still = verification.model.answer(verification.attacker.x).labels
    assert not np.any(still == ACCEPTED)
    assert np.mean(still == NOT_LIVE) > 0.8


def test_verification_refuses_another_persons_live_face(verification: Reference) -> None:
    rows = verification.calibration.copy()
    frames = rows.shape[1] - ENROLLED
    rows[:, frames:] = np.roll(rows[:, frames:], 5, axis=1)
    labels = verification.model.answer(rows).labels
    assert np.mean(labels == ANOTHER) > 0.6
    assert np.mean(labels == ACCEPTED) < 0.2


def test_the_blink_is_what_tells_a_take_from_a_still(verification: Reference) -> None:
    model = verification.model
    assert isinstance(model, Verification)
    rng = np.random.default_rng(3)
    who = people(20, rng)
    anybody = np.zeros(20, dtype=np.int64)
    live = claims(live_takes(who, 6, rng), anybody, ENROLLED)
    still = claims(still_takes(draw(who, moments(20, rng), rng), 6, rng), anybody, ENROLLED)
    assert np.median(model.measure(live)[1]) > 3 * np.max(model.measure(still)[1])
    assert np.max(model.measure(still)[2]) < model.sway


def test_motion_is_measured_in_pixels() -> None:
    rng = np.random.default_rng(2)
    at = np.repeat(with_condition(moments(1, rng), noise=0.0), 2, axis=0)
    moved = with_condition(at, x=np.array([-1.0, 1.0]) / SIDE)  # one pixel is 2/32 of the drawing's units
    take = draw(np.repeat(people(1, rng), 2, axis=0), moved, rng)[None]
    assert motion(take)[0] == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("rows", [np.zeros((1, 3)), np.zeros((2, PIXELS), dtype=np.int64), np.zeros(PIXELS)])
def test_rows_of_another_form_are_refused(identification: Reference, rows: np.ndarray) -> None:
    with pytest.raises(ValueError, match="1024 numbers"):
        identification.model.answer(rows)


def test_honest_people_pass_and_each_has_an_address(verification: Reference) -> None:
    visits = list(itertools.islice(verification.honest(clients=4, seed=1), 30))
    assert [v.at for v in visits] == sorted(v.at for v in visits)
    assert len({v.address for v in visits}) == len({v.account for v in visits}) == 4
    labels = np.concatenate([verification.model.answer(v.rows).labels for v in visits])
    assert np.mean(labels == ACCEPTED) > 0.6


def test_an_office_sees_few_of_the_people(identification: Reference) -> None:
    met: dict[str, set[int]] = {}
    for visit in itertools.islice(identification.honest(clients=4, seed=1), 60):
        met.setdefault(visit.account, set()).update(identification.model.answer(visit.rows).labels.tolist())
    assert max(map(len, met.values())) <= 10


def test_there_is_no_third_service() -> None:
    with pytest.raises(UsageError, match="no service"):
        build_reference("faces", 11, service="recognition")


def test_patches_of_photographs_can_be_told_apart() -> None:
    found = build_reference("patches", 3, patches=200, hidden=8)
    assert found.width == PIXELS
    assert len(found.attacker) == 40
    assert found.accuracy > 2.0 / len(found.classes)
    assert found.training is not None
    assert len(found.training) == 200
    assert next(iter(found.honest(clients=2, seed=1))).rows.shape[1] == PIXELS
    assert set(np.unique(found.attacker.y)) <= set(range(len(found.classes)))


def test_conditions_are_all_used() -> None:
    rng = np.random.default_rng(4)
    who, at = people(1, rng), with_condition(moments(1, rng), noise=0.0, speech=0.05)
    plain = draw(who, at, rng)
    for name, (low, high) in CONDITIONS.items():
        assert not np.array_equal(plain, draw(who, with_condition(at, **{name: low if name == "open" else high}), rng))
