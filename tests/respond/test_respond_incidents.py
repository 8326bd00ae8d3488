"""Findings that belong together become one incident; ids are stable; twice is once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.respond.examples import BLOCK, finding, playbook, write

from threatmatrix.model.detection import Finding, Severity
from threatmatrix.model.response import Incident
from threatmatrix.respond.actions import default_executors
from threatmatrix.respond.cacao import load_playbook
from threatmatrix.respond.incidents import correlate, incident_title, record_findings
from threatmatrix.respond.joining import JOIN_WITHIN
from threatmatrix.respond.runner import Runner
from threatmatrix.store import open_store

RECON = finding("recon", {"m": 3}, technique="ml-model-discovery", detector="rule:1", first=1, last=2, model=None)


def shares(incident: Incident) -> dict[str, float]:
    return {share.principal: round(share.share, 2) for share in incident.principals}


def test_a_chain_is_ordered_by_first_event_and_the_modelless_step_follows_its_principal() -> None:
    attack = finding("attack", {"m": 60, "n": 20}, severity=Severity.critical, events=("e1", "e2"))
    [incident] = correlate([attack, RECON], [], 100)
    assert [step.technique for step in incident.chain] == ["ml-model-discovery", "online-evasion"]
    assert incident.title == "ML model discovery → online evasion against digits of edge"
    assert (incident.severity, incident.model, incident.status) == (Severity.critical, "digits", "open")
    assert (incident.first_time, incident.last_time, incident.finding_ids) == (1, 20, ("recon", "attack"))
    assert shares(incident) == {"m": 0.75, "n": 0.25}


def test_rules_count_lines_and_never_dilute_what_monitors_measured() -> None:
    burst = finding("burst", {"m": 5000, "q": 900}, detector="rule:2")
    probes = finding("probes", {"m": 60, "n": 20})
    [incident] = correlate([burst, probes], [], 100)
    assert shares(incident) == {"m": 0.75, "n": 0.25, "q": 0.0}
    [only_rules] = correlate([burst, finding("base", {"m": 100}, detector="rule:1")], [], 100)
    assert shares(only_rules) == {"m": 0.85, "q": 0.15}


def test_other_models_systems_and_strangers_stay_apart() -> None:
    apart = [
        finding("a", {"m": 1}),
        finding("b", {"m": 1}, model="faces"),
        finding("c", {"m": 1}, system="cloud"),
        finding("d", {"stranger": 1}),
    ]
    assert len(correlate(apart, [], 100)) == 4


def test_shared_events_join_findings_of_different_principals() -> None:
    findings = [finding("a", {"m": 1}, events=("e1", "e2")), finding("b", {"n": 1}, events=("e2", "e3"))]
    [incident] = correlate(findings, [], 100)
    assert incident.chain[0].event_count == 3


def test_two_incidents_that_turn_out_to_be_one_merge_into_the_older() -> None:
    first, second = finding("a", {"m": 1}, first=1), finding("b", {"n": 1}, first=2)
    older, newer = correlate([first, second], [], 100)
    bridge = finding("c", {"m": 1, "n": 1}, first=3)
    merged, absorbed = correlate([first, second, bridge], [older, newer], 100)
    assert (merged.incident_id, merged.status) == (older.incident_id, "open")
    assert merged.finding_ids == ("a", "b", "c")
    assert (absorbed.incident_id, absorbed.status) == (newer.incident_id, "closed")
    assert absorbed.title.startswith(f"Merged into {older.incident_id}: ")


def test_what_was_merged_is_open_if_a_part_of_it_was() -> None:
    first, second = finding("a", {"m": 1}, first=1), finding("b", {"n": 1}, first=2)
    older, newer = correlate([first, second], [], 100)
    contained = dataclasses.replace(older, status="contained")
    merged, _ = correlate([first, second, finding("c", {"m": 1, "n": 1}, first=3)], [contained, newer], 100)
    assert (merged.incident_id, merged.status) == (older.incident_id, "open")


def test_bystanders_and_shared_names_join_nothing() -> None:
    assert len(correlate([finding("a", {"m": 30, "alice": 1}), finding("b", {"n": 30, "alice": 1})], [], 100)) == 2
    assert len(correlate([finding("a", {"m": 30, "n": 5}), finding("b", {"n": 30})], [], 100)) == 1
    for name in ("anonymous", "(unknown)", "(others)"):
        assert len(correlate([finding("a", {name: 9}), finding("b", {name: 9}, detector="rule:1")], [], 100)) == 2


def test_a_cluster_that_was_taken_in_does_not_count_twice() -> None:
    taken = dataclasses.replace(finding("b", {"n": 15}, first=1), details={"merged_into": "a"})
    [incident] = correlate([finding("a", {"m": 15, "n": 16}, first=5), taken], [], 100)
    assert [(share.principal, share.probes) for share in incident.principals] == [("n", 16), ("m", 15)]
    assert set(incident.finding_ids) == {"a", "b"}


def test_an_undo_survives_a_merge(tmp_path: Path) -> None:
    book = load_playbook(write(tmp_path, playbook(BLOCK)))
    with open_store(tmp_path / "store.db", clock=lambda: 100) as store:
        runner = Runner(store, default_executors(store, tmp_path / "policy.json", lambda: 100), lambda: 100)
        [older] = record_findings(store, [finding("a", {"m": 20}, first=1)], 100)
        [newer] = record_findings(store, [finding("b", {"n": 20}, first=2)], 100)
        runner.start(book, older)
        runner.start(book, newer)
        runner.undo(newer.incident_id, "ann")
        changed = record_findings(store, [finding("c", {"m": 20, "n": 20}, first=3)], 100)
        merged = next(incident for incident in changed if incident.status == "open")
        assert store.incidents.family(merged.incident_id) == [older.incident_id, newer.incident_id]
        runner.start(book, merged)
        assert [entry.principal for entry in store.policy.active()] == ["m"]


def test_a_log_that_is_read_again_shrinks_nothing(tmp_path: Path) -> None:
    with open_store(tmp_path / "store.db") as store:
        whole = finding("a", {"m": 3}, events=("e1", "e2", "e3"))
        [before] = record_findings(store, [whole], 100)
        assert record_findings(store, [finding("a", {"m": 1}, events=("e1",))], 100) == []
        assert store.findings.get("a") == whole
        assert store.incidents.list() == [before]


def test_only_new_events_are_compared_and_still_join(tmp_path: Path) -> None:
    with open_store(tmp_path / "store.db") as store:
        one, two = finding("a", {"m": 9}, events=("e1", "e2")), finding("b", {"n": 9}, first=11, events=("e3",))
        assert len(record_findings(store, [one], 100) + record_findings(store, [two], 100)) == 2
        record_findings(store, [dataclasses.replace(two, event_ids=("e3", "e2"), event_count=2)], 100)
        [merged] = store.incidents.list("open")
        assert set(merged.finding_ids) == {"a", "b"}


def test_a_contained_incident_opens_again_for_a_new_principal_only() -> None:
    one = finding("a", {"m": 5})
    [incident] = correlate([one], [], 100)
    contained = dataclasses.replace(incident, status="contained")
    [same] = correlate([dataclasses.replace(one, last_time=50)], [contained], 100)
    assert same.status == "contained"
    [reopened] = correlate([finding("a", {"m": 5, "fresh": 5})], [contained], 100)
    assert reopened.status == "open"


def test_an_incident_that_was_quiet_for_long_takes_no_new_findings_by_principal() -> None:
    [old] = correlate([finding("a", {"m": 5})], [], 100)
    later = JOIN_WITHIN + 1000
    new = finding("b", {"m": 5}, first=later, last=later)
    assert len(correlate([new], [old], later)) == 2
    assert correlate([finding("a", {"m": 5})], [old], later) == [old]


def test_an_old_log_that_is_read_today_piece_by_piece_is_one_incident(tmp_path: Path) -> None:
    today = 3 * JOIN_WITHIN
    with open_store(tmp_path / "store.db") as store:
        record_findings(store, [finding("a", {"m": 9})], today)
        record_findings(store, [finding("b", {"m": 9}, first=30, last=40)], today)
        assert len(store.incidents.list()) == 1
        record_findings(store, [finding("c", {"m": 9}, first=today, last=today)], today)
        assert len(store.incidents.list()) == 2


def test_a_missing_finding_is_a_lower_bound() -> None:
    one = finding("a", {"m": 50}, events=("e1", "e2", "e3"))
    [before] = correlate([one, finding("b", {"m": 1}, technique="evasion-attack", first=5)], [], 100)
    [after] = correlate([finding("c", {"m": 10, "n": 10}, last=30)], [before], 100)
    assert after.incident_id == before.incident_id
    assert set(after.finding_ids) == {"a", "b", "c"}
    assert [step.technique for step in after.chain] == ["evasion-attack", "online-evasion"]
    assert after.chain[1].event_count == 3
    assert {share.principal: share.probes for share in after.principals} == {"m": 51, "n": 10}


def test_the_store_keeps_incidents_and_reopens_a_closed_one_that_grows(tmp_path: Path) -> None:
    with open_store(tmp_path / "store.db") as store:
        one = finding("a", {"m": 5}, last=20)
        [incident] = record_findings(store, [one], 100)
        assert record_findings(store, [one], 101) == []
        [grown] = record_findings(store, [finding("b", {"m": 9}, technique="execution-via-api")], 102)
        assert (grown.incident_id, len(grown.chain)) == (incident.incident_id, 2)
        store.incidents.set_status(incident.incident_id, "closed")
        assert record_findings(store, [one], 103) == []
        [again] = record_findings(store, [dataclasses.replace(one, last_time=30)], 104)
        assert (again.incident_id, again.status, len(again.chain)) == (incident.incident_id, "open", 2)


def test_titles_of_long_chains_are_cut_in_the_middle() -> None:
    assert incident_title(["a", "b", "c", "d", "e"], None, "m") == "A → … → d → e against m"
    assert incident_title([], None, None) == "Unknown technique"


@st.composite
def findings(draw: st.DrawFn) -> list[Finding]:
    result = []
    for number in range(draw(st.integers(1, 8))):
        first = draw(st.integers(0, 50))
        result.append(
            finding(
                f"f{number}",
                draw(st.dictionaries(st.sampled_from("abcde"), st.integers(1, 9), max_size=3)),
                technique=draw(st.sampled_from(["online-evasion", "ml-model-discovery"])),
                detector=draw(st.sampled_from(["rule:1", "monitor:x", "monitor:y"])),
                events=tuple(draw(st.lists(st.sampled_from(["e1", "e2", "e3", "e4"]), min_size=1, unique=True))),
                first=first,
                last=first + draw(st.integers(0, 50)),
                model=draw(st.sampled_from(["digits", "faces"])),
            )
        )
    return result


def parts(incidents: list[Incident]) -> set[frozenset[str]]:
    return {frozenset(incident.finding_ids) for incident in incidents if incident.status != "closed"}


@settings(max_examples=120, deadline=None, derandomize=True)
@given(found=findings(), order=st.randoms(use_true_random=False), cut=st.integers(0, 8))
def test_order_does_not_matter_twice_is_once_and_growing_joins_the_same(found, order, cut) -> None:  # type: ignore[no-untyped-def]
    incidents = correlate(found, [], 100)
    assert sorted(key for incident in incidents for key in incident.finding_ids) == sorted(f.finding_id for f in found)
    shuffled = list(found)
    order.shuffle(shuffled)
    assert correlate(shuffled, [], 100) == incidents
    assert correlate(found, incidents, 200) == incidents
    for incident in incidents:
        assert [s.first_time for s in incident.chain] == sorted(s.first_time for s in incident.chain)
        total = sum(share.share for share in incident.principals)
        assert not incident.principals or abs(total - 1) < 1e-9
    # Event by event instead of at once: the same findings end up together, ids never change hands.
    early = correlate(found[:cut], [], 100)
    late = correlate(found, early, 100)
    assert parts(late) == parts(incidents)
    assert {i.incident_id for i in early} <= {i.incident_id for i in late}
