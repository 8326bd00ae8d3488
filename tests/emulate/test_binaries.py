from __future__ import annotations

import dataclasses
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threatmatrix.emulate.attacks import attack_kind
from threatmatrix.emulate.reference import build_reference
from threatmatrix.emulate.reference.binaries_files import HEADER, MAGIC, make_file, make_world
from threatmatrix.emulate.reference.binaries_scanner import look
from threatmatrix.emulate.stage import Samples, Stage
from threatmatrix.emulate.target import blobs
from threatmatrix.emulate.targets import InProcess
from threatmatrix.model.errors import UsageError

REFERENCE = build_reference("binaries", 1, files=120)
FILES = REFERENCE.attacker.at(np.flatnonzero(REFERENCE.model.answer(REFERENCE.attacker.x).labels == 1)[:20])


def run(use, held, *, reference=REFERENCE, control=False, budget=100, samples=FILES, target=None, **changes):
    target = target or InProcess(reference)
    stage = Stage(
        target=target, judge=InProcess(reference), samples=samples, rng=np.random.default_rng(2), params={},
        budget=budget, control=control, held=held, norm="bytes", **changes,
    )  # fmt: skip
    return attack_kind(use).whole(stage), target


@pytest.fixture(scope="module")
def held():
    found = dict(REFERENCE.known)
    for use in ("read_own_copy", "universal_text"):
        brought, target = run(use, found)
        assert target.queries == 0
        found |= brought.holds
    return found


def with_scanner(**changes):
    return dataclasses.replace(REFERENCE, model=dataclasses.replace(REFERENCE.model, **changes))


def test_files_are_inert_and_the_same_seed_makes_the_same_ones():
    assert all(blob.startswith(MAGIC) and not blob.startswith((b"MZ", b"\x7fELF")) for blob in FILES.x)
    world, again = make_world(9), make_world(9)
    first = make_file(world, world.products[0], np.random.default_rng(1))
    assert first == make_file(again, again.products[0], np.random.default_rng(1))
    end = HEADER.unpack_from(first)[-1]
    assert end <= len(first)


def test_the_scanner_knows_malware_from_programs():
    assert REFERENCE.accuracy > 0.85
    answer = REFERENCE.model.answer(REFERENCE.calibration)
    assert np.allclose(answer.scores.sum(axis=1), 1.0)
    assert np.array_equal(answer.labels, np.argmax(answer.scores, axis=1))


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_anything_is_scanned_or_refused_as_no_file(blob):
    with pytest.raises(ValueError, match="not an executable"):
        look(b"X" + blob)
    damaged = MAGIC + blob
    if len(damaged) < HEADER.size:
        with pytest.raises(ValueError, match="not an executable"):
            look(damaged)
    else:
        features = look(damaged, strip_overlay=True)
        assert np.all(np.isfinite(features.trees))
        assert np.linalg.norm(features.likeness) <= 1 + 1e-9


def test_the_own_copy_gives_away_the_program_that_is_overruled(held):
    programs = REFERENCE.known["programs"]
    logged = REFERENCE.model.verbose(blobs(held["favoured"]))
    assert np.all(logged[:, 0] > 0)
    assert np.all(logged[:, 0] != logged[:, 1])
    assert {bytes(b) for b in held["favoured"]} <= {bytes(b) for b in programs.x}


def test_a_copy_with_one_opinion_gives_nothing_away():
    with pytest.raises(UsageError, match="one opinion"):
        run("read_own_copy", dict(REFERENCE.known) | {"own_copy": with_scanner(override=None).model})


def test_the_text_turns_the_verdict_because_of_the_override_and_of_what_stands_behind_the_end(held):
    attacked, target = run("append_overlay", held)
    assert target.queries == len(FILES) + 10
    assert attacked.figures["bypass_rate"] == np.mean([o.confirmed for o in attacked.outcomes]) > 0.83
    assert attacked.figures["score_before"] < -800
    assert attacked.figures["score_after"] > 600
    assert {o.distance for o in attacked.outcomes} == {attacked.figures["appended_bytes"]}
    assert not any(o.before for o in attacked.outcomes)
    by_lot, _ = run("append_overlay", held, control=True)
    assert by_lot.figures["bypass_rate"] < 0.2
    assert by_lot.figures["appended_bytes"] == attacked.figures["appended_bytes"]
    for reference in (with_scanner(override=None), with_scanner(strip_overlay=True)):
        assert run("append_overlay", held, reference=reference)[0].figures["bypass_rate"] < 0.35


def test_what_is_longer_than_the_threshold_is_no_success(held):
    assert run("append_overlay", held, threshold=10.0)[0].figures["bypass_rate"] == 0.0


def test_a_stopped_attacker_has_passed_only_what_was_sent(held):
    brought, target = run("append_overlay", held, budget=5)
    assert target.queries == 5
    assert not any(o.confirmed or o.refused for o in brought.outcomes[5:])
    target = InProcess(REFERENCE, refuse=lambda key, rows: True)
    brought, _ = run("append_overlay", held, target=target)
    assert all(o.refused and not o.confirmed for o in brought.outcomes)


def test_the_search_needs_files_that_the_copy_takes_for_malicious(held):
    harmless = Samples(blobs(held["favoured"]), np.ones(len(held["favoured"]), dtype=np.int64))
    with pytest.raises(UsageError, match="none of the attacker's own files"):
        run("universal_text", held | {"own_malware": harmless})


def test_honest_users_hand_in_the_same_files_again_in_order_of_time():
    visits = list(islice(REFERENCE.honest(clients=4, seed=1), 60))
    assert [v.at for v in visits] == sorted(v.at for v in visits)
    assert len({v.account for v in visits}) <= 4
    assert len({bytes(v.rows[0]) for v in visits}) < 60
    again = list(islice(REFERENCE.honest(clients=4, seed=1), 60))
    assert [(v.at, v.account) for v in again] == [(v.at, v.account) for v in visits]
