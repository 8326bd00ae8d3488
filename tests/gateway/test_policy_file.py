"""Loading the policy: hostile content, and what stays in force when it breaks."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threatmatrix.gateway.policy import PolicyFile, load_snapshot, parse_snapshot
from threatmatrix.model.errors import FormatError, InputError
from threatmatrix.model.response import PolicyEntry, PolicySnapshot

from .conftest import START, Bench, entry, image

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = [*entry("block"), "surprise"]


def publish(path: Path, version: int, *entries: dict[str, Any]) -> None:
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps({"version": version, "published_at": START, "entries": entries}))
    draft.rename(path)


def test_a_published_snapshot_reads_back_the_same(tmp_path: Path) -> None:
    entries = tuple(
        PolicyEntry(**entry(kind, kind, params=params))
        for kind, params in {
            "block": {},
            "query_budget": {"queries": 5, "window_seconds": 1.5},
            "input_noise": {"sigma": 0.1},
            "round_scores": {"decimals": 2},
            "top1": {},
        }.items()
    )
    snapshot = PolicySnapshot(3, START, entries)
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(asdict(snapshot)))
    assert load_snapshot(path) == snapshot
    assert load_snapshot(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"kind": "blok"}, "kind"),
        ({"kind": ["block"]}, "kind"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": True}, "expires_at"),
        ({"entry_id": ""}, "entry_id"),
        ({"principal": 7}, "principal"),
        ({"params": []}, "params"),
        ({"kind": "query_budget", "params": {"queries": 1.5, "window_seconds": 1}}, "params.queries"),
        ({"kind": "query_budget", "params": {"queries": 1, "window_seconds": 0}}, "params.window_seconds"),
        ({"kind": "input_noise", "params": {"sigma": float("nan")}}, "params.sigma"),
        ({"kind": "input_noise", "params": {"sigma": -0.1}}, "params.sigma"),
        ({"kind": "round_scores", "params": {"decimals": 16}}, "params.decimals"),
    ],
)
def test_an_error_names_the_file_and_the_key(change: dict[str, Any], key: str) -> None:
    text = json.dumps({"version": 1, "published_at": 0, "entries": [entry("top1"), {**entry("block"), **change}]})
    with pytest.raises(FormatError) as caught:
        parse_snapshot(text.encode(), "policy.json")
    assert caught.value.key == f"entries[1].{key}"
    assert str(caught.value).startswith("policy.json: ")


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_text_is_a_snapshot_or_a_format_error(text: bytes) -> None:
    with contextlib.suppress(FormatError):
        parse_snapshot(text)


@given(
    st.sampled_from([*entry("block")]), st.sampled_from(["block", "query_budget", "input_noise", "round_scores"]), JSON
)
def test_any_value_of_any_field_is_taken_or_named(field: str, kind: str, value: Any) -> None:
    text = json.dumps({"version": 1, "published_at": 0, "entries": [{**entry(kind), field: value}]})
    try:
        snapshot = parse_snapshot(text.encode())
    except FormatError as error:
        found = error.key
    else:
        assert repr(getattr(snapshot.entries[0], field)) == repr(value)  # repr: NaN is not equal to itself
        found = "entries[0]"
    assert found.startswith("entries[0]")


def test_nested_beyond_reason_is_a_format_error() -> None:
    with pytest.raises(FormatError):
        parse_snapshot(b"[" * 200_000)


def test_a_directory_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        load_snapshot(tmp_path)


def test_a_broken_file_keeps_the_last_good_policy_and_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    watched = PolicyFile(path)
    assert watched.current().version == 0
    publish(path, 4, entry("block", principal="a"))
    assert watched.current().blocked_by("a", None, START) == "p1"
    path.write_text("{")
    for _ in range(3):
        assert watched.current().blocked_by("a", None, START) == "p1"
    assert watched.errors == 1
    publish(path, 5)
    assert watched.current().blocked_by("a", None, START) is None
    assert watched.errors == 1


def test_an_older_version_does_not_replace_a_newer_one(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    watched = PolicyFile(path)
    publish(path, 5, entry("block"))
    assert watched.current().version == 5
    publish(path, 4)
    assert watched.current().version == 5
    assert watched.errors == 1
    path.unlink()
    assert watched.current().version == 0  # removed on purpose: no policy, and a new store may begin at 1
    publish(path, 1)
    assert watched.current().version == 1


def test_polling_looks_only_as_often_as_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    publish(path, 1)
    lazy, eager = PolicyFile(path, 3600), PolicyFile(path, 0)
    assert lazy.current().version == eager.current().version == 1
    publish(path, 2)
    assert (lazy.current().version, eager.current().version) == (1, 2)


def test_every_change_is_seen_at_the_next_request(bench: Bench) -> None:
    for turn in range(20):
        bench.publish(*([entry("block")] if turn % 2 else []))
        assert bench.infer(image()).status_code == (403 if turn % 2 else 200)
    assert bench.gateway.stats.policy_errors == 0
    bench.policy_path.write_bytes(os.urandom(50))
    assert bench.infer(image()).status_code == 403
    assert bench.gateway.stats.policy_errors == 1
