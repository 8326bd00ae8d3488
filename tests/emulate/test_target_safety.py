"""What no client may do, over real HTTP and whatever the protocol: leave the scope, the budget, the time, loopback."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.emulate.helpers import scope
from tests.emulate.target_kinds import X, ask, client_for

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.ledger import QueryLedger
from threatmatrix.emulate.targets import (
    HTTPClient,
    OIPClient,
)
from threatmatrix.model.errors import (
    BudgetExhausted,
    KillSwitchThrown,
    RunError,
    ScopeError,
    TargetError,
)


class TestEveryProtocol:
    @pytest.mark.parametrize(
        "change", [{"hosts": ("127.0.0.1:1",)}, {"models": ("other",)}, {"techniques": ("other",)}, {"expires": 1}]
    )
    def test_outside_the_scope_no_client_is_made(self, web, kind, change):
        with pytest.raises(ScopeError):
            client_for(kind, web.url, scope(**change))
        assert not web.seen

    def test_a_scope_that_expires_during_a_run_ends_it(self, web, kind):
        now = [0]
        with client_for(kind, web.url, scope(expires=10), now=lambda: now[0]) as client:
            ask(client, kind)
            now[0] = 10
            with pytest.raises(ScopeError, match="expired"):
                ask(client, kind)
            if kind != "template":
                with pytest.raises(ScopeError, match="expired"):
                    client.read_metadata()
        assert len(web.seen) == 1

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_followed_nowhere_not_even_within_the_scope(self, web, kind, status):
        web.say = lambda path, body: (status, {"location": f"{web.url}/elsewhere"}, b"")
        with client_for(kind, web.url) as client, pytest.raises(ScopeError, match="not followed"):
            ask(client, kind)
        assert len(web.seen) == 1

    def test_a_5xx_is_the_last_answer(self, web, kind):
        web.say = lambda path, body: (500, {}, b"broken")
        with client_for(kind, web.url) as client:
            for _ in range(2):
                with pytest.raises(TargetError, match="500: broken"):
                    ask(client, kind)
        assert len(web.seen) == 1

    def test_the_kill_switch_stops_it(self, web, kind, tmp_path: Path):
        switch = tmp_path / "STOP"
        with client_for(kind, web.url, kill_switch=switch) as client:
            ask(client, kind)
            switch.touch()
            with pytest.raises(KillSwitchThrown):
                ask(client, kind)
        assert len(web.seen) == 1

    def test_the_budget_is_hard(self, web, kind):
        ledger = QueryLedger(3)
        with client_for(kind, web.url, ledger=ledger) as one, client_for(kind, web.url, ledger=ledger) as other:
            for client in (one, other, one):
                ask(client, kind)
            for client in (one, other):
                with pytest.raises(BudgetExhausted, match="limit of 3"):
                    ask(client, kind)
        assert len(web.seen) == ledger.spent == 3

    def test_the_wall_time_is_hard_between_requests(self, web, kind):
        ledger = QueryLedger(100, seconds=60.0)
        with client_for(kind, web.url, ledger=ledger) as client:
            ask(client, kind)
            ledger.seconds = 0.0
            with pytest.raises(BudgetExhausted, match="0 seconds of wall time"):
                ask(client, kind)
        with client_for(kind, web.url, seconds=0.0) as client, pytest.raises(BudgetExhausted, match="wall time"):
            ask(client, kind)
        assert len(web.seen) == 1

    def test_who_it_was_is_said_in_every_request(self, web, kind):
        with client_for(kind, web.url, correlation="c0ffee") as client:
            ask(client, kind)
        assert web.seen[0][1]["user-agent"].endswith(" emulation/c0ffee")


class TestTime:
    def test_a_target_that_answers_byte_by_byte_gets_no_more_time(self, web):
        web.drip = 0.03
        with client_for("oip", web.url, timeout=0.15) as client, pytest.raises(TargetError, match="timed out"):
            client.labels(X)

    def test_a_request_under_way_ends_with_the_wall_time(self, web):
        web.drip = 0.03
        with client_for("oip", web.url, seconds=0.15) as client:
            with pytest.raises(TargetError, match="timed out"):
                client.labels(X)
            with pytest.raises(RunError):
                client.labels(X)
        assert len(web.seen) == 1

    def test_no_wait_for_the_rate_goes_beyond_it(self, web):
        with client_for("oip", web.url, scope(rps=0.01), ledger=QueryLedger(100, seconds=20.0)) as client:
            client.labels(X)
            with pytest.raises(BudgetExhausted, match="before the next request is due"):
                client.labels(X)  # in 100 seconds
        assert len(web.seen) == 1

    def test_a_procedures_own_rate_is_kept_where_it_is_lower(self, web):
        with client_for("oip", web.url, rps=0.01, seconds=20.0) as client:
            client.labels(X)
            with pytest.raises(BudgetExhausted, match="before the next request is due"):
                client.labels(X)
        assert len(web.seen) == 1

    def test_it_is_the_time_of_all_clients_of_one_ledger(self, web):
        ledger = QueryLedger(100, seconds=60.0)
        with client_for("oip", web.url, ledger=ledger) as one, client_for("oip", web.url, ledger=ledger) as other:
            one.labels(X)
            assert 0 < ledger.seconds_left < 60
            ledger.seconds = 0.0
            for client in (one, other):
                with pytest.raises(BudgetExhausted, match="wall time"):
                    client.labels(X)

    def test_what_takes_a_change_back_is_counted_apart_and_held_back_by_nothing(self, web):
        web.say = lambda path, body: (200, {}, b'{"forgotten": 2}')
        ledger = QueryLedger(1, seconds=0.0, spent=1)
        with OIPClient(
            web.url, "digits", scope(), "online-evasion", input_shape=(4,), classes=2, ledger=ledger,
            accounts=AccountPool(("a", "b", "a")),
        ) as client:  # fmt: skip
            assert client.forget() == 4
        assert (ledger.spent, ledger.taken_back) == (1, 2)
        assert [headers["x-api-key"] for _, headers, _ in web.seen] == ["a", "b"]

    def test_but_the_kill_switch_and_the_scope_do(self, web, tmp_path):
        (tmp_path / "STOP").touch()
        with client_for("oip", web.url, kill_switch=tmp_path / "STOP") as client, pytest.raises(KillSwitchThrown):
            client.forget()
        now = [0]
        with client_for("oip", web.url, scope(expires=5), now=lambda: now[0]) as client:
            now[0] = 6
            with pytest.raises(ScopeError):
                client.forget()
        assert not web.seen


def test_one_client_for_anything_else_over_http(web):
    web.say = lambda path, body: (404 if path == "/gone" else 200, {}, b"body")
    with HTTPClient(web.url, "digits", scope(), "online-evasion") as client:
        assert client.send("GET", "/gone", None, 1, expected=(404,)).status == 404
        assert client.send("GET", "/here", None, 2, key="mine").body == b"body"
        with pytest.raises(TargetError, match="404"):
            client.send("GET", "/gone", None, 1)
        assert client.queries == 4
        client.send("POST", "/here", b"a=b", 1, headers={"Content-Type": "text/plain"})
    assert web.seen[1][1]["x-api-key"] == "mine"
    assert web.seen[-1][1]["content-type"] == "text/plain"


@given(limit=st.integers(0, 30), asked=st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=20))
@settings(max_examples=50, deadline=None)
def test_a_ledger_never_goes_beyond_its_limit_and_counts_what_it_let_through(limit, asked):
    ledger, through = QueryLedger(limit, seconds=60.0), 0
    for rows, only_ask in asked:
        fits = through + rows <= limit
        with nullcontext() if fits else pytest.raises(BudgetExhausted):
            ledger.afford(rows) if only_ask else ledger.take(rows)
        through += rows if fits and not only_ask else 0
        assert (ledger.spent, ledger.left) == (through, limit - through)
