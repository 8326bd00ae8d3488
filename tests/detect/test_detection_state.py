"""Snapshots of a session: the same findings as without the break, in any process; and nothing foreign is read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detect.frozen import freeze, thaw
from tests.detect.monitors.samples import SCALE
from tests.detect.sigma.rule_makers import SECOND, START, compiled, count, selection

from threatmatrix.detect import repeats
from threatmatrix.detect.engines.counting import episodes, groups, matches
from threatmatrix.detect.engines.duckdb import RuleEngine
from threatmatrix.detect.monitors import NearDuplicateMonitor
from threatmatrix.detect.session import Session
from threatmatrix.model.detection import Calibration, Finding
from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import Event

BASE = {**selection(**{"user_agent|startswith": "python"}), "name": "base"}
PLAIN = {**selection(**{"user_agent|startswith": "curl"}), "title": "Curl"}
CALIBRATION = Calibration(
    monitor="near-duplicate-clusters",
    model="digits",
    vec_key="k1",
    threshold=0.5,
    quantile=0.001,
    inputs=700,
    distinct=600,
    created=1,
)


def session(
    *, minimum: int = 4, alarm_at: int = 4, window: float = 60, calibration: Calibration = CALIBRATION
) -> Session:
    rules = compiled(BASE, PLAIN, count(minimum, "10s"))
    monitor = NearDuplicateMonitor(
        calibrations=[calibration], alarm_at=alarm_at, window_seconds=60, max_entries=120, max_states=3
    )
    return Session(RuleEngine(rules, lateness=20 * SECOND), [monitor])


def stream(seed: int, n: int) -> list[Event]:
    """Bursts, clusters that merge, retries, records that come twice, times that lag and leap."""
    rng = np.random.default_rng(seed)
    centres = 0.5 + rng.normal(0, 0.06, (3, 64))
    kind = rng.integers(0, 5, n)
    inputs = np.where(kind[:, None] < 3, centres[kind % 3] + rng.normal(0, 0.03, (n, 64)), rng.random((n, 64)))
    steps = np.clip(np.rint(inputs / SCALE), -127, 127).astype(np.int8)
    at = np.cumsum(rng.integers(0, 3, n)) - rng.integers(0, 15, n) * (rng.random(n) < 0.2)
    at += rng.choice([0, 10**8, -(10**6)], n, p=[0.98, 0.01, 0.01])
    events = [
        Event(
            event_id=f"e{i}",
            time=START + int(at[i]) * SECOND,
            source="gateway",
            category="inference",
            principal=(None, "a", "b", "ç\0d")[rng.integers(0, 4)],
            tenant=(None, "t")[rng.integers(0, 2)],
            user_agent=("python/3", "curl/8", None)[rng.integers(0, 3)],
            model="digits",
            system="shop",
            input_fp=f"{i:032x}" if seed % 2 else f"fp{i - int(rng.integers(0, 2))}",
            input_vec=steps[i].tobytes(),
            vec_scale=SCALE,
            vec_key="k1",
        )
        for i in range(n)
    ]
    for i in rng.integers(1, n, n // 20).tolist():
        events[i] = events[i - 1]
    return events


def told(batches: Sequence[Sequence[Finding]]) -> dict[str, Finding]:
    """Findings by id, as a store would hold them."""
    return {finding.finding_id: finding for found in batches for finding in found}


def cut(events: Sequence[Event], cuts: Sequence[int]) -> list[Sequence[Event]]:
    edges = sorted({0, *(min(place, len(events)) for place in cuts), len(events)})
    return [events[begin:end] for begin, end in pairwise(edges)]


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 220), max_size=5), crowded=st.booleans())
def test_findings_do_not_depend_on_batches_nor_on_breaks(seed: int, cuts: list[int], crowded: bool) -> None:
    events = stream(seed, 220)
    with pytest.MonkeyPatch.context() as patch:
        if crowded:  # every limit is met
            patch.setattr(groups, "MAX_HOT", 25)
            patch.setattr(groups, "LEAST_CAP", 8)
            patch.setattr(matches, "MAX_OPEN", 3)
            patch.setattr(episodes, "MAX_OPEN", 2)
            patch.setattr(repeats.Repeats.__init__, "__defaults__", (10,))
        whole = told([session().feed(events)])
        going, broken = session(), session()
        found = []
        for batch in cut(events, cuts):
            before, broken = broken, session()
            assert broken.restore(thaw(freeze(before.snapshot()))) == ()
            found.append(going.feed(batch))
            assert broken.feed(batch) == found[-1]
    assert told(found) == whole
    assert (broken.events, broken.repeats, broken.seen_fields) == (going.events, going.repeats, going.seen_fields)
    assert broken.visibility() == going.visibility()


BREAK = 140
CHILD = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from tests.detect.frozen import thaw
from tests.detect.test_detection_state import BREAK, session, stream
subject = session()
assert subject.restore(thaw(Path(sys.argv[1]).read_bytes())) == ()
print(json.dumps([asdict(f) for at in range(BREAK, 300, 20) for f in subject.feed(stream(5, 300)[at:at + 20])]))
"""


