"""An attacker who waits: on a replay's clock, in this process, and on the real one within the wall time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.emulate.small_server import Web, small_server

from threatmatrix.emulate.ledger import QueryLedger
from threatmatrix.emulate.run import run_procedure
from threatmatrix.emulate.targets import InProcessFunction, OIPClient
from threatmatrix.emulate.variants import DELAY_SECONDS
from threatmatrix.knowledge import load_library
from threatmatrix.model.errors import BudgetExhausted, KillSwitchThrown
from threatmatrix.model.system import Scope

SCOPE = Scope(
    owner="Ada", hosts=("127.0.0.1",), models=("m",), techniques=("online-evasion",), max_queries=100, rps=1e6,
    expires=2**60,
)  # fmt: skip


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with small_server() as web:
        yield web


def client(web: Web, **conduct: Any) -> OIPClient:
    return OIPClient(web.renewed().url, "m", SCOPE, "online-evasion", input_shape=(2,), classes=2, **conduct)


def test_a_replays_clock_runs_while_nobody_waits(web: Web) -> None:
    now = [0.0]

    def let_pass(seconds: float) -> None:
        now[0] += seconds

    with client(web, pause=let_pass, clock=lambda: int(now[0] * 1e6)) as target:
        target.labels(np.zeros((1, 2)))
        target.pause(90.0)
        target.labels(np.zeros((1, 2)))
    assert [headers["x-event-time"] for _, headers, _ in web.seen] == ["0", "90000000"]


@pytest.mark.parametrize("own", [True, False])
def test_a_pause_longer_than_the_wall_time_is_not_begun(web: Web, own: bool) -> None:
    conduct: dict[str, Any] = {"seconds": 5.0} if own else {"ledger": QueryLedger(100, seconds=5.0)}
    with client(web, **conduct) as target, pytest.raises(BudgetExhausted, match="5 seconds of wall time"):
        target.pause(3600.0)


def test_the_kill_switch_ends_a_pause(web: Web, tmp_path: Path) -> None:
    with client(web, kill_switch=tmp_path / "STOP") as target:
        target.pause(0.0)
        (tmp_path / "STOP").touch()
        with pytest.raises(KillSwitchThrown):
            target.pause(3600.0)


def test_an_attack_that_waits_runs_in_this_process() -> None:
    seen: list[float] = []
    target = InProcessFunction(
        lambda rows: np.stack([1 - rows[:, 0], rows[:, 0]], axis=1), input_shape=(2,), classes=2, pause=seen.append
    )
    x, y = np.full((1, 2), 0.2), np.zeros(1, dtype=np.int64)
    result = run_procedure(
        load_library().procedure("simba"), target, x, y, seed=1, variant="adaptive-delay", confirm_target=target,
        max_queries=5,
    )  # fmt: skip
    assert result.outcomes[0].queries > 0
    assert set(seen) == {DELAY_SECONDS}
    assert target.paused == sum(seen)
