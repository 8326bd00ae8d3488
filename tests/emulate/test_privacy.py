from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threatmatrix.emulate.attacks import attack_kind
from threatmatrix.emulate.attacks.privacy.records import area_under_curve
from threatmatrix.emulate.reference.forest import Forest
from threatmatrix.emulate.stage import Brought, Samples, Stage
from threatmatrix.emulate.targets import InProcessTarget
from threatmatrix.model.errors import UnknownNameError, UsageError

D, K = 5, 2


def records(n: int, seed: int) -> Samples:
    """Labels that hold little of the inputs: a model that fits them has to remember them."""
    rng = np.random.default_rng(seed)
    x = rng.random((n, D))
    return Samples(x, ((x[:, 0] > 0.5) ^ (rng.random(n) < 0.3)).astype(np.int64))


MEMBERS, OTHERS, PUBLIC = records(60, 1), records(60, 2), records(80, 3)
VICTIM = Forest.train(MEMBERS.x, MEMBERS.y, classes=K, seed=0, trees=20)


def run(use, budget=5000, *, control=False, target=None, drop=(), **params) -> tuple[Brought, InProcessTarget]:
    target = target or InProcessTarget(VICTIM)
    held = {"members": MEMBERS, "non_members": OTHERS, "public": PUBLIC}
    stage = Stage(
        target=target, judge=InProcessTarget(VICTIM), samples=OTHERS, rng=np.random.default_rng(5), params=params,
        budget=budget, control=control, held={k: v for k, v in held.items() if k not in drop},
    )  # fmt: skip
    brought = attack_kind(use).whole(stage)
    assert target.queries <= budget
    assert all(np.isfinite(value) for value in brought.figures.values())
    return brought, target


SMALL = {
    "lira": {"shadows": 6},
    "label_only": {"copies": 4, "shadows": 2},
    "confidence_threshold": {},
}


@pytest.mark.parametrize("use", SMALL)
def test_members_are_told_from_others_and_not_by_lot(use):
    told, target = run(use, **SMALL[use])
    by_lot, again = run(use, control=True, **SMALL[use])
    assert len(told.outcomes) == 120
    assert told.figures["auc"] > (0.75 if use == "confidence_threshold" else 0.6)
    assert 0.3 < by_lot.figures["auc"] < 0.7
    assert told.figures["accuracy"] == pytest.approx(np.mean([o.confirmed for o in told.outcomes]))
    assert target.queries == again.queries == sum(o.queries for o in told.outcomes)


def test_with_labels_alone_confidence_says_no_more_than_whether_the_label_is_right():
    told, _ = run("confidence_threshold", target=InProcessTarget(VICTIM, gives_scores=False))
    assert told.figures["auc"] < run("confidence_threshold")[0].figures["auc"]


@pytest.mark.parametrize("use", ["label_only", "confidence_threshold"])
def test_records_that_were_not_reached_are_not_told(use):
    told, target = run(use, 40, **SMALL[use])
    each = told.outcomes[0].queries
    assert target.queries == 40
    assert not any(o.confirmed for o in told.outcomes[40 // each :])


def test_a_refused_thief_tells_nothing():
    told, target = run("confidence_threshold", target=InProcessTarget(VICTIM, refuse=lambda key, rows: True))
    assert target.queries == 10
    assert all(o.refused and not o.confirmed for o in told.outcomes)


def test_what_is_missing_or_misspelt_is_named():
    with pytest.raises(UsageError, match="members"):
        run("lira", drop=("members",))
    with pytest.raises(UsageError, match="4 shadow"):
        run("lira", shadows=2)
    with pytest.raises(UnknownNameError, match="tree"):
        run("lira", shadow="tree")


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_the_area_is_the_share_of_pairs_in_the_right_order(pairs):
    scores, truth = np.array([float(s) for s, _ in pairs]), np.array([t for _, t in pairs])
    ins, outs = scores[truth], scores[~truth]
    expected = np.mean([(a > b) + 0.5 * (a == b) for a in ins for b in outs]) if len(ins) and len(outs) else 0.0
    assert area_under_curve(scores, truth) == pytest.approx(expected)


class Bump:
    """Sure of a class near its centre."""

    inputs, classes = 8, 3
    centres = np.random.default_rng(3).random((3, 8))

    def scores(self, x):
        away = np.sum((x[:, None, :] - self.centres) ** 2, axis=2)
        e = np.exp(-6 * away)
        return e / e.sum(axis=1, keepdims=True)


def invert(budget: int, *, control: bool = False, gives_scores: bool = True, refuse=lambda key, rows: False) -> Brought:
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    samples = Samples(np.clip(Bump.centres[y] + rng.normal(0, 0.1, (60, 8)), 0, 1), y)
    target = InProcessTarget(Bump(), gives_scores=gives_scores, refuse=refuse)
    stage = Stage(
        target=target, judge=InProcessTarget(Bump()), samples=samples, rng=rng, params={"probes": 20}, budget=budget,
        control=control,
    )  # fmt: skip
    brought = attack_kind("nes_inversion").whole(stage)
    assert target.queries <= budget
    assert brought.holds["reconstructions"].shape == (3, 8)
    assert sum(o.queries for o in brought.outcomes) == target.queries
    return brought


def test_a_climb_ends_at_what_is_typical_of_the_class():
    found, by_lot = invert(3000), invert(3000, control=True)
    assert found.figures["correlation"] > 0.6
    assert all(o.confirmed for o in found.outcomes)
    assert by_lot.figures["correlation"] < 0.4


def test_no_climb_without_queries():
    assert not any(o.confirmed for o in invert(3).outcomes)
    refused = invert(3000, refuse=lambda key, rows: True)
    assert all(o.refused and not o.confirmed for o in refused.outcomes)
