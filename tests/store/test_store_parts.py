"""Findings, incidents, policy and evidence, on every database that is at hand."""

from __future__ import annotations

import dataclasses
import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.respond.examples import finding, incident
from tests.store.conftest import NOW

from threatmatrix.model.detection import Severity
from threatmatrix.model.errors import StoreError, UnknownNameError
from threatmatrix.model.evidence import Evidence
from threatmatrix.model.response import PolicyEntry, PolicySnapshot
from threatmatrix.store import Store, open_store
from threatmatrix.store.evidence import digest_of

HOSTILE = "a\x00b'; DROP TABLE findings; --\ud800 ☃"


def entry(entry_id: str, **more: object) -> PolicyEntry:
    fields = {"kind": "block", "owner": "inc-1", "reason": "r", "created_at": NOW, "expires_at": NOW + 10}
    return PolicyEntry(entry_id=entry_id, **{**fields, "principal": "mallory", **more})  # type: ignore[arg-type]


def evidence(evidence_id: str, **more: object) -> Evidence:
    fields: dict[str, object] = {"technique": "online-evasion", "tactic": "evasion", "system": "edge", "case": None}
    flags = dict.fromkeys(("emulated", "detected", "responded", "remediated"), True)
    run = {"created": NOW, "run_id": "r", "seed": 1, "record": {"before": 0.8, "n": [60, 2]}}
    return Evidence(evidence_id=evidence_id, **{**fields, **flags, **run, **more})  # type: ignore[arg-type]


def test_findings_come_back_as_they_were_and_are_replaced_by_id(store: Store) -> None:
    first = finding("f1", {HOSTILE: 3}, first=5, system=HOSTILE)
    second = finding("f2", {"b": 1}, first=1, technique="evasion-attack")
    assert store.findings.save([first, second]) == ["f1", "f2"]
    assert store.findings.save([first]) == []
    assert store.findings.list() == [second, first]
    grown = dataclasses.replace(first, last_time=99, details={"radius": math.inf, "rows": [1, 2]})
    assert store.findings.save([second, grown]) == ["f1"]
    assert store.findings.get("f1").details == {"radius": None, "rows": [1, 2]}
    assert [found.finding_id for found in store.findings.list(since=50)] == ["f1"]
    assert [found.finding_id for found in store.findings.list(technique="evasion-attack")] == ["f2"]
    with pytest.raises(UnknownNameError, match="f1"):
        store.findings.get("f11")


def test_incidents_and_their_status(store: Store) -> None:
    one, two = incident(incident_id="inc-1"), dataclasses.replace(incident(incident_id="inc-2"), last_time=99)
    assert store.incidents.save([one, two]) == ["inc-1", "inc-2"]
    assert store.incidents.save([one]) == []
    assert store.incidents.get("inc-1") == one
    assert store.incidents.list() == [two, one]
    assert store.incidents.set_status("inc-2", "contained").status == "contained"
    assert store.incidents.list("open") == [one]
    with pytest.raises(UnknownNameError, match="Did you mean"):
        store.incidents.set_status("inc-3", "closed")


def test_policy_versions_grow_by_one_per_change(store: Store) -> None:
    policy = store.policy
    assert policy.add(entry("a"))
    assert not policy.add(entry("a", principal="somebody else"))
    assert policy.active() == [entry("a")]
    assert policy.extend("a", NOW + 50)
    assert not policy.extend("a", NOW + 40)
    assert policy.active(NOW + 49) == [entry("a", expires_at=NOW + 50)]
    assert (policy.status("a"), policy.status("a", NOW + 50), policy.status("b")) == ("active", "expired", "absent")
    assert policy.withdraw("a", by="ann")
    assert not policy.withdraw("a")
    assert not policy.extend("a", NOW + 90)
    assert not policy.add(entry("a"))  # an id is never used twice
    assert policy.status("a") == "withdrawn"
    assert policy.version() == 3
    assert not policy.withdraw("undone-before-it-was-done")
    assert not policy.add(entry("undone-before-it-was-done"))
    assert policy.active() == []


