from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.attacks import attack_kind
from threatmatrix.emulate.attacks.extraction.trainer import Training, train_mlp
from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.target import texts
from threatmatrix.emulate.targets import InProcessTarget
from threatmatrix.model.errors import UnknownNameError, UsageError

D, K = 6, 3
SHORT = {"steps": 400, "rows": 20, "hidden": 32}
ALL = ["random_queries", "in_distribution", "jacobian_augmentation", "active", "equation_solving"]


def victim(hidden: tuple[int, ...] = (8,)) -> MLP:
    rng = np.random.default_rng(9)
    sizes = (D, *hidden, K)
    weights = [rng.normal(0, 2 / np.sqrt(m), (m, n)) for m, n in pairwise(sizes)]
    return MLP.of(weights, [-w.sum(axis=0) / 2 for w in weights])


class Rounded:
    """A victim whose scores leave with so many decimals."""

    def __init__(self, model: MLP, decimals: int) -> None:
        self.model, self.decimals = model, decimals
        self.inputs, self.classes = model.inputs, model.classes

    def scores(self, x):
        return np.round(self.model.scores(x), self.decimals)


OWN = {
    "random_queries": SHORT | {"power": 1.0},
    "equation_solving": {},
    "active": SHORT | {"rounds": 2, "round_steps": 100, "pool": 300, "seeds": 20},
    "jacobian_augmentation": SHORT | {"round_steps": 100, "seeds": 30},
}


def steal(use, budget=60, *, model=None, control=False, public=True, target=None, seed=1, n=80, **params) -> Brought:
    model = model or victim()
    rng = np.random.default_rng(7)
    x, own = rng.random((n, D)), rng.random((50, D))
    stage = Stage(
        target=target or InProcessTarget(model), judge=InProcessTarget(model),
        samples=Samples(x, np.argmax(model.scores(x), axis=1)), rng=np.random.default_rng(seed),
        params=OWN.get(use, SHORT) | params, budget=budget, control=control,
        held={"public": Samples(own, np.zeros(50, dtype=np.int64))} if public else {},
    )  # fmt: skip
    brought = attack_kind(use).whole(stage)
    assert stage.target.queries <= budget
    assert brought.figures["queries"] == stage.target.queries
    assert all(np.isfinite(value) for value in brought.figures.values())
    return brought


def agreement(brought: Brought) -> float:
    return float(np.mean([o.confirmed for o in brought.outcomes]))


@pytest.mark.parametrize("use", ALL)
def test_a_copy_agrees_with_the_target_and_one_that_learned_by_lot_does_not(use):
    stolen, by_lot = steal(use, 120), steal(use, 120, control=True)
    assert agreement(stolen) == stolen.figures["fidelity"] > 0.75
    assert stolen.figures["fidelity"] - by_lot.figures["fidelity"] > 0.2
    assert stolen.figures["queries"] == by_lot.figures["queries"] == 120
    assert 1 / K <= stolen.figures["chance"] < 0.75


@pytest.mark.parametrize("use", ALL)
def test_the_copy_has_a_gradient_and_is_what_the_outcomes_are_about(use):
    copy = steal(use).holds["surrogate"]
    x = np.random.default_rng(0).random((1, D))
    step = np.zeros((1, D))
    step[0, 2] = 1e-6
    upstream = np.eye(K)[[1]]
    slope = (copy.logits(x + step)[0, 1] - copy.logits(x)[0, 1]) / 1e-6
    assert copy.input_gradient(x, upstream)[0, 2] == pytest.approx(slope, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("use", ALL)
def test_without_public_data_every_second_sample_is_held_out(use):
    brought = steal(use, public=False)
    assert [o.index for o in brought.outcomes] == list(range(0, 80, 2))


@pytest.mark.parametrize("use", ["in_distribution", "active"])
def test_the_same_seed_brings_the_same_copy(use):
    first, again, other = (steal(use, seed=seed).holds["surrogate"] for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first.weights, again.weights, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first.weights, other.weights, strict=True))