def test_another_process_with_other_hashes_goes_on_the_same(tmp_path: Path) -> None:
    subject = session()
    events = stream(5, 300)
    expected = []
    for at in range(0, 300, 20):
        if at == BREAK:
            (tmp_path / "state").write_bytes(freeze(subject.snapshot()))
            expected.clear()
        expected += subject.feed(events[at : at + 20])
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "state")],
        env={"PYTHONHASHSEED": "0" if os.environ.get("PYTHONHASHSEED") != "0" else "1", "PYTHONPATH": "."},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == json.loads(json.dumps([asdict(f) for f in expected]))
    assert len(expected) > 10


def test_what_was_changed_starts_anew_and_is_named() -> None:
    subject = session()
    subject.feed(stream(2, 200))
    state = thaw(freeze(subject.snapshot()))
    assert session(minimum=5).restore(state) == ("rule:Many",)
    assert session(alarm_at=5).restore(state) == ("monitor:near-duplicate-clusters",)
    other = session(calibration=replace(CALIBRATION, threshold=0.4))
    assert other.restore(state) == ("monitor:near-duplicate-clusters (model digits, projection k1)",) * 2
    assert Session().restore(state) == ()
    assert session().restore(Session().snapshot()) == ("rules", "monitor:near-duplicate-clusters")


def test_an_unchanged_rule_goes_on_beside_a_changed_one() -> None:
    events = [replace(each, user_agent="curl/8" if i % 2 else "python/3") for i, each in enumerate(stream(4, 60))]
    whole, changed = session(), session()
    whole.feed(events[:40])
    changed.feed(events[:40])
    after = session(minimum=3)
    after.restore(changed.snapshot())
    kept = [f for f in whole.feed(events[40:]) if f.title == "Curl"]
    assert [f for f in after.feed(events[40:]) if f.title == "Curl"] == kept
    assert kept


def _shorter(state: dict[str, Any]) -> None:
    state["monitors"][0]["states"][0]["index"]["vecs"] = np.zeros((1, 64), np.int8)


def _objects(state: dict[str, Any]) -> None:
    state["repeated"]["young"] = np.array(["x", "y"])
    state["rules"]["rules"] = 7


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state.update(version=99),
        lambda state: state.update(kind="lake"),
        lambda state: state.pop("monitors"),
        lambda state: state["rules"].update(version=0),
        lambda state: state["monitors"][0].pop("states"),
        _shorter,
        _objects,
    ],
)
def test_a_foreign_or_damaged_snapshot_is_refused(damage: Callable[[dict[str, Any]], None]) -> None:
    subject = session()
    subject.feed(stream(2, 60))
    state = thaw(freeze(subject.snapshot()))
    damage(state)
    with pytest.raises(FormatError, match="detection state"):
        session().restore(state)


@pytest.mark.parametrize("state", [None, [], {}, {"kind": "session"}, "session"])
def test_what_is_no_snapshot_is_refused(state: Any) -> None:
    with pytest.raises(FormatError, match="detection state"):
        session().restore(state)
