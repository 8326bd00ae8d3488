"""The client against real small HTTP servers on loopback."""

from __future__ import annotations

import json
import pickle
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from tests.emulate.helpers import scope
from tests.emulate.small_server import Web, good

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.ledger import QueryLedger
from threatmatrix.emulate.scope import check
from threatmatrix.emulate.targets import OIPClient
from threatmatrix.model.errors import (
    BudgetExhausted,
    KillSwitchThrown,
    ScopeError,
    TargetError,
    TargetRefused,
)


@contextmanager
def client_of(web: Web, **kwargs) -> Iterator[OIPClient]:
    signed = kwargs.pop("scope", scope())
    technique = kwargs.pop("technique", "online-evasion")
    with OIPClient(web.url, "digits", signed, technique, input_shape=(4,), classes=2, **kwargs) as client:
        yield client


X = np.linspace(0, 1, 8).reshape(2, 4)


def test_it_speaks_the_protocol_and_counts_rows(web):
    with client_of(web, clock=lambda: 1234, accounts=AccountPool(("secret",)), correlation="c0ffee") as client:
        assert client.labels(X).tolist() == [1, 1]
        web.say = lambda path, body: (200, {}, good(2, scores=True))
        assert client.scores(X).tolist() == [[0.25, 0.75]] * 2
        assert client.queries == 4 == web.rows
    path, headers, body = web.seen[0]
    assert path == "/v2/models/digits/infer"
    assert headers["user-agent"].startswith("python-requests/2.32 threatmatrix/")
    assert headers["user-agent"].endswith(" emulation/c0ffee")
    assert headers["x-event-time"] == "1234"
    assert headers["x-api-key"] == "secret"
    assert body["inputs"][0] == {"name": "input", "shape": [2, 4], "datatype": "FP64", "data": X.ravel().tolist()}
    assert body["outputs"] == [{"name": "label"}]


def test_without_scores_there_are_none_and_without_labels_the_scores_decide(web):
    with client_of(web) as client:
        assert client.scores(X) is None
        only = {"outputs": [{"name": "scores", "data": [[0.9, 0.1], [0.2, 0.8]]}]}
        web.say = lambda path, body: (200, {}, json.dumps(only).encode())
        assert client.labels(X).tolist() == [0, 1]


def test_no_clock_and_no_account_means_no_header(web):
    with client_of(web) as client:
        client.labels(X)
    assert not {"x-event-time", "x-api-key"} & set(web.seen[0][1])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"hosts": ("10.0.0.1",)}, "hosts"),
        ({"hosts": ("127.0.0.1:1",)}, "hosts"),
        ({"models": ("other",)}, "models"),
        ({"techniques": ("denial-of-service",)}, "techniques"),
        ({"expires": 1}, "expired on 1970-01-01"),
    ],
)
def test_outside_the_scope_nothing_is_sent(web, change, word):
    with pytest.raises(ScopeError, match=f"scope.yaml: {word}"), client_of(web, scope=scope(**change)):
        pass
    assert not web.seen


def test_the_scope_expires_during_a_run(web):
    now = [0]
    with client_of(web, scope=scope(expires=10), now=lambda: now[0]) as client:
        client.labels(X)
        now[0] = 10
        with pytest.raises(ScopeError, match="expired"):
            client.labels(X)
    assert web.rows == 2


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1:80", "http://", "http://user@127.0.0.1"])
def test_an_address_that_is_none(url):
    with pytest.raises(ScopeError, match="is no target"):
        OIPClient(url, "digits", scope(), "online-evasion", input_shape=(4,), classes=2)


def test_scope_hosts():
    def allowed(host, entry, **kwargs):
        try:
            check(scope(hosts=(entry,), **kwargs), host, "digits", "online-evasion", 0)
        except ScopeError:
            return False
        return True

    assert allowed("127.0.0.1:8000", "127.0.0.1")
    assert allowed("127.0.0.1:8000", "127.0.0.1:8000")
    assert allowed("LOCALHOST:1", "localhost")
    assert allowed("[::1]:80", "::1")
    assert not allowed("127.0.0.1:8001", "127.0.0.1:8000")
    assert not allowed("example.org", "example.org")
    assert allowed("example.org", "example.org", allow_remote=True)
    assert not allowed("127.0.0.1.example.org", "127.0.0.1", allow_remote=True)


def test_the_budget_is_hard_and_nothing_is_sent_beyond_it(web):
    ledger = QueryLedger(5)
    hooks: list[int] = []
    with client_of(web, ledger=ledger, before_request=hooks.append) as first, client_of(web, ledger=ledger) as second:
        first.labels(X)
        second.labels(X)
        with pytest.raises(BudgetExhausted, match="limit of 5"):
            first.labels(X)
        first.labels(X[:1])
    assert web.rows == ledger.spent == 5
    assert hooks == [2, 1]
    with client_of(web, scope=scope(max_queries=1)) as client, pytest.raises(BudgetExhausted):
        client.labels(X)
    with client_of(web, max_queries=3) as client:
        client.labels(X)
        with pytest.raises(BudgetExhausted):
            client.labels(X)


def test_after_a_5xx_nothing_more_is_sent(web):
    web.say = lambda path, body: (503, {}, b"overloaded")
    with client_of(web) as client:
        for _ in range(3):
            with pytest.raises(TargetError, match="503: overloaded"):
                client.labels(X)
    assert len(web.seen) == 1


