"""The same attack by a library: counted, stopped and confirmed as ours are. The libraries themselves are optional."""

from __future__ import annotations

import random
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from threatmatrix.emulate.crosscheck import LIBRARIES, cross_check, cross_checks
from threatmatrix.emulate.crosscheck import art as art_hands
from threatmatrix.emulate.crosscheck.meter import Enough, Meter
from threatmatrix.emulate.targets import InProcessTarget
from threatmatrix.model.errors import MissingExtraError, UnknownNameError

from .helpers import D, half_space, inputs, procedure


def meter(**changes: Any) -> Meter:
    x, y = inputs(1)
    how: dict[str, Any] = {"budget": 10, "norm": "l2", "threshold": 1.0, "want_scores": True} | changes
    return Meter(InProcessTarget(half_space()), x[0], int(y[0]), **how)


def test_the_meter_pays_for_what_the_budget_pays_for_and_then_stops() -> None:
    one = meter()
    assert one.scores(np.zeros((6, D))).shape == (6, 2)
    with pytest.raises(Enough):
        one.scores(np.zeros((6, D)))
    assert one.spent == one.target.queries == 10
    with pytest.raises(Enough):
        one.scores(np.zeros((1, D)))
    assert one.target.queries == 10


def test_the_meter_keeps_the_nearest_flip_and_stops_at_the_threshold() -> None:
    one = meter()
    far, near = np.ones(D), one.x + 0.15
    one.scores(np.stack([far, one.x]))
    kept = [(one.claimed, one.best)]
    with pytest.raises(Enough):
        one.scores(np.stack([one.x, near]))
    kept.append((one.claimed, one.best))
    assert [claimed for claimed, _ in kept] == [False, True]
    assert np.array_equal(np.stack([best for _, best in kept if best is not None]), [far, near])
    outside = meter()
    outside.scores(np.full((1, D), 2.0))
    assert outside.best is None


def test_labels_are_ones_where_scores_are_not_asked_for() -> None:
    assert set(np.ravel(meter(want_scores=False).scores(np.zeros((2, D))))) == {0.0, 1.0}


def by_hand(use: str, one: Meter) -> None:
    """Stands in for a library: goes straight at the boundary, drawing from both global generators."""
    del use
    while True:
        one.scores((one.x + np.random.random() * random.random())[None])


def test_a_library_s_attack_gives_the_same_record_as_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(art_hands, "attack", by_hand)
    x, y = inputs(5)
    target, clean = InProcessTarget(half_space()), InProcessTarget(half_space())
    np.random.seed(0)
    random.seed(0)
    before, plain = np.random.get_state()[1].copy(), random.getstate()  # type: ignore[index]

    def run(seed: int) -> Any:
        return cross_check(
            procedure("square", threshold=0.3),
            target,
            x,
            y,
            library="art",
            seed=seed,
            confirm_target=clean,
            max_queries=40,
        )

    result = run(1)
    assert result.variant == "crosscheck-art"
    assert result.queries == target.queries == sum(o.queries for o in result.outcomes)
    assert result.confirm_queries == clean.queries
    assert any(o.confirmed for o in result.outcomes)
    assert all(o.claimed == o.confirmed and o.queries <= 40 for o in result.outcomes)
    assert run(1).outcomes == result.outcomes
    assert run(2).outcomes != result.outcomes
    assert np.array_equal(np.random.get_state()[1], before)  # type: ignore[index]
    assert random.getstate() == plain


def test_a_refusal_ends_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(art_hands, "attack", by_hand)
    x, y = inputs(2)
    target = InProcessTarget(half_space(), refuse=lambda key, rows: True)
    clean = InProcessTarget(half_space())
    result = cross_check(procedure("square"), target, x, y, library="art", seed=1, confirm_target=clean)
    assert [o.refused for o in result.outcomes] == [True, True]


def test_names_are_checked() -> None:
    assert set(LIBRARIES) == {"art", "foolbox"}
    assert {"hop_skip_jump", "square", "simba"} <= set(cross_checks("art"))
    assert "hop_skip_jump" in cross_checks("foolbox")
    x, y = inputs(1)
    target = InProcessTarget(half_space())
    with pytest.raises(UnknownNameError, match="foolbox"):
        cross_check(procedure("square"), target, x, y, library="fulbox", seed=1, confirm_target=target)
    with pytest.raises(UnknownNameError, match="hop_skip_jump"):
        cross_check(procedure("square"), target, x, y, library="foolbox", seed=1, confirm_target=target)


@pytest.mark.parametrize("library", LIBRARIES)
def test_without_the_extra_it_says_which(library: str) -> None:
    if find_spec(library) is not None:
        pytest.skip("the library is installed")
    x, y = inputs(1)
    target = InProcessTarget(half_space())
    with pytest.raises(MissingExtraError, match="crosscheck"):
        cross_check(procedure("hop_skip_jump"), target, x, y, library=library, seed=1, confirm_target=target)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.filterwarnings("ignore")
def test_each_library_attacks_within_the_budget(library: str) -> None:
    pytest.importorskip(library)
    x, y = inputs(3)
    for use in set(cross_checks(library)) - {"square", "sign_opt"}:  # of ART: neither takes 4×4 values in two classes
        target, clean = InProcessTarget(half_space()), InProcessTarget(half_space())
        access = "score" if use in ("simba", "zoo") else "label"
        proc = procedure(use, norm="l2", threshold=1.5, access=access)
        result = cross_check(proc, target, x, y, library=library, seed=1, confirm_target=clean, max_queries=100)
        assert result.queries == target.queries <= 300
        assert all(o.confirmed for o in result.outcomes if o.claimed)
