from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.emulate.helpers import half_space, inputs, procedure

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.confirm import FRESH_QUERIES, choose_samples, confirmed
from threatmatrix.emulate.run import Hands, run_procedure
from threatmatrix.emulate.target import Answer
from threatmatrix.emulate.targets import InProcessTarget
from threatmatrix.model.errors import (
    BudgetExhausted,
    FormatError,
    TargetError,
    TargetRefused,
    UnknownNameError,
    UsageError,
)
from threatmatrix.model.procedure import ProcedureStep


class Recorder(InProcessTarget):
    """Keeps the requests, and who sent them."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.sent: list[tuple[str, np.ndarray]] = []

    def ask(self, x, *, want_scores=False) -> Answer:
        try:
            return super().ask(x, want_scores=want_scores)
        finally:
            self.sent.append((self.accounts.current, x.copy()))


def run(name, target=None, n=6, *, seed=1, variant="plain", confirm=None, mean=0.4, **kwargs):
    x, y = inputs(n, mean=mean)
    target = target or InProcessTarget(half_space())
    proc = kwargs.pop("procedure", None) or procedure(name)
    confirm = confirm or InProcessTarget(half_space())
    return run_procedure(proc, target, x, y, seed=seed, variant=variant, confirm_target=confirm, **kwargs)


ALL = ["hop_skip_jump", "square", "random_control", "transfer"]
VARIANTS = ["plain", "adaptive-oars", "adaptive-averaged", "adaptive-lockstep", "adaptive-rotation+averaged+oars"]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("budget", [1, 7, 40, 200])
def test_every_row_is_counted_and_the_budget_is_never_exceeded(name, variant, budget):
    target, confirm = Recorder(half_space(), noise_sigma=0.05), InProcessTarget(half_space())
    result = run(
        name,
        target,
        variant=variant,
        confirm=confirm,
        max_queries=budget,
        hands=Hands(held={"surrogate": half_space()}),
    )
    assert result.queries == target.queries == sum(len(rows) for _, rows in target.sent)
    assert all(outcome.queries <= budget for outcome in result.outcomes)
    assert result.confirm_queries == confirm.queries
    assert [outcome.index for outcome in result.outcomes] == list(range(6))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ["hop_skip_jump", "square"])
def test_it_succeeds_where_success_is_possible_and_within_the_norm(name, variant):
    result = run(name, variant=variant)
    limit = procedure(name).threshold
    assert np.mean([outcome.confirmed for outcome in result.outcomes]) >= 0.8
    assert all(outcome.distance <= limit + 1e-9 for outcome in result.outcomes if outcome.confirmed)


@pytest.mark.parametrize("name", ["hop_skip_jump", "square"])
@pytest.mark.parametrize("variant", ["plain", "adaptive-oars"])
def test_every_row_that_is_sent_lies_within_the_bounds(name, variant):
    target = Recorder(half_space())
    run(name, target, variant=variant)
    rows = np.concatenate([rows for _, rows in target.sent])
    assert rows.min() >= 0
    assert rows.max() <= 1


def test_square_stays_within_its_norm_with_every_query():
    x, y = inputs(1, mean=0.2)
    target = Recorder(half_space())
    result = run_procedure(procedure("square"), target, x, y, seed=1, confirm_target=InProcessTarget(half_space()))
    assert not result.outcomes[0].confirmed  # 0.2 in each value does not carry 0.2 to one half
    assert result.queries == 200
    assert max(np.abs(rows - x[0]).max() for _, rows in target.sent) <= 0.2


def test_the_random_control_draws_at_the_norm_and_stops_after_a_hit():
    target = Recorder(half_space())
    x, y = inputs(6, mean=0.2)  # 1.2 from the boundary
    result = run_procedure(
        procedure("random_control"), target, x, y, seed=1, confirm_target=InProcessTarget(half_space())
    )
    assert not any(outcome.claimed for outcome in result.outcomes)
    lengths = [np.linalg.norm(rows - x[i // 4], axis=1) for i, (_, rows) in enumerate(target.sent)]
    assert np.concatenate(lengths).max() <= 1.0
    near = InProcessTarget(half_space())
    x, y = inputs(4, mean=0.49)
    easy = run_procedure(procedure("random_control"), near, x, y, seed=1, confirm_target=near)
    assert all(outcome.confirmed and outcome.queries == 50 for outcome in easy.outcomes if outcome.claimed)
    assert any(outcome.claimed for outcome in easy.outcomes)
    assert near.queries == easy.queries + easy.confirm_queries


def test_the_random_control_runs_in_the_name_of_the_procedure():
    plain = run("hop_skip_jump")
    control = run("hop_skip_jump", variant="random-control", budgets=[o.queries for o in plain.outcomes])
    assert (control.procedure, control.norm, control.variant) == ("hop-skip-jump", "l2", "random-control")
    assert [o.queries for o in control.outcomes] == [o.queries for o in plain.outcomes]


def test_the_same_seed_gives_the_same_result_and_lockstep_the_same_as_one_by_one():
    first, again, other = run("hop_skip_jump"), run("hop_skip_jump"), run("hop_skip_jump", seed=2)
    assert first.outcomes == again.outcomes
    assert first.outcomes != other.outcomes
    assert run("hop_skip_jump", variant="adaptive-lockstep").outcomes == first.outcomes


def test_lockstep_takes_turns():
    x, _ = inputs(3)
    target = Recorder(half_space())
    run("square", target, n=3, variant="adaptive-lockstep")
    nearest = [int(np.argmin(np.abs(x - rows[0]).max(axis=1))) for _, rows in target.sent[:6]]
    assert nearest == [0, 1, 2, 0, 1, 2]


def test_averaging_repeats_each_query_but_not_a_gradient_batch():
    target = Recorder(half_space())
    from_noise = procedure("hop_skip_jump", steps=(ProcedureStep("hop_skip_jump", {"start": 0}),))  # one row at a time
    run("", target, n=1, variant="adaptive-averaged", repeats=4, mean=0.1, procedure=from_noise)
    single = [rows for _, rows in target.sent if len(rows) == 4]
    batches = [rows for _, rows in target.sent if len(rows) != 4]
    assert single
    assert all(np.array_equal(rows, np.repeat(rows[:1], 4, axis=0)) for rows in single)
    assert batches
    assert all(len(np.unique(rows, axis=0)) == len(rows) for rows in batches)


def test_oars_spreads_its_queries():
    def typical_gap(variant, name):
        target = Recorder(half_space())
        run(name, target, n=2, variant=variant, mean=0.1 if name == "hop_skip_jump" else 0.4)
        rows = np.concatenate([rows for _, rows in target.sent])
        return float(np.median(np.linalg.norm(np.diff(rows, axis=0), axis=1)))

    for name in ("hop_skip_jump", "square"):
        assert typical_gap("adaptive-oars", name) > 1.5 * typical_gap("plain", name)


def test_claimed_is_not_confirmed():
    """With noise on the input a claim is luck; fresh queries say so."""
    x, y = inputs(40, mean=0.36)
    noisy = InProcessTarget(half_space(), noise_sigma=0.3, seed=3)
    result = run_procedure(procedure("random_control", threshold=0.3), noisy, x, y, seed=1, confirm_target=noisy)
    claimed = sum(o.claimed for o in result.outcomes)
    assert claimed > 10
    assert sum(o.confirmed for o in result.outcomes) < claimed / 2


def test_scores_are_labels_where_the_target_gives_labels_only():
    result = run("square", InProcessTarget(half_space(), gives_scores=False))
    assert 0 < result.queries <= 6 * 200


def test_label_attacks_never_ask_for_scores():
    class NoScores(InProcessTarget):
        def ask(self, x, *, want_scores=False):
            assert not want_scores
            return super().ask(x)

    assert run("hop_skip_jump", NoScores(half_space())).queries > 0


class TestRefusal:
    def blocked(self, *keys, after=10):
        """Requests until an account's own tenth row are served; listed accounts are refused from then on."""
        served: dict[str, int] = {}

        def refuse(key, rows):
            served[key] = served.get(key, 0) + rows
            return key in keys and served[key] > after

        return refuse

    def test_a_refused_sample_ends_and_the_rest_costs_one_query_each(self):
        target = Recorder(half_space(), refuse=self.blocked("a"), accounts=AccountPool(("a",)))
        result = run("square", target, mean=0.1)
        assert [o.refused for o in result.outcomes] == [True] * 6
        assert result.outcomes[0].queries == 11
        assert [o.queries for o in result.outcomes[1:]] == [1] * 5
        assert target.queries == result.queries

    def test_the_next_sample_goes_on_with_the_next_account(self):
        target = Recorder(half_space(), refuse=self.blocked("a"), accounts=AccountPool(("a", "b")))
        result = run("square", target, mean=0.1)
        assert [o.refused for o in result.outcomes] == [True] + [False] * 5
        assert {key for key, _ in target.sent[11:]} == {"b"}

    def test_rotation_switches_at_once_and_takes_turns(self):
        target = Recorder(half_space(), refuse=self.blocked("a"), accounts=AccountPool(("a", "b", "c")))
        result = run("square", target, variant="adaptive-rotation", mean=0.1)
        assert not any(o.refused for o in result.outcomes)
        assert [key for key, _ in target.sent[:4]] == ["b", "c", "a", "b"]
        assert all(o.queries <= 200 for o in result.outcomes)
        assert target.queries == result.queries
        assert not target.accounts.round_robin  # as it was before

    def test_oars_draws_a_refused_batch_again(self):
        target = Recorder(half_space(), refuse=lambda key, rows: key == "a" and rows > 1, accounts=AccountPool("ab"))
        run("hop_skip_jump", target, n=1, variant="adaptive-oars", mean=0.1)
        batches = [rows for _, rows in target.sent if len(rows) > 1]
        assert not np.array_equal(batches[0], batches[1])
        assert len(batches[0]) == len(batches[1])

    def test_a_block_that_ends_is_noticed(self):
        asked = []

        def refuse(key, rows):
            asked.append(key)
            return len(asked) in (5, 6)

        result = run("square", InProcessTarget(half_space(), refuse=refuse, accounts=AccountPool("a")), mean=0.1)
        assert [o.refused for o in result.outcomes] == [True, True, False, False, False, False]

    def test_a_refused_confirmation_is_not_a_failed_attack(self):
        with pytest.raises(TargetRefused):
            run("square", confirm=InProcessTarget(half_space(), refuse=lambda key, rows: True))


