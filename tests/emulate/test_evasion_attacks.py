"""The evasion attacks that see scores or labels: counted, within the norm, successful where success is possible."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.run import run_procedure
from threatmatrix.emulate.target import Answer
from threatmatrix.emulate.targets import InProcessTarget
from threatmatrix.model.evidence import AttackResult

from .helpers import half_space, inputs, procedure

SCORES = ("simba", "nes", "zoo")
LABELS = ("boundary", "sign_opt", "sur_free")
NORMS = {"l2": 1.0, "linf": 0.2}
VARIANTS = ("plain", "adaptive-oars+rotation", "adaptive-noise+averaged", "adaptive-wide+heavy-tailed+dummies")


class Recorder(InProcessTarget):
    """Keeps what was sent."""

    sent: list[np.ndarray]

    def ask(self, x: Any, *, want_scores: bool = False) -> Answer:
        self.sent = [*getattr(self, "sent", []), x.copy()]
        return super().ask(x, want_scores=want_scores)


def run(
    use: str, norm: str = "l2", *, variant: str = "plain", target: InProcessTarget | None = None, n: int = 4,
    mean: float = 0.4, budget: int = 300, seed: int = 1,
) -> AttackResult:  # fmt: skip
    x, y = inputs(n, mean=mean)
    access = "label" if use in (*LABELS, "hop_skip_jump") else "score"
    proc = procedure(use, norm=norm, threshold=NORMS[norm], access=access, max_queries=budget)
    target = target or InProcessTarget(half_space())
    clean = InProcessTarget(half_space())
    return run_procedure(proc, target, x, y, seed=seed, variant=variant, confirm_target=clean)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("use", [*SCORES, *LABELS, "hop_skip_jump", "square"])
@pytest.mark.parametrize("budget", [1, 9, 40])
def test_every_row_is_counted_and_the_budget_is_never_exceeded(use: str, variant: str, budget: int) -> None:
    target = Recorder(half_space(), noise_sigma=0.05, accounts=AccountPool(("a", "b")))
    result = run(use, variant=variant, target=target, budget=budget, mean=0.1)
    assert result.queries == target.queries == sum(len(rows) for rows in getattr(target, "sent", []))
    assert all(outcome.queries <= budget for outcome in result.outcomes)


@pytest.mark.parametrize("use", [*SCORES, *LABELS, "hop_skip_jump", "square"])
@pytest.mark.parametrize("norm", NORMS)
def test_it_succeeds_within_either_norm_and_bounds(use: str, norm: str) -> None:
    target = Recorder(half_space())
    result = run(use, norm, target=target)
    assert np.mean([outcome.confirmed for outcome in result.outcomes]) >= 0.75
    assert all(outcome.distance <= NORMS[norm] + 1e-9 for outcome in result.outcomes if outcome.claimed)
    rows = np.concatenate(target.sent)
    assert rows.min() >= 0
    assert rows.max() <= 1


@pytest.mark.parametrize("use", [*SCORES, *LABELS])
def test_the_same_seed_gives_the_same_result_and_lockstep_the_same_as_one_by_one(use: str) -> None:
    first = run(use, variant="adaptive-noise+dummies")
    assert run(use, variant="adaptive-noise+dummies").outcomes == first.outcomes
    assert run(use, variant="adaptive-noise+dummies+lockstep").outcomes == first.outcomes
    assert run(use, variant="adaptive-noise+dummies", seed=2).outcomes != first.outcomes


@pytest.mark.parametrize("use", [*SCORES, *LABELS, "hop_skip_jump", "square"])
def test_who_varies_his_draws_draws_a_refused_query_again(use: str) -> None:
    sent: list[np.ndarray] = []

    class Refusing(InProcessTarget):
        def ask(self, x: Any, *, want_scores: bool = False) -> Answer:
            sent.append(x.copy())
            return super().ask(x, want_scores=want_scores)

    def refuse(key: str, rows: int) -> bool:
        return len(sent) % 3 == 0

    pool = AccountPool([str(i) for i in range(200)])
    run(
        use,
        variant="adaptive-wide+rotation",
        target=Refusing(half_space(), refuse=refuse, accounts=pool),
        n=1,
        mean=0.2,
    )
    again = [(a, b) for i, (a, b) in enumerate(pairwise(sent), 1) if i % 3 == 0 and len(a) == len(b)]
    assert again
    assert any(not np.array_equal(a, b) for a, b in again)


@pytest.mark.parametrize("use", [*SCORES, *LABELS, "hop_skip_jump"])
def test_a_width_that_is_no_square_image_is_attacked_value_by_value(use: str) -> None:
    weights = np.zeros((15, 2))
    weights[:, 1] = 8.0
    model = MLP.of([weights], [np.array([0.0, -60.0])])
    x = np.full((2, 15), 0.4)
    proc = procedure(use, access="score" if use in SCORES else "label", max_queries=400)
    target = InProcessTarget(model)
    result = run_procedure(proc, target, x, np.zeros(2, np.int64), seed=1, confirm_target=target)
    assert all(outcome.confirmed for outcome in result.outcomes)


def test_square_draws_a_sign_for_each_of_three_channels() -> None:
    weights = np.zeros((48, 2))
    weights[0::3, 1] = 8.0  # only the first channel counts
    model = MLP.of([weights], [np.array([0.0, -64.0])])
    target = Recorder(model)
    x = np.full((1, 48), 0.4)
    result = run_procedure(procedure("square"), target, x, np.zeros(1, np.int64), seed=1, confirm_target=target)
    assert result.outcomes[0].confirmed
    last = np.concatenate(target.sent)[result.queries - 1].reshape(16, 3)
    assert len(np.unique(np.round(last, 6), axis=0)) > 2  # channels differ
    with pytest.raises(ValueError, match="square image"):
        run_procedure(procedure("square"), target, x[:, :40], np.zeros(1, np.int64), seed=1, confirm_target=target)


def test_with_labels_alone_and_nothing_to_find_the_whole_budget_is_spent_and_nothing_claimed() -> None:
    for use in LABELS:
        result = run(use, target=InProcessTarget(half_space()), mean=0.05, n=2, budget=200)
        assert not any(outcome.claimed or outcome.confirmed for outcome in result.outcomes), use
