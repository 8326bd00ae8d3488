"""Hostile answers, names that are elsewhere, secrets: what no target can make a client do or say."""

from __future__ import annotations

import json
import socket

import pytest
from tests.emulate.helpers import scope
from tests.emulate.target_kinds import ANSWERS, FORM, X, ask, client_for

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.target import texts
from threatmatrix.emulate.targets import (
    ModelForm,
    TemplateClient,
    TemplateSpec,
    connect,
    parse_target,
)
from threatmatrix.model.errors import (
    ScopeError,
    TargetError,
    TargetRefused,
    ThreatmatrixError,
    UsageError,
)


class TestHostile:
    def test_an_answer_without_end_is_given_up(self, web, monkeypatch):
        monkeypatch.setattr("threatmatrix.emulate.targets.connection.MAX_ANSWER", 10)
        with client_for("oip", web.url) as client, pytest.raises(TargetError, match="longer than 10 bytes"):
            client.labels(X)

    def test_an_answer_that_breaks_off_is_none(self, web):
        web.say = lambda path, body: (200, {"content-length": "99"}, b"{}")
        web.close_after = True
        with client_for("oip", web.url) as client, pytest.raises(TargetError, match="IncompleteRead"):
            client.labels(X)

    @pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe", b"1e999", b'{"predictions": [1e999]}'])
    def test_json_that_is_none(self, web, kind, content):
        web.say = lambda path, body: (200, {}, content)
        with client_for(kind, web.url) as client, pytest.raises(TargetError, match="not that of"):
            ask(client, kind)


class TestLoopback:
    def elsewhere(self, monkeypatch, *addresses: str) -> list[str]:
        """The resolver says so; nothing else is changed. What is looked up is listed."""
        asked: list[str] = []
        real = socket.getaddrinfo

        def resolver(host, port, *args, **kwargs):
            asked.append(host)
            found = [real(address, port, *args, **kwargs)[0] for address in addresses]
            return found if host == "localhost" else real(host, port, *args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", resolver)
        return asked

    def connecting(self, monkeypatch) -> list[object]:
        went: list[object] = []
        real = socket.socket.connect

        def connect(self, address):
            went.append(address)
            return real(self, address)

        monkeypatch.setattr(socket.socket, "connect", connect)
        return went

    @pytest.mark.parametrize("addresses", [("203.0.113.9",), ("127.0.0.1", "203.0.113.9"), ("0.0.0.0",)])
    def test_a_name_that_is_elsewhere_is_not_even_connected_to(self, monkeypatch, addresses):
        asked, went = self.elsewhere(monkeypatch, *addresses), self.connecting(monkeypatch)
        client = client_for("oip", "http://localhost:9", scope(hosts=("localhost",)))
        with (
            client,
            pytest.raises(ScopeError, match=r"localhost is (203\.0\.113\.9|0\.0\.0\.0), which is not loopback"),
        ):
            client.labels(X)
        assert asked == ["localhost"]
        assert went == []
        assert client.queries == 0

    @pytest.mark.parametrize(
        "host",
        ["example.org", "localhost.example.org", "127.0.0.1.example.org", "0.0.0.0", "10.0.0.1", "2130706433", "[::]"],
    )
    def test_what_is_not_loopback_by_name_is_refused_though_it_is_listed(self, host):
        listed = scope(hosts=(host, host.strip("[]")))
        with pytest.raises(ScopeError, match="not loopback"):
            client_for("oip", f"http://{host}:80", listed)

    def test_the_protocols_own_port_is_meant_where_none_is_written(self):
        client_for("oip", "http://127.0.0.1", scope(hosts=("127.0.0.1:80",)))
        with pytest.raises(ScopeError, match="hosts"):
            client_for("oip", "http://127.0.0.1", scope(hosts=("127.0.0.1:8080",)))
        with pytest.raises(ScopeError, match="hosts"):
            client_for("oip", "https://127.0.0.1", scope(hosts=("127.0.0.1:80",)))

    def test_a_proxy_of_the_environment_is_not_used(self, monkeypatch, web):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://203.0.113.9:3128")
        with client_for("oip", web.url) as client:
            client.labels(X)
        assert len(web.seen) == 1


class TestSecrets:
    KEY = "s3cr3t-key-of-the-red-team"

    @pytest.mark.parametrize(
        ("status", "error"),
        [(403, TargetRefused), (500, TargetError), (404, TargetError), (302, ScopeError), (200, TargetError)],
    )
    def test_an_error_does_not_repeat_them_whatever_the_target_says(self, web, status, error):
        says = f"you sent {self.KEY}".encode()
        web.say = lambda path, body: (status, {"location": f"/?key={self.KEY}"}, says)
        spec = TemplateSpec(
            url=f"{web.url}/x", model="digits", form=FORM, body={"x": "{{row}}"}, label_at="/label",
            headers=(("x-key", self.KEY),), secrets=(self.KEY,),
        )  # fmt: skip
        assert self.KEY not in repr(spec)
        with TemplateClient(spec, scope(), "online-evasion") as client, pytest.raises(error) as raised:
            client.labels(X)
        assert self.KEY not in str(raised.value)
        with (
            client_for("oip", web.url, accounts=AccountPool((self.KEY,))) as other,
            pytest.raises(ThreatmatrixError) as raised,
        ):
            other.labels(X)
        assert self.KEY not in str(raised.value)
        assert web.seen[0][1]["x-key"] == web.seen[1][1]["x-api-key"] == self.KEY

    def test_a_word_that_is_none_of_the_classes_is_not_either(self, web):
        web.say = lambda path, body: (200, {}, json.dumps({"predictions": [self.KEY]}).encode())
        form = ModelForm(input_shape=(4,), classes=2, class_names=("a", "b"))
        spec = parse_target(f"tf:{web.url}/v1/models/digits")
        with (
            connect(spec, scope(), "online-evasion", form=form, accounts=AccountPool((self.KEY,))) as client,
            pytest.raises(TargetError, match="none of the classes") as raised,
        ):
            client.labels(X)
        assert self.KEY not in str(raised.value)

    def test_a_key_cannot_break_out_of_its_header(self, web):
        for key in ("a\r\nhost: 203.0.113.9", "a\x00", "schlüssel"):
            with (
                client_for("oip", web.url, accounts=AccountPool((key,))) as client,
                pytest.raises(UsageError, match="x-api-key") as raised,
            ):
                client.labels(X)
            assert key not in str(raised.value)
        assert not web.seen

    def test_a_key_for_authorization_goes_as_a_bearers(self, web):
        web.say = lambda path, body: (200, {}, ANSWERS["chat"])
        for key, header in (("abc", "Bearer abc"), ("Basic abc", "Basic abc")):
            with client_for("chat", web.url, accounts=AccountPool((key,))) as client:
                client.ask(texts(["hi"]))
            assert web.seen[-1][1]["authorization"] == header