def test_errors_of_the_target_stop_the_run():
    with pytest.raises(BudgetExhausted, match="30"):
        run("square", InProcessTarget(half_space(), max_queries=30))

    class Broken(InProcessTarget):
        def ask(self, x, *, want_scores=False):
            raise TargetError("the target answered HTTP 500")

    with pytest.raises(TargetError):
        run("hop_skip_jump", Broken(half_space()))


def test_usage_errors_name_the_way_out():
    with pytest.raises(UnknownNameError, match="hop_skip_jump"):
        run("hop_skip_jmp")
    with pytest.raises(UnknownNameError, match="adaptive-oars"):
        run("square", variant="adaptive-oarz")
    with pytest.raises(FormatError, match=r"params\.are: no such parameter \(valid: area"):
        run("square", procedure=procedure("square", steps=(ProcedureStep("square", {"are": 1}),)))
    with pytest.raises(FormatError, match=r"params\.area"):
        run("square", procedure=procedure("square", steps=(ProcedureStep("square", {"area": "much"}),)))
    with pytest.raises(FormatError, match=r"params\.repeats"):
        run("square", procedure=procedure("square", steps=(ProcedureStep("square", {"repeats": 0}),)))
    with pytest.raises(UsageError, match="weights"):
        run("transfer")
    with pytest.raises(UsageError, match="do not match"):
        run("square", budgets=[1])


