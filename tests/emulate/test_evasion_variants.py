"""How an attacker adapts: noise, wider draws, pauses, innocent company; and what each costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.attacks.base import Attempt, Query, Setting
from threatmatrix.emulate.driver import Driver, Job
from threatmatrix.emulate.run import run_procedure
from threatmatrix.emulate.target import Answer, texts
from threatmatrix.emulate.targets import InProcessTarget
from threatmatrix.emulate.variants import ADAPTIONS, DELAY_SECONDS, DUMMIES, NOISE, WIDE, parse_variant
from threatmatrix.model.errors import UnknownNameError, UsageError
from threatmatrix.model.procedure import ProcedureStep

from .helpers import half_space, inputs, procedure

_A_FEW = ProcedureStep("random_queries", {"rows": 3, "steps": 5, "hidden": 4})


class Recorder(InProcessTarget):
    """Keeps the requests, and lets time pass."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sent: list[np.ndarray] = []
        self.waited: list[float] = []

    def ask(self, x: Any, *, want_scores: bool = False) -> Answer:
        self.sent.append(x.copy())
        return super().ask(x, want_scores=want_scores)

    def pause(self, seconds: float) -> None:
        self.waited.append(seconds)


def asked(variant: str, queries: list[Query], *, budget: int = 100, repeats: int = 3) -> tuple[Recorder, Job]:
    """Send these queries under a variant, for the second of four samples."""
    x, y = inputs(4)
    target, how = Recorder(half_space()), parse_variant(variant, repeats=repeats)
    job = Job(1, budget, how, np.random.default_rng(0))
    job.attempt = Attempt(x[1], int(y[1]), np.random.default_rng(1), job.rows_left)

    def steps() -> Any:
        for query in queries:  # noqa: UP028 - a list takes no replies
            yield query

    job.steps = steps()
    Driver(target, how, want_scores=False, pool=x).run([job], lambda done: None)
    return target, job


@given(parts=st.sets(st.sampled_from(ADAPTIONS), min_size=1), repeats=st.integers(1, 5), budget=st.integers(0, 60),
       sizes=st.lists(st.integers(1, 6), max_size=8), repeat=st.booleans())  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_whatever_is_combined_every_row_is_counted_and_none_too_many(
    parts: set[str], repeats: int, budget: int, sizes: list[int], repeat: bool
) -> None:
    x, _ = inputs(1)
    queries = [Query(np.repeat(x, size, axis=0), repeat=repeat) for size in sizes]
    target, job = asked("adaptive-" + "+".join(parts), queries, budget=budget, repeats=repeats)
    assert job.spent == target.queries == sum(len(rows) for rows in target.sent) <= budget
    each = job.variant.cost(repeat)
    spent = 0
    for size in sizes:  # a query is sent in full or not at all, and the first that is too dear ends the attempt
        if spent + size * each > budget:
            break
        spent += size * each
    assert job.spent == spent


def test_a_name_says_what_is_combined() -> None:
    how = parse_variant("adaptive-noise+heavy-tailed+wide+delay+dummies+averaged", repeats=4)
    assert (how.noise, how.draws, how.wide, how.delay, how.dummies, how.repeats) == (
        NOISE, "heavy-tailed", WIDE, DELAY_SECONDS, DUMMIES, 4
    )  # fmt: skip
    assert (how.cost(True), how.cost(False)) == (4 + DUMMIES, 1 + DUMMIES)
    with pytest.raises(UnknownNameError, match="adaptive-heavy-tailed"):
        parse_variant("adaptive-heavy")


def test_noise_covers_every_row_but_the_last_word() -> None:
    x, _ = inputs(1)
    target, _ = asked("adaptive-noise+averaged", [Query(x), Query(x, exact=True, repeat=False)])
    noisy, exact = target.sent
    assert len(noisy) == 3
    assert len(np.unique(noisy, axis=0)) == 3
    assert 0.5 * NOISE < np.std(noisy - x) < 2 * NOISE
    assert noisy.min() >= 0
    assert np.array_equal(exact, x)


