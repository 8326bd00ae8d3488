"""Asking in batches: never more than the budget, another account after a refusal, an end that is no error."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.attacks.asking import ask_all, even_shares
from threatmatrix.emulate.stage import Samples, Stage
from threatmatrix.emulate.target import Answer, FloatArray
from threatmatrix.emulate.targets.in_process import InProcessFunction


def signs(x: FloatArray) -> FloatArray:
    return np.stack([x[:, 0] < 0, x[:, 0] >= 0], axis=1).astype(np.float64)


ROWS = np.linspace(-1.0, 1.0, 20)[:, None]


def stage(budget: int, *, refused: tuple[str, ...] = (), limit: int | None = None, scores: bool = True) -> Stage:
    target = InProcessFunction(
        signs, input_shape=(1,), classes=2, accounts=AccountPool(["one", "two"]), max_queries=limit,
        refuse=lambda key, rows: key in refused, gives_scores=scores,
    )  # fmt: skip
    samples = Samples(ROWS, np.zeros(len(ROWS), dtype=np.int64))
    return Stage(
        target=target, judge=target, samples=samples, rng=np.random.default_rng(0), params={}, budget=budget, held={}
    )


@given(budget=st.integers(0, 40), batch=st.integers(1, 30), spent=st.integers(0, 12))
def test_it_sends_no_more_than_the_budget_and_answers_come_in_order(budget: int, batch: int, spent: int) -> None:
    asking = stage(budget)
    if spent:
        asking.target.labels(np.repeat(ROWS, 2, axis=0)[:spent])
    heard = ask_all(asking, ROWS, batch, since=0)
    answered = min(len(ROWS), max(0, budget - spent))
    assert asking.target.queries == spent + answered
    assert heard.labels.tolist() == (ROWS[:answered, 0] >= 0).astype(int).tolist()
    assert heard.scores.shape == (answered, 2)
    assert not heard.refused


def test_another_account_goes_on_and_the_refused_rows_count() -> None:
    asking = stage(30, refused=("one",))
    heard = ask_all(asking, ROWS, 5)
    assert (len(heard.labels), heard.refused, asking.target.queries) == (20, False, 25)


def test_it_ends_where_every_account_is_refused() -> None:
    asking = stage(100, refused=("one", "two"))
    heard = ask_all(asking, ROWS, 5)
    assert (len(heard.labels), heard.refused, asking.target.queries) == (0, True, 10)


def test_the_end_of_the_clients_own_budget_is_no_refusal() -> None:
    heard = ask_all(stage(100, limit=12), ROWS, 5)
    assert (len(heard.labels), heard.refused) == (10, False)


def test_labels_alone_are_scores_of_one_and_nought() -> None:
    heard = ask_all(stage(100, scores=False), ROWS, 7)
    assert not heard.graded
    assert np.array_equal(heard.scores, np.eye(2)[heard.labels])


def test_texts_come_back_where_there_are_any() -> None:
    asking = stage(100)
    assert ask_all(asking, ROWS, 5).texts is None

    def said(x: FloatArray) -> Answer:
        return Answer(np.zeros(len(x), dtype=np.int64), None, tuple(f"{value:.2f}" for value in x[:, 0]))

    asking.target = InProcessFunction(said, input_shape=(1,), classes=2)
    assert ask_all(asking, ROWS[:3], 2).texts == ("-1.00", "-0.89", "-0.79")


@given(queries=st.integers(0, 1000), units=st.integers(0, 50))
def test_shares_add_up_and_differ_by_one_at_most(queries: int, units: int) -> None:
    shares = even_shares(queries, units)
    assert len(shares) == units
    if units:
        assert sum(shares) == queries
        assert max(shares) - min(shares) <= 1
