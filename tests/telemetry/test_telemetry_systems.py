"""systems.yaml applied to events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threatmatrix.model.event import Event
from threatmatrix.model.system import ModelEntry, PrincipalMapping, System, TelemetryEntry
from threatmatrix.telemetry.patterns import Pattern
from threatmatrix.telemetry.principals import Networks, Teller
from threatmatrix.telemetry.systems import Resolver, expected_sources, input_ranges

SYSTEMS = (
    System(
        name="sorting",
        owner="ops",
        criticality="high",
        models=(
            ModelEntry("labels", ("/v2/models/labels/*", "/sort"), (0.0, 255.0)),
            ModelEntry("labels-beta", ("/v2/models/labels/versions/9/*",)),
            ModelEntry("shared"),
        ),
        telemetry=(TelemetryEntry("nginx", "a"), TelemetryEntry("kserve", "b")),
        principal=PrincipalMapping(names=(("key_b2", "north depot"),)),
    ),
    System(
        name="desk",
        owner="it",
        criticality="low",
        models=(ModelEntry("chat", ("/desk/*/chat",)), ModelEntry("shared")),
        telemetry=(TelemetryEntry("litellm", "c"),),
        principal=PrincipalMapping(("src_ip",), names=(("192.0.2.9", "front desk"),)),
    ),
)
BY_HOST = (
    System(
        name="a",
        owner="o",
        criticality="low",
        models=(ModelEntry("m", ("/v1/chat/completions",)), ModelEntry("n", ("/v1/chat/completions",))),
        hosts=("a.example", "*.a.svc"),
    ),
    System(
        name="b",
        owner="o",
        criticality="low",
        models=(ModelEntry("m", ("/v1/chat/completions",)),),
        hosts=("*.example",),
    ),
)


def event(**fields: object) -> Event:
    return Event(**{"event_id": "1", "time": 1, "source": "nginx", "category": "inference", **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("endpoint", "model", "found"),
    [
        ("/v2/models/labels/infer", None, ("sorting", "labels")),
        ("/v2/models/labels/versions/9/infer", None, ("sorting", "labels-beta")),
        ("/sort", None, ("sorting", "labels")),
        ("/sorting", None, (None, None)),
        ("/desk/7/chat", None, ("desk", "chat")),
        ("/elsewhere", "chat", ("desk", "chat")),
        (None, "labels", ("sorting", "labels")),
        (None, "shared", (None, "shared")),
        (None, "unknown", (None, "unknown")),
    ],
)
def test_places(endpoint: str | None, model: str | None, found: tuple[str | None, str | None]) -> None:
    resolved = Resolver(SYSTEMS).resolve(event(endpoint=endpoint, model=model))
    assert (resolved.system, resolved.model) == found


@pytest.mark.parametrize(
    ("host", "endpoint", "model", "found"),
    [
        ("a.example", "/v1/chat/completions", None, ("a", None)),  # two of its models share the path
        ("a.example", "/v1/chat/completions", "n", ("a", "n")),
        ("B.example.", "/v1/chat/completions", None, ("b", "m")),
        ("b.example:8080", None, "m", ("b", "m")),
        ("x.a.svc", "/elsewhere", "unknown", ("a", "unknown")),
        ("elsewhere", None, "n", ("a", "n")),
        ("elsewhere", "/v1/chat/completions", "n", ("a", "n")),
        ("elsewhere", None, "m", (None, "m")),
        ("elsewhere", None, None, (None, None)),
        ("[::1]:80", None, None, (None, None)),
        (":", None, None, (None, None)),
    ],
)
def test_hosts_narrow_the_choice(
    host: str, endpoint: str | None, model: str | None, found: tuple[str | None, str | None]
) -> None:
    resolver = Resolver(BY_HOST)
    resolved = resolver.resolve(event(host=host, endpoint=endpoint, model=model))
    assert (resolved.system, resolved.model) == found
    assert resolver.place_many([(None, model, host, endpoint)]) == [found]


def test_what_the_log_says_stays() -> None:
    mine = event(system="other", model="m", endpoint="/sort", principal="key_b2")
    assert Resolver(SYSTEMS).resolve(mine) is mine
    assert Resolver(SYSTEMS).resolve(event(system="sorting", endpoint="/sort")).model == "labels"
    assert Resolver(SYSTEMS).resolve(event(system="desk", endpoint="/sort")).model is None


def test_a_principal_keeps_the_identity_that_the_gateway_enforces() -> None:
    resolver = Resolver(SYSTEMS)
    resolve = resolver.resolve
    assert resolve(event(endpoint="/sort", principal="key_b2")).principal == "key_b2"
    assert resolve(event(endpoint="/desk/1/chat", principal="k", src_ip="192.0.2.9")).principal == "k"
    assert resolve(event(endpoint="/desk/1/chat", src_ip="192.0.2.9")).principal == "192.0.2.9"
    assert resolve(event(endpoint="/desk/1/chat")).principal is None
    assert resolve(event(endpoint="/sort", src_ip="192.0.2.9")).principal is None
    assert dict(resolver.names) == {"key_b2": "north depot", "192.0.2.9": "front desk"}


@pytest.mark.parametrize(
    ("tell_by", "fields", "who"),
    [
        (("principal",), {"key_id": "k"}, None),
        (("principal", "key_id"), {"key_id": "k", "session": "s"}, "k"),
        (("key_id", "principal"), {"principal": "p", "key_id": "k"}, "k"),
        (("key_id", "principal"), {"principal": "p"}, "p"),
        (("session", "src_ip"), {"principal": "p", "session": "s"}, "p"),  # what the log says stays
        (("session", "src_ip"), {"session": "s", "src_ip": "10.1.2.3"}, "s"),
        (("src_ip", "session"), {"session": "s", "src_ip": "10.1.2.3"}, "office"),
        (("src_ip",), {"src_ip": "10.99.0.1"}, "lab"),  # the longest prefix wins
        (("src_ip",), {"src_ip": "198.51.100.3"}, "198.51.100.3"),
        (("principal",), {"src_ip": "10.1.2.3"}, "office"),
        (("principal",), {"src_ip": "198.51.100.3"}, None),
        (("principal",), {"src_ip": "::ffff:10.1.2.3"}, "office"),
        (("principal",), {"src_ip": "2001:db8::7"}, "branch"),
        (("principal",), {"src_ip": "not an address"}, None),
        (("principal",), {}, None),
    ],
)
def test_who_asked(tell_by: tuple[str, ...], fields: dict[str, str], who: str | None) -> None:
    networks = (("10.0.0.0/8", "office"), ("10.99.0.0/16", "lab"), ("2001:db8::/32", "branch"))
    mapping = PrincipalMapping(tell_by, addresses=networks)  # type: ignore[arg-type]
    resolver = Resolver([System(name="s", owner="o", criticality="low", models=(), principal=mapping)])
    assert resolver.resolve(event(system="s", model="m", **fields)).principal == who
    names = ("principal", "key_id", "session", "src_ip")
    assert resolver.tell_many([("s", *(fields.get(name) for name in names))]) == [who]  # type: ignore[list-item]
    assert set(fields) >= {who and name for name in resolver.told_by("s") if fields.get(name) == who} - {None}


def test_many_at_once_is_the_same_as_one_by_one() -> None:
    resolver = Resolver(SYSTEMS)
    rows = [
        (system, model, None, endpoint)
        for system in (None, "desk", "other")
        for model in (None, "chat", "shared")
        for endpoint in (None, "/sort", "/desk/1/chat")
    ]
    resolved = [resolver.resolve(event(system=s, model=m, host=h, endpoint=e)) for s, m, h, e in rows]
    assert resolver.place_many(rows) == [(one.system, one.model) for one in resolved]
    assert resolver.told_by(None) == resolver.told_by("unknown") == resolver.told_by("sorting") == ("principal",)
    assert resolver.told_by("desk") == ("principal", "src_ip")
    assert resolver.tell_many([(None, "p", None, None, "192.0.2.1"), ("desk", None, None, None, "192.0.2.1")]) == [
        "p", "192.0.2.1",
    ]  # fmt: skip


def test_what_others_need_of_the_systems() -> None:
    assert input_ranges(SYSTEMS) == {"labels": (0.0, 255.0)}
    assert expected_sources(SYSTEMS) == {
        "sorting": {"nginx", "kserve"}, "desk": {"litellm"}, None: {"nginx", "kserve"},
    }  # fmt: skip
    assert expected_sources(SYSTEMS[1:])[None] == frozenset()
    assert expected_sources([]) == {None: frozenset()}


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("/a*b", "/ab", True),
        ("/a*a", "/a", False),  # the same letter cannot be start and end
        ("/a**c", "/abc", True),
        ("/a*b*c", "/acb", False),
        ("/a*bb*b", "/abb", False),
        ("/a*bb*b", "/abbb", True),
        ("*", "/anything/at/all", True),
        ("/a.c", "/abc", False),
    ],
)
def test_wildcards(pattern: str, path: str, fits: bool) -> None:
    system = System(name="s", owner="o", criticality="low", models=(ModelEntry("m", (pattern,)),))
    assert Resolver([system]).resolve(event(endpoint=path)).system == ("s" if fits else None)


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_a_pattern_fits_what_the_plain_definition_fits(pattern: str, text: str) -> None:
    def plain(pattern: str, text: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "*":
            return any(plain(pattern[1:], text[at:]) for at in range(len(text) + 1))
        return text[:1] == pattern[0] and plain(pattern[1:], text[1:])

    assert Pattern(pattern).fits(text) is plain(pattern, text)


def test_a_hostile_path_is_walked_once() -> None:
    """A regular expression would need 10^60 steps here."""
    system = System(name="s", owner="o", criticality="low", models=(ModelEntry("m", ("/" + "a*" * 20 + "b",)),))
    assert Resolver([system]).resolve(event(endpoint="/" + "a" * 100_000)).system is None


def test_invented_paths_hosts_and_addresses_do_not_pile_up() -> None:
    resolver = Resolver(BY_HOST)
    networks = Networks([("10.0.0.0/8", "office")])
    for number in range(9000):
        resolver.resolve(event(host=f"h{number}", endpoint=f"/{number}"))
        networks.find(f"10.0.{number >> 8}.{number & 255}")
    assert resolver._place.cache_info().currsize == resolver._systems_at.cache_info().currsize == 8192
    assert networks.find.cache_info().currsize == 8192
    assert not Networks([])
    assert Teller(PrincipalMapping()).keeps_principal