def test_an_attack_under_noise_claims_only_what_it_asked_without() -> None:
    x, y = inputs(12, mean=0.36)
    for use in ("simba", "square", "nes", "hop_skip_jump", "boundary"):
        target = Recorder(half_space())
        access = "label" if use in ("hop_skip_jump", "boundary") else "score"
        proc = procedure(use, norm="l2", threshold=0.9, access=access)
        result = run_procedure(proc, target, x, y, seed=1, variant="adaptive-noise", confirm_target=target)
        assert any(outcome.claimed for outcome in result.outcomes), use
        assert all(outcome.confirmed for outcome in result.outcomes if outcome.claimed), use


def test_dummies_are_other_inputs_of_ones_own() -> None:
    x, _ = inputs(4)
    mine = x[1] + 0.01
    target, _ = asked("adaptive-dummies", [Query(mine[None]) for _ in range(20)])
    covers, real = target.sent[0::2], target.sent[1::2]
    assert all(np.array_equal(rows, mine[None]) for rows in real)
    seen = {int(np.flatnonzero((x == row).all(axis=1))[0]) for rows in covers for row in rows}
    assert seen == {0, 2, 3}
    with pytest.raises(UsageError, match="dummies"):
        Driver(target, parse_variant("adaptive-dummies"), want_scores=False, pool=x[:1])


def test_a_refused_dummy_is_a_refusal() -> None:
    x, y = inputs(3, mean=0.1)
    pool = AccountPool(("a", "b"))
    target = InProcessTarget(half_space(), refuse=lambda key, rows: key == "a", accounts=pool)
    clean = InProcessTarget(half_space())
    run = run_procedure(
        procedure("square"), target, x, y, seed=1, variant="adaptive-dummies+rotation", confirm_target=clean
    )
    assert not any(outcome.refused for outcome in run.outcomes)
    assert run.queries == target.queries


def test_accounts_take_turns_in_an_attack_on_everything_at_once_too() -> None:
    x, y = inputs(6)
    seen: list[str] = []
    pool = AccountPool(("a", "b", "c"))
    target = InProcessTarget(half_space(), accounts=pool, refuse=lambda key, rows: bool(seen.append(key)))  # type: ignore[func-returns-value]
    for variant in ("plain", "adaptive-rotation"):
        seen.clear()
        proc = procedure("random_queries", norm="none", threshold=0.0, control="same", steps=(_A_FEW,), max_queries=9)
        run_procedure(proc, target, x, y, seed=1, variant=variant, confirm_target=InProcessTarget(half_space()))
        assert set(seen) == ({"a"} if variant == "plain" else {"a", "b", "c"})
        assert not pool.round_robin


def test_delay_lets_the_targets_own_time_pass_before_each_query() -> None:
    x, _ = inputs(1)
    target, job = asked("adaptive-delay+averaged", [Query(x), Query(x), Query(x)])
    assert target.waited == [DELAY_SECONDS] * 3
    assert job.spent == 9
    target.pause = None  # type: ignore[method-assign, assignment]
    with pytest.raises(UsageError, match="delay"):
        Driver(target, parse_variant("adaptive-delay"), want_scores=False, pool=x)


def test_noise_is_for_numbers() -> None:
    with pytest.raises(UsageError, match="numbers"):
        asked("adaptive-noise", [Query(texts(["hello"]))])


def test_who_varies_his_draws_goes_farther_than_by_himself() -> None:
    def setting(**how: Any) -> Setting:
        return Setting("l2", 1.0, (0.0, 1.0), np.zeros((1, 4)), np.zeros(1, np.int64), **how)

    assert (setting().spread, setting().redraws) == (1.0, False)
    assert setting(oars=True).spread > 1
    assert setting(wide=WIDE).spread == WIDE
    assert all(setting(**how).redraws for how in ({"oars": True}, {"wide": 2.0}, {"draws": "heavy-tailed"}))


@pytest.mark.parametrize("use", ["nes", "boundary", "sign_opt", "sur_free", "hop_skip_jump"])
def test_wide_spreads_the_queries(use: str) -> None:
    def typical_gap(variant: str) -> float:
        x, y = inputs(2, mean=0.15)
        target = Recorder(half_space())
        access = "score" if use == "nes" else "label"
        run_procedure(procedure(use, access=access), target, x, y, seed=1, variant=variant, confirm_target=target)
        rows = np.concatenate(target.sent)[:150]
        return float(np.median(np.linalg.norm(np.diff(rows, axis=0), axis=1)))

    assert typical_gap("adaptive-wide") > 1.1 * typical_gap("plain")
