"""The attacks on faces: enumerating names, a stand-in, patches that are worn, photographs that blink."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.attacks.access.first_calls import first_calls
from threatmatrix.emulate.attacks.evasion.animate import AnimateStillsParams, animate_stills, animated, eyes
from threatmatrix.emulate.attacks.evasion.patch import Patch, eot_patch
from threatmatrix.emulate.attacks.evasion.present_takes import present_takes
from threatmatrix.emulate.attacks.evasion.show_patch import print_patch, show_patch
from threatmatrix.emulate.attacks.evasion.wearing import DARKEST, LIGHTEST, Fit, Wear, printed, side_of, worn
from threatmatrix.emulate.attacks.extraction.fisher import train_fisher
from threatmatrix.emulate.attacks.extraction.stand_in import train_stand_in
from threatmatrix.emulate.attacks.recon.enumerate_labels import enumerate_labels, link
from threatmatrix.emulate.reference.base import Reference
from threatmatrix.emulate.reference.face_drawing import SIDE, draw, moments, people, with_condition
from threatmatrix.emulate.stage import Brought, Stage, Whole
from threatmatrix.emulate.targets.in_process import InProcess, Manners
from threatmatrix.model.errors import UsageError

from .face_town import small_service


@pytest.fixture(scope="module")
def identification() -> Reference:
    return small_service("identification")


@pytest.fixture(scope="module")
def verification() -> Reference:
    return small_service("verification")


def run(
    attack: Whole,
    reference: Reference,
    held: Mapping[str, Any],
    *,
    control: bool = False,
    params: Mapping[str, Any] | None = None,
    budget: int = 400,
    **manners: Any,
) -> Brought:
    how: Manners = manners  # type: ignore[assignment]
    return attack(
        Stage(
            target=InProcess(reference, **how), judge=InProcess(reference), samples=reference.attacker,
            rng=np.random.default_rng(2), params=params or {}, budget=budget, control=control, held=held,
        )
    )  # fmt: skip


def share(brought: Brought) -> float:
    return float(np.mean([outcome.confirmed for outcome in brought.outcomes]))


@pytest.fixture(scope="module")
def worn_chain(identification: Reference) -> dict[str, Any]:
    """What the attacker holds before the patch is shown."""
    held = dict(identification.known)
    steps: list[tuple[Whole, dict[str, Any]]] = [
        (enumerate_labels, {}), (train_stand_in, {}), (eot_patch, {"steps": 40}), (print_patch, {}),
    ]  # fmt: skip
    for attack, params in steps:
        held |= run(attack, identification, held, params=params).holds
    return held


def test_enumeration_finds_the_names_and_random_pictures_do_not(identification: Reference) -> None:
    found = run(enumerate_labels, identification, identification.known)
    assert found.figures["labels_linked"] >= 14
    assert share(found) > 0.7
    by_chance = run(enumerate_labels, identification, identification.known, control=True)
    assert share(found) - share(by_chance) > 0.5


def test_enumeration_stops_at_its_budget_and_when_refused(identification: Reference) -> None:
    short = run(enumerate_labels, identification, identification.known, budget=6)
    assert 0 < short.figures["labels_met"] <= 6
    refused = run(enumerate_labels, identification, identification.known, refuse=lambda key, rows: True)
    assert refused.figures["labels_met"] == 0
    assert all(outcome.refused for outcome in refused.outcomes)


@given(st.permutations(range(6)))
@settings(max_examples=20, deadline=None)
def test_link_recovers_any_naming(naming: list[int]) -> None:
    things = np.repeat(np.arange(6), 3)
    labels = np.array([naming[thing] for thing in things])
    assert link(things, labels, np.ones(18), 6) == {naming[thing]: thing for thing in range(6)}


def test_a_look_alike_with_lower_scores_does_not_take_a_name() -> None:
    things, labels = np.array([0, 0, 1, 1]), np.array([4, 4, 4, 4])
    assert link(things, labels, np.array([0.6, 0.6, 0.9, 0.9]), 5) == {4: 1}


def test_the_stand_in_agrees_with_the_service(identification: Reference, worn_chain: dict[str, Any]) -> None:
    assert run(train_stand_in, identification, worn_chain).figures["fidelity"] > 0.7
    assert run(train_stand_in, identification, worn_chain, control=True).figures["fidelity"] < 0.4
    perceptron = run(train_stand_in, identification, worn_chain, params={"model": "mlp", "steps": 100, "hidden": 24})
    assert perceptron.figures["fidelity"] > 0.4
    with pytest.raises(UsageError, match="no stand-in"):
        run(train_stand_in, identification, worn_chain, params={"model": "oracle"})


def test_fishers_gradient_is_the_slope_of_its_logits() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.random((40, 12)), np.repeat(np.arange(4), 10)
    model = train_fisher(x + 0.5 * np.eye(4, 12)[y], y, 4, dimensions=3)
    upstream, step = rng.normal(size=(2, 4)), 1e-6
    slope = np.empty((2, 12))
    for i in range(12):
        move = step * np.eye(12)[i]
        slope[:, i] = ((model.logits(x[:2] + move) - model.logits(x[:2] - move)) * upstream).sum(axis=1) / (2 * step)
    assert np.allclose(model.input_gradient(x[:2], upstream), slope, atol=1e-4)


def test_the_way_back_through_a_worn_patch_is_its_slope() -> None:
    rng = np.random.default_rng(4)
    ways = worn(3, Fit(16, (3, 5), (0.4, 0.6)), Wear(noise=0.0), rng)
    pictures, upstream = 0.4 + 0.1 * rng.random((3, 256)), rng.normal(size=(3, 256))
    patch, step = 0.3 + 0.2 * rng.random((3, 5)), 1e-5
    slope = np.empty_like(patch)
    for i in np.ndindex(patch.shape):
        move = np.zeros_like(patch)
        move[i] = step
        slope[i] = ((ways.seen(pictures, patch + move) - ways.seen(pictures, patch - move)) * upstream).sum() / step / 2
    assert np.allclose(ways.back(upstream), slope, atol=1e-6)


def test_a_patch_worn_straight_is_pasted_as_it_is() -> None:
    still = Wear(place=0.0, scale=0.0, turn=0.0, light=0.0, noise=0.0)
    patch = np.arange(12.0).reshape(3, 4) / 12
    ways = worn(1, Fit(16, (3, 4), (7.5 / 16, 8.0 / 16)), still, np.random.default_rng(0))
    seen = ways.seen(np.full((1, 256), 0.5), patch).reshape(16, 16)
    assert np.allclose(seen[6:9, 6:10], patch)
    seen[6:9, 6:10] = 0.5
    assert np.all(seen == 0.5)


@given(st.floats(-2.0, 2.0), st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_prints_have_a_printers_tones(spread: float, seed: int) -> None:
    values = printed(np.random.default_rng(seed).normal(0.5, abs(spread), (4, 4)))
    assert values.min() >= DARKEST - 1e-9
    assert values.max() <= LIGHTEST + 1e-9
    assert np.allclose(printed(values), values)


def test_no_square_no_picture() -> None:
    assert side_of(1024) == 32
    with pytest.raises(ValueError, match="no square"):
        side_of(1000)


def test_a_worn_patch_makes_the_service_name_the_chosen_person(
    identification: Reference, worn_chain: dict[str, Any]
) -> None:
    shown = run(show_patch, identification, worn_chain)
    by_chance = run(show_patch, identification, worn_chain, control=True)
    assert share(shown) > share(by_chance) + 0.2
    assert shown.figures["misnamed"] >= shown.figures["impersonated"] > 0.2
    assert sum(outcome.queries for outcome in shown.outcomes) == len(identification.attacker)


def test_nobody_is_named_after_a_refusal(identification: Reference, worn_chain: dict[str, Any]) -> None:
    seen: list[str] = []

    def refuse(key: str, rows: int) -> bool:
        seen.append(key)
        return len(seen) > 5

    shown = run(show_patch, identification, worn_chain, refuse=refuse)
    assert len(seen) == 6
    assert [outcome.refused for outcome in shown.outcomes] == [False] * 5 + [True] * 15
    assert not any(outcome.confirmed for outcome in shown.outcomes[5:])


def test_a_patch_needs_a_model_and_somebody_to_be_taken_for(identification: Reference) -> None:
    with pytest.raises(UsageError, match="model at hand"):
        run(eot_patch, identification, identification.known)
    held = {**identification.known, "surrogate": object(), "label_names": {0: 1}}
    with pytest.raises(UsageError, match="nobody to be taken for"):
        run(eot_patch, identification, held)


def test_wearers_of_a_patch_alone_are_photographed(identification: Reference) -> None:
    prints = {1: Patch(3, np.full((8, 20), 0.5), (0.42, 0.5))}
    shown = run(show_patch, identification, {"prints": prints})
    assert [outcome.index for outcome in shown.outcomes] == list(range(1, 20, 2))


def test_eyes_are_found_in_a_drawn_face() -> None:
    rng = np.random.default_rng(6)
    at = with_condition(moments(12, rng), x=0.0, y=0.0, roll=0.0, scale=1.0, yaw=0.0, nod=0.0, noise=0.01)
    who = people(12, rng)
    who[:, -1] = -1.0  # without glasses
    rows, gaps = 15.5 + 16 * who[:, 8], 16 * who[:, 7]
    near = 0
    for picture, row, gap in zip(draw(who, at, rng), rows, gaps, strict=True):
        (top, left), (_, right) = eyes(picture.reshape(SIDE, SIDE))
        near += abs(top - row) <= 1.5 and abs((right - left) / 2 - gap) <= 1.5
    assert near >= 9


def test_an_animated_photograph_blinks_once_and_stays_a_picture() -> None:
    rng = np.random.default_rng(8)
    still = draw(people(1, rng), moments(1, rng), rng)[0]
    take = animated(still, 6, AnimateStillsParams(motion=0.0), rng)
    changed = np.abs(take - still).max(axis=1) > 0.05
    assert take.shape == (6, 1024)
    assert take.min() >= 0.0
    assert take.max() <= 1.0
    assert changed.sum() == 2
    assert not changed[0]
    assert not changed[-1]


def test_a_virtual_camera_passes_where_the_still_and_another_face_do_not(verification: Reference) -> None:
    held = dict(verification.known)
    held |= run(animate_stills, verification, held).holds
    presented = run(present_takes, verification, held)
    assert share(presented) > 0.6
    assert not any(outcome.before for outcome in presented.outcomes)
    assert share(run(present_takes, verification, held, control=True)) < 0.2
    with pytest.raises(UsageError, match="do not belong"):
        run(present_takes, verification, {**held, "takes": held["takes"][:3]})


def test_stills_must_have_the_cameras_form(verification: Reference) -> None:
    with pytest.raises(UsageError, match="frames"):
        run(animate_stills, verification, {"take_frames": 40, "take_pixels": 1024})


def test_every_account_makes_its_first_call(verification: Reference) -> None:
    pool = AccountPool(["a", "b", "c"])
    called = run(first_calls, verification, {}, accounts=pool, refuse=lambda key, rows: key == "b")
    assert called.figures["accounts_served"] == 2.0
    assert [outcome.refused for outcome in called.outcomes].count(True) == 1
    assert pool.round_robin is False


def test_a_label_that_a_crowd_gets_names_nobody() -> None:
    things, labels = np.arange(8), np.array([5, 5, 5, 5, 5, 1, 2, 3])
    assert link(things, labels, np.ones(8), 6) == {1: 5, 2: 6, 3: 7}