def test_a_published_snapshot_is_whole_and_its_version_only_grows(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "policy.json"
    assert store.policy.publish(path) == 0
    store.policy.add(entry("a", principal=HOSTILE))
    store.policy.add(entry("late", expires_at=NOW))
    version = store.policy.publish(path)
    snapshot = PolicySnapshot(version, NOW, (entry("a", principal=HOSTILE),))
    assert json.loads(path.read_text()) == json.loads(json.dumps(dataclasses.asdict(snapshot)))
    assert [file.name for file in path.parent.iterdir()] == ["policy.json"]
    path.write_text('{"version": 41}')  # left there by another store
    assert store.policy.publish(path) == 42
    assert store.policy.version() == 42
    path.write_text("broken")
    assert store.policy.publish(path) == 42
    with pytest.raises(StoreError, match=r"policy.json/x.json: the policy cannot be published"):
        store.policy.publish(path / "x.json")


def test_concurrent_publishers_leave_the_newest_policy(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"

    def work(number: int) -> None:
        store.policy.add(entry(f"e{number}"))
        store.policy.publish(path)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(16)))
    published = json.loads(path.read_text())
    assert published["version"] == 16
    assert {item["entry_id"] for item in published["entries"]} == {f"e{number}" for number in range(16)}


def test_evidence_is_chained_and_never_changed(store: Store) -> None:
    first = store.evidence.append(evidence("e1", record={"by": {2: "two", 10: "ten"}, "n": (1, 2)}))
    second = store.evidence.append(evidence("e2", system="other"))
    assert (first.previous, second.previous) == ("", first.digest)
    assert first.digest == digest_of(first)
    assert store.evidence.list() == [first, second]
    assert store.evidence.list(technique="online-evasion", system="other") == [second]
    report = store.evidence.verify()
    assert (report.intact, report.records, report.head) == (True, 2, second.digest)
    with pytest.raises(StoreError, match="'e1' is there already"):
        store.evidence.append(evidence("e1"))
    with pytest.raises(StoreError, match="cannot be stored as JSON"):
        store.evidence.append(evidence("e3", record={"distance": math.inf}))
    for change in ("UPDATE evidence SET technique = 'x'", "DELETE FROM evidence"):
        with pytest.raises(StoreError, match="append-only"):
            store.database.write(lambda connection, change=change: connection.execute(text(change)))


def test_a_damaged_body_is_a_problem_and_list_names_the_record(tmp_path: Path) -> None:
    with open_store(tmp_path / "store.db") as store:
        for number in (1, 2, 3):
            store.evidence.append(evidence(f"e{number}"))
        for body in ("garbage", "{}", "[]"):
            change = f"UPDATE evidence SET body = '{body}' WHERE position = 2"
            statements = ["DROP TRIGGER IF EXISTS evidence_no_update", change]
            store.database.write(lambda connection, lines=statements: [connection.exec_driver_sql(s) for s in lines])
            assert store.evidence.verify().problems == ("record 2 (e2) cannot be read: its body is damaged",)
            with pytest.raises(StoreError, match=r"record 2 \(e2\) cannot be read"):
                store.evidence.list()


def test_known_findings_are_read_again_only_when_another_process_changed_them(tmp_path: Path) -> None:
    with open_store(tmp_path / "store.db") as store, open_store(tmp_path / "store.db") as other:
        first = finding("f", {"m": 3})
        store.findings.save([first])
        known = store.findings.known(["f", "missing"])
        assert set(known) == {"f"}
        assert store.findings.known(["f"])["f"] is known["f"]
        other.findings.save([dataclasses.replace(first, last_time=99)])
        assert store.findings.known(["f"])["f"].finding.last_time == 99


def test_concurrent_evidence_makes_one_chain(store: Store) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: store.evidence.append(evidence(f"e{number}")), range(12)))
    report = store.evidence.verify()
    assert (report.records, report.problems) == (12, ())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("UPDATE evidence SET body = replace(body, '0.8', '0.1') WHERE position = 2", "record 2 (e2) was changed"),
        ("UPDATE evidence SET technique = 'x' WHERE position = 2", "record 2 (e2) was changed"),
        ("DELETE FROM evidence WHERE position = 2", "record 2 is missing"),
        ("DELETE FROM evidence WHERE position = 1", "record 2 (e2) does not follow the one before it"),
    ],
)
def test_tampering_with_the_file_shows(tmp_path: Path, change: str, problem: str) -> None:
    with open_store(tmp_path / "store.db") as store:
        for number in (1, 2, 3):
            store.evidence.append(evidence(f"e{number}"))
        statements = ["DROP TRIGGER evidence_no_update", "DROP TRIGGER evidence_no_delete", change]
        store.database.write(lambda connection: [connection.exec_driver_sql(line) for line in statements])
        report = store.evidence.verify()
        assert not report.intact
        assert any(problem in line for line in report.problems)


def test_severities_are_kept_as_severities(store: Store) -> None:
    store.findings.save([finding("f", {}, severity=Severity.critical)])
    assert store.findings.get("f").severity is Severity.critical
