"""Which account sends next, and that each sample can have accounts of its own."""

from __future__ import annotations

import numpy as np
import pytest

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.run import run_procedure
from threatmatrix.emulate.targets import InProcessTarget

from .helpers import half_space, procedure


def test_a_refused_account_is_left_for_the_next() -> None:
    pool = AccountPool(["a", "b"])
    assert pool.before_request() == "a"
    assert pool.refused()
    assert pool.before_request() == "b"
    assert not pool.refused()
    assert pool.all_refused


def test_round_robin_passes_over_refused_accounts() -> None:
    pool = AccountPool(["a", "b", "c"], round_robin=True)
    assert [pool.before_request() for _ in range(4)] == ["b", "c", "a", "b"]
    pool.refused()
    assert [pool.before_request() for _ in range(3)] == ["a", "c", "a"]


def test_each_sample_has_accounts_of_its_own() -> None:
    pool = AccountPool(["a", "b", "c", "d"], per_sample=2)
    pool.refused()
    pool.refused()
    assert pool.all_refused
    pool.turn_to(1)
    assert not pool.all_refused
    assert pool.before_request() == "c"
    pool.turn_to(0)
    assert pool.all_refused  # what happened to a sample's accounts is remembered
    with pytest.raises(ValueError, match="no accounts are left for sample 2"):
        pool.turn_to(2)
    with pytest.raises(ValueError, match="5 accounts for each sample of 4"):
        AccountPool(["a", "b", "c", "d"], per_sample=5)


def test_every_sample_is_attacked_although_accounts_of_earlier_ones_are_blocked() -> None:
    served: dict[str, int] = {}

    def refuse(key: str, rows: int) -> bool:
        served[key] = served.get(key, 0) + rows
        return served[key] > 20

    x, y = np.full((4, 16), 0.2), np.zeros(4, dtype=np.int64)
    pool = AccountPool([f"k{i}" for i in range(4)], per_sample=1)
    target = InProcessTarget(half_space(), accounts=pool, refuse=refuse)
    clean = InProcessTarget(half_space())
    result = run_procedure(procedure("square"), target, x, y, seed=1, variant="fresh-accounts", confirm_target=clean)
    assert all(outcome.queries > 1 for outcome in result.outcomes)
    assert set(served) == {"k0", "k1", "k2", "k3"}