@pytest.mark.parametrize("status", [401, 403, 429])
def test_a_refusal_is_counted_and_named(web, status):
    web.say = lambda path, body: (status, {}, b'{"error": "no"}')
    done: list[int] = []
    with client_of(web, after_request=done.append) as client:
        with pytest.raises(TargetRefused) as refused:
            client.labels(X)
        assert refused.value.status == status
        assert client.queries == 2
    assert done == [2]


def test_redirects_are_not_followed(web):
    web.say = lambda path, body: (307, {"location": "http://203.0.113.9/"}, b"")
    with client_of(web) as client, pytest.raises(ScopeError, match=r"203\.0\.113\.9"):
        client.labels(X)
    assert len(web.seen) == 1


def test_other_statuses_are_errors_too(web):
    web.say = lambda path, body: (404, {}, b"no such model")
    with client_of(web) as client, pytest.raises(TargetError, match="404: no such model"):
        client.labels(X)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"<html>", b"[]", b"{}", b'{"outputs": 3}', b'{"outputs": [{"name": "label", "data": [1]}]}',
        b'{"outputs": [{"name": "label", "data": [1, 7]}]}', b'{"outputs": [{"name": "label", "data": ["a", null]}]}',
        b'{"outputs": [{"name": "scores", "data": [NaN, 1, 1, 1]}]}', b"[" * 100_000,
        b'{"outputs": [{"name": "label", "data": [99999999999999999999999, 1]}]}',
    ],
)  # fmt: skip
def test_an_answer_that_is_none(web, content):
    web.say = lambda path, body: (200, {}, content)
    with client_of(web) as client, pytest.raises(TargetError, match="not that of the Open Inference Protocol"):
        client.labels(X)


def test_a_slow_target_is_given_up(web):
    web.say = lambda path, body: (time.sleep(0.4), (200, {}, good(2)))[1]
    with client_of(web, timeout=0.1) as client, pytest.raises(TargetError, match="timed out"):
        client.labels(X)


def test_nobody_listens():
    with (
        OIPClient("http://127.0.0.1:9", "digits", scope(), "online-evasion", input_shape=(4,), classes=2) as client,
        pytest.raises(TargetError, match="Is it running"),
    ):
        client.labels(X)
    assert client.queries == 0


def test_a_connection_closed_between_requests_is_opened_again(web):
    web.close_after = True
    with client_of(web) as client:
        for _ in range(3):
            client.labels(X)
            time.sleep(0.02)
        assert client.queries >= web.rows == 6


def test_the_kill_switch(web, tmp_path):
    switch = tmp_path / "stop"
    with client_of(web, kill_switch=switch) as client:
        client.labels(X)
        switch.touch()
        with pytest.raises(KillSwitchThrown, match="stop exists"):
            client.labels(X)
    assert web.rows == 2


def test_the_rate_is_kept(web):
    with client_of(web, scope=scope(rps=50)) as client:
        started = time.monotonic()
        for _ in range(6):
            client.labels(X)
        assert time.monotonic() - started >= 5 / 50


def test_the_rate_is_that_of_all_clients_of_one_ledger(web):
    ledger = QueryLedger(100)
    signed = scope(rps=50)
    started = time.monotonic()
    with client_of(web, scope=signed, ledger=ledger) as first, client_of(web, scope=signed, ledger=ledger) as second:
        for client in (first, second) * 3:
            client.labels(X)
    for _ in range(3):
        with client_of(web, scope=signed, ledger=ledger) as fresh:
            fresh.labels(X)
    assert time.monotonic() - started >= 8 / 50
    assert ledger.rps == 50


def test_the_lower_of_two_rates_holds(web):
    for rps, expected in ((None, 50), (20, 20), (500, 50)):
        ledger = QueryLedger(100, rps=rps)
        with client_of(web, scope=scope(rps=50), ledger=ledger):
            assert ledger.rps == expected


def test_threads_share_the_rate():
    ledger = QueryLedger(100, rps=100)
    started = time.monotonic()
    threads = [threading.Thread(target=lambda: [ledger.wait() for _ in range(5)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started >= 19 / 100


def test_a_ledger_can_go_to_another_process():
    assert pickle.loads(pickle.dumps(QueryLedger(7, rps=3))) == QueryLedger(7, rps=3)


def test_the_kill_switch_is_looked_at_after_the_wait_for_the_rate(web, tmp_path):
    switch = tmp_path / "stop"
    with client_of(web, scope=scope(rps=5), kill_switch=switch, before_request=lambda n: switch.touch()) as client:
        client.labels(X)
        switch.unlink()
        with pytest.raises(KillSwitchThrown):
            client.labels(X)
    assert web.rows == 2


def test_hooks_surround_each_request(web):
    seen: list[str] = []
    with client_of(
        web, before_request=lambda n: seen.append(f"before {n}"), after_request=lambda n: seen.append(f"after {n}")
    ) as client:
        client.labels(X)
        client.labels(X[:1])
    assert seen == ["before 2", "after 2", "before 1", "after 1"]


def test_metadata_reads_count(web):
    web.say = lambda path, body: (200, {}, json.dumps({"name": path}).encode())
    with client_of(web) as client:
        found = client.read_metadata()
        assert client.queries == 3
    assert list(found) == ["/v2", "/v2/models/digits", "/v2/models/digits/ready"]
    assert [path for path, _, _ in web.seen] == list(found)


def test_accounts_rotate_over_requests(web):
    pool = AccountPool(("a", "b"), round_robin=True)
    with client_of(web, accounts=pool) as client:
        for _ in range(4):
            client.labels(X)
    assert [headers["x-api-key"] for _, headers, _ in web.seen] == ["b", "a", "b", "a"]