def test_metadata_is_read_without_a_norm():
    target = InProcessTarget(half_space())
    proc = procedure("read_metadata", norm="none", threshold=0.0, control="", access="none")
    result = run("", target, procedure=proc)
    assert len(result.outcomes) == 1
    assert result.outcomes[0].claimed
    assert result.queries == target.queries == 1


class TestConfirmation:
    def test_a_point_too_far_or_out_of_bounds_costs_no_query(self):
        x, y = inputs(1)
        target = InProcessTarget(half_space())
        for final in (None, np.ones(16), x[0] - 1.0, np.full(16, np.nan)):
            assert not confirmed(target, x[0], int(y[0]), final, norm="l2", threshold=0.5)[0]
        assert target.queries == 0

    def test_the_majority_of_fresh_queries_decides(self):
        x, y = inputs(1)
        target = InProcessTarget(half_space())
        assert confirmed(target, x[0], int(y[0]), x[0] + 0.15, norm="linf", threshold=0.15)[0]
        assert not confirmed(target, x[0], int(y[0]), x[0] + 0.05, norm="linf", threshold=0.15)[0]
        assert target.queries == 2 * FRESH_QUERIES


def test_samples_that_are_wrong_before_the_attack_are_left_out():
    x, y = inputs(30)
    y = y.copy()
    y[::3] = 1 - y[::3]
    target = InProcessTarget(half_space())
    chosen = choose_samples(target, x, y, 20, seed=1)
    assert len(set(chosen)) == 20
    assert not set(chosen) & set(range(0, 30, 3))
    with pytest.raises(UsageError, match="only 20 of 30"):
        choose_samples(target, x, y, 21, seed=1)


@given(keys=st.integers(1, 4), round_robin=st.booleans(), answers=st.lists(st.booleans(), max_size=30))
@settings(max_examples=100, deadline=None)
def test_the_pool_never_uses_a_refused_account_while_another_is_left(keys, round_robin, answers):
    pool = AccountPool([str(i) for i in range(keys)], round_robin)
    refused: set[str] = set()
    for served in answers:
        key = pool.before_request()
        assert key not in refused or len(refused) == keys
        if served:
            pool.accepted()
            refused.discard(key)
        else:
            refused.add(key)
            assert pool.refused() == (len(refused) < keys)
        assert pool.all_refused == (len(refused) == keys)