def test_the_thief_finds_out_from_which_random_inputs_most_is_to_be_learned():
    """Where nearly all of the space is one class, inputs near the lower bound show the others."""
    weights = np.tile([[8.0, 0.0, 0.0]], (D, 1))
    model = MLP.of([weights], [np.array([-8.0, 0.0, 0.1])])
    low, plain = (steal("random_queries", 100, model=model, power=power) for power in (0.0, 1.0))
    asked = [np.ones(D) * value for value in (0.02, 0.3)]
    assert np.argmax(low.holds["surrogate"].scores(np.stack(asked)), axis=1).tolist() == [2, 0]
    assert low.figures["queries"] == plain.figures["queries"] == 100


@pytest.mark.parametrize("choose", ["uncertainty", "margin", "k-center"])
def test_every_choice_of_queries_works(choose):
    assert steal("active", 100, choose=choose).figures["fidelity"] > 0.7


def test_an_unknown_choice_is_named():
    with pytest.raises(UnknownNameError, match="nearest"):
        steal("active", choose="nearest")


@pytest.mark.parametrize("use", ["random_queries", "equation_solving"])
def test_labels_alone_still_teach_something(use):
    target = InProcessTarget(victim(()), gives_scores=False)
    assert steal(use, 200, model=victim(()), target=target).figures["fidelity"] > 0.7


def test_as_many_equations_as_unknowns_give_a_linear_models_weights():
    linear = victim(())
    brought = steal("equation_solving", D + 1, model=linear)
    stolen, theirs = brought.holds["surrogate"].weights[0], linear.weights[0]
    assert np.allclose(stolen - stolen.mean(axis=1, keepdims=True), theirs - theirs.mean(axis=1, keepdims=True))
    assert brought.figures["fidelity"] == 1.0
    assert brought.figures["residual"] < 1e-9


def test_rounded_scores_are_no_equations_but_a_regression():
    rounded = Rounded(victim(()), 2)
    brought = steal("equation_solving", 100, model=rounded, target=InProcessTarget(rounded))
    assert brought.figures["fidelity"] > 0.9
    assert brought.figures["residual"] > 1e-4


@settings(deadline=None, max_examples=25)
@given(
    use=st.sampled_from(ALL),
    budget=st.integers(1, 40),
    served=st.integers(0, 30),
    accounts=st.integers(1, 3),
    limit=st.integers(1, 60),
)
def test_a_refused_or_cut_off_thief_judges_what_there_is(use, budget, served, accounts, limit):
    pool = AccountPool([f"key-{i}" for i in range(accounts)])
    sent = dict.fromkeys(pool.keys, 0)

    def refuse(key: str, rows: int) -> bool:
        sent[key] += rows
        return sent[key] > served

    target = InProcessTarget(victim(), accounts=pool, refuse=refuse, max_queries=limit)
    brought = steal(use, budget, target=target, n=10, **({} if use == "equation_solving" else {"steps": 5, "rows": 8}))
    assert len(brought.outcomes) == 10
    if served == 0:
        assert agreement(brought) == 0.0


def test_texts_are_no_vectors():
    stage = Stage(
        target=InProcessTarget(victim()), judge=InProcessTarget(victim()),
        samples=Samples(texts(["a", "b"]), np.zeros(2, dtype=np.int64)), rng=np.random.default_rng(0), params={},
        budget=5,
    )  # fmt: skip
    with pytest.raises(UsageError, match="numbers"):
        attack_kind("in_distribution").whole(stage)


def test_training_goes_on_from_a_model_and_leaves_that_one_alone():
    rng = np.random.default_rng(0)
    x = rng.random((40, D))
    y = np.eye(K)[np.argmax(victim().scores(x), axis=1)]
    how = Training(hidden=(6,), steps=300)
    first = train_mlp(x, y, how, np.random.default_rng(1))
    kept = first.weights[0].copy()
    second = train_mlp(x, y, dataclasses.replace(how, steps=200), np.random.default_rng(2), start=first)
    assert np.array_equal(first.weights[0], kept)

    def loss(model: MLP) -> float:
        return float(-np.mean(np.log(model.scores(x))[y == 1]))

    assert loss(second) < loss(first) < np.log(K)
