"""Findings and incidents in OCSF's words."""

from __future__ import annotations

import json

import pytest

from threatmatrix.model.detection import Finding, PrincipalShare, Severity
from threatmatrix.model.matrix import ExternalId, Technique
from threatmatrix.model.response import ChainStep, Incident
from threatmatrix.telemetry.out.ocsf import finding_to_ocsf, incident_to_ocsf


def finding(detector: str = "rule:abc", confidence: float = 0.8) -> Finding:
    return Finding(
        finding_id="f-1",
        detector=detector,
        title="Burst",
        technique="online-evasion",
        severity=Severity.high,
        confidence=confidence,
        explanation="One client asks very often.",
        event_ids=("e1", "e2"),
        event_count=9,
        first_time=1_767_225_600_123_456,
        last_time=1_767_225_660_000_000,
        alarm_event="e2",
        principals=(PrincipalShare("acct-1", 9, 1.0),),
        system="sorting",
        model=None,
        details={"threshold": 3.5},
    )


def test_detection_finding() -> None:
    technique = Technique(
        slug="online-evasion",
        name="Online Evasion",
        kind="ml",
        tactics=("evasion",),
        description="",
        atlas=(ExternalId("AML.T0043", "Craft Adversarial Data", "close"),),
    )
    out = finding_to_ocsf(finding(), technique)
    assert json.loads(json.dumps(out)) == out
    assert (out["class_uid"], out["category_uid"], out["activity_id"], out["type_uid"]) == (2004, 2, 1, 200401)
    assert (out["severity_id"], out["severity"]) == (4, "High")
    assert out["time"] == 1_767_225_660_000
    assert out["start_time"] == 1_767_225_600_123
    assert out["metadata"]["version"] == "1.8.0"
    assert out["metadata"]["product"]["vendor_name"]
    info = out["finding_info"]
    assert info["uid"] == "f-1"
    assert info["analytic"]["type_id"] == 1
    assert [entry["technique"]["uid"] for entry in info["attacks"]] == ["online-evasion", "AML.T0043"]
    assert info["related_events"] == [{"uid": "e1"}, {"uid": "e2"}]
    assert info["related_events_count"] == 9
    assert out["evidences"][0]["actor"]["user"]["uid"] == "acct-1"
    assert out["resources"] == [{"uid": "sorting", "name": "sorting", "type": "system"}]


@pytest.mark.parametrize(("confidence", "number"), [(0.0, 1), (0.33, 1), (0.5, 2), (0.67, 3), (1.0, 3)])
def test_confidence(confidence: float, number: int) -> None:
    out = finding_to_ocsf(finding("monitor:near", confidence))
    assert out["confidence_id"] == number
    assert out["confidence_score"] == round(100 * confidence)
    assert out["finding_info"]["analytic"]["type_id"] == 2


@pytest.mark.parametrize(("status", "number"), [("open", 1), ("contained", 2), ("closed", 5)])
def test_incident_finding(status: str, number: int) -> None:
    incident = Incident(
        incident_id="i-1",
        title="Evasion of labels",
        severity=Severity.critical,
        status=status,  # type: ignore[arg-type]
        system="sorting",
        model="labels",
        first_time=1_767_225_600_000_000,
        last_time=1_767_225_660_000_000,
        chain=(ChainStep("model-discovery", 1, 2, ("f-0",), 3), ChainStep("online-evasion", 2, 3, ("f-1",), 9)),
        principals=(PrincipalShare("acct-1", 9, 1.0),),
        finding_ids=("f-0", "f-1"),
    )
    out = incident_to_ocsf(incident)
    assert json.loads(json.dumps(out)) == out
    assert (out["class_uid"], out["type_uid"], out["status_id"], out["severity_id"]) == (2005, 200501, number, 5)
    assert [entry["uid"] for entry in out["finding_info_list"]] == ["f-0", "f-1"]
    assert [entry["technique"]["uid"] for entry in out["attacks"]] == ["model-discovery", "online-evasion"]
