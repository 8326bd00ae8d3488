"""A principal's name leaves findings and incidents, all or none, on both databases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from threatmatrix.model.detection import Finding, PrincipalShare, Severity
from threatmatrix.store import Store
from threatmatrix.store import erasure as module
from threatmatrix.store.erasure import erase_principal

ODD = 'al"ice %_\\ é'


def finding(number: int, principal: str) -> Finding:
    return Finding(
        finding_id=f"f-{number}",
        detector="rule:abc",
        title="Burst",
        technique="online-evasion",
        severity=Severity.high,
        confidence=0.8,
        explanation=f"It was {principal}.",
        event_ids=(),
        event_count=1,
        first_time=number,
        last_time=number,
        alarm_event="e",
        principals=(PrincipalShare(principal, 1, 1.0),),
    )


def test_only_the_one_principal_is_renamed(store: Store) -> None:
    store.findings.save([finding(1, ODD), finding(2, "al"), finding(3, ODD.upper())])
    assert store.findings.known(["f-1"])["f-1"].finding.principals[0].principal == ODD
    done = erase_principal(store, ODD, "erased-1")
    assert (done.findings, done.incidents, done.policy_active, done.evidence) == (1, 0, 0, 0)
    names = [found.principals[0].principal for found in store.findings.list()]
    assert names == ["erased-1", "al", ODD.upper()]
    assert store.findings.known(["f-1"])["f-1"].finding.explanation == "It was erased-1."


def test_a_name_within_another_name_stays(store: Store) -> None:
    said = "ann and ann.b, b.ann, ann-b, ann@b; not ann."
    store.findings.save([replace(finding(1, "ann"), explanation=said)])
    assert erase_principal(store, "ann", "erased-1").findings == 1
    (found,) = store.findings.list()
    assert found.explanation == "erased-1 and ann.b, b.ann, ann-b, ann@b; not erased-1."


def test_a_failure_half_way_changes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.findings.save([finding(1, "ann"), finding(2, "ann")])
    real, calls = module.finding_row, []

    def fails_at_second(item: Finding) -> dict[str, object]:
        calls.append(item)
        if len(calls) == 2:
            raise RuntimeError("killed")
        return real(item)

    monkeypatch.setattr(module, "finding_row", fails_at_second)
    with pytest.raises(RuntimeError):
        erase_principal(store, "ann", "erased-1")
    assert {found.principals[0].principal for found in store.findings.list()} == {"ann"}
