"""Two secrets that overlap: the log speaks of both until the time is up, and of the new one alone after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from threatmatrix.gateway import GatewayConfig
from threatmatrix.model.errors import UsageError
from threatmatrix.telemetry.readers import SOURCES, Where

from .conftest import SECRET, START, Bench, entry, image

NEW = b"the secret after the rotation, 3"
HOUR = 3_600_000_000
PREVIOUS = {"input_fp_prev", "input_vec_prev", "vec_key_prev"}


def test_a_row_has_the_fingerprints_of_both_secrets_until_the_overlap_ends(make_bench: Callable[..., Bench]) -> None:
    old = make_bench(input_range=(0.0, 1.0))
    both = make_bench(input_range=(0.0, 1.0), secret=NEW, previous_secret=SECRET, previous_until=START + HOUR)
    old.infer(image(rows=2))
    both.infer(image(rows=2))
    both.now = START + HOUR
    both.infer(image(rows=2))
    lines = both.log()
    for before, during, after in zip(old.log(), lines[:2], lines[2:], strict=True):
        assert [during[f"{name}_prev"] for name in ("input_fp", "input_vec", "vec_key")] == [
            before[name] for name in ("input_fp", "input_vec", "vec_key")
        ]
        assert {name: during[name] for name in ("input_fp", "input_vec", "vec_key")} == {
            name: after[name] for name in ("input_fp", "input_vec", "vec_key")
        }
        assert during["input_fp"] != before["input_fp"]
        assert not PREVIOUS & set(after)
        assert not PREVIOUS & set(before)
    event = SOURCES["gateway"].parse(lines[0], Where())[0]
    assert event.vec_key_prev == old.log()[0]["vec_key"]
    assert event.input_vec_prev is not None
    assert len(event.input_vec_prev) == 64


def test_a_refused_row_keeps_its_fingerprint_under_the_old_secret_too(make_bench: Callable[..., Bench]) -> None:
    old = make_bench()
    both = make_bench(secret=NEW, previous_secret=SECRET, previous_until=START + HOUR)
    for bench in (old, both):
        bench.publish(entry("block", principal="alice"))
        bench.infer(image())
    (before,), (during,) = old.log(), both.log()
    assert during["decision"] == "deny"
    assert during["input_fp_prev"] == before["input_fp"] != during["input_fp"]


def test_a_client_without_an_account_keeps_its_name_while_secrets_overlap(make_bench: Callable[..., Bench]) -> None:
    old = make_bench()
    both = make_bench(secret=NEW, previous_secret=SECRET, previous_until=START + HOUR)
    for bench in (old, both):
        bench.infer(image(), who="stranger")
    both.now = START + HOUR
    both.infer(image(), who="stranger")
    (name,) = {line["principal"] for line in old.log()}
    during, after = (line["principal"] for line in both.log())
    assert during == name != after


@pytest.mark.parametrize(
    "wrong",
    [
        {"previous_secret": b"short", "previous_until": 1},
        {"previous_secret": NEW, "previous_until": 1},
        {"previous_secret": SECRET},
        {"previous_until": 1},
    ],
)
def test_settings_of_the_overlap_that_cannot_work_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="previous_secret"):
        GatewayConfig(system="digits", log_path=tmp_path / "log", secret=NEW, **wrong)
