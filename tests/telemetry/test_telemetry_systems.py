"""systems.yaml applied to events."""

from __future__ import annotations

import time

import pytest

from threatmatrix.model.event import Event
from threatmatrix.model.system import ModelEntry, PrincipalMapping, System
from threatmatrix.telemetry.systems import Resolver

SYSTEMS = (
    System(
        name="sorting",
        owner="ops",
        criticality="high",
        models=(
            ModelEntry("labels", ("/v2/models/labels/*", "/sort")),
            ModelEntry("labels-beta", ("/v2/models/labels/versions/9/*",)),
            ModelEntry("shared", ()),
        ),
        principal=PrincipalMapping("principal", (("key_b2", "north depot"),)),
    ),
    System(
        name="desk",
        owner="it",
        criticality="low",
        models=(ModelEntry("chat", ("/desk/*/chat",)), ModelEntry("shared", ())),
        principal=PrincipalMapping("src_ip", (("192.0.2.9", "front desk"),)),
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


def test_many_wildcards_and_a_hostile_path_take_no_time() -> None:
    system = System(name="s", owner="o", criticality="low", models=(ModelEntry("m", ("/" + "a*" * 20 + "b",)),))
    started = time.perf_counter()
    assert Resolver([system]).resolve(event(endpoint="/" + "a" * 100_000)).system is None
    assert time.perf_counter() - started < 1
