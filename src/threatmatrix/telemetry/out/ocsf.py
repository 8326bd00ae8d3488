"""Findings and incidents as OCSF 1.8 events: Detection Finding (2004) and Incident Finding (2005).

Source: the Open Cybersecurity Schema Framework, classes ``detection_finding`` and ``incident_finding``
with the objects ``finding_info``, ``analytic``, ``attack``, ``evidences`` and ``resource_details``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from threatmatrix import __version__
from threatmatrix.model.detection import Finding, PrincipalShare
from threatmatrix.model.matrix import Technique
from threatmatrix.model.response import Incident

__all__ = ["OCSF_VERSION", "finding_to_ocsf", "incident_to_ocsf", "metadata"]

OCSF_VERSION = "1.8.0"

_FINDINGS = 2  # category_uid
_CREATE = 1  # activity_id
_SEVERITIES = ("Informational", "Low", "Medium", "High", "Critical")
_RULE, _BEHAVIORAL = (1, "Rule"), (2, "Behavioral")
_STATUS = {"open": (1, "New"), "contained": (2, "In Progress"), "closed": (5, "Closed")}
_CONFIDENCE = ((0.34, 1, "Low"), (0.67, 2, "Medium"), (2.0, 3, "High"))  # below, id, caption


def finding_to_ocsf(finding: Finding, technique: Technique | None = None) -> dict[str, Any]:
    """One finding as a Detection Finding: plain JSON types, times in milliseconds since 1970-01-01 UTC.

    ``technique`` adds its readable name and its ATLAS and ATT&CK ids.
    """
    confidence_id, confidence = next(
        (number, name) for below, number, name in _CONFIDENCE if finding.confidence < below
    )
    return {
        **_base(2004, "Detection Finding", int(finding.severity), finding.last_time),
        "message": finding.explanation,
        "is_alert": True,
        "status_id": 1,
        "status": "New",
        "count": finding.event_count,
        "start_time": finding.first_time // 1000,
        "end_time": finding.last_time // 1000,
        "confidence_id": confidence_id,
        "confidence": confidence,
        "confidence_score": round(100 * finding.confidence),
        "finding_info": _finding_info(finding, technique),
        "evidences": [_evidence(share) for share in finding.principals],
        "resources": _resources(finding.system, finding.model),
        "unmapped": {"technique": finding.technique, "alarm_event": finding.alarm_event, "details": finding.details},
    }


def incident_to_ocsf(incident: Incident) -> dict[str, Any]:
    """One incident as an Incident Finding; its chain of techniques is ``attacks``, in order."""
    status_id, status = _STATUS[incident.status]
    return {
        **_base(2005, "Incident Finding", int(incident.severity), incident.last_time),
        "desc": incident.title,
        "message": incident.title,
        "status_id": status_id,
        "status": status,
        "start_time": incident.first_time // 1000,
        "end_time": incident.last_time // 1000,
        "attacks": [{"technique": {"uid": step.technique}} for step in incident.chain],
        "finding_info_list": [{"uid": uid, "title": incident.title} for uid in incident.finding_ids],
        "unmapped": {
            "incident_id": incident.incident_id,
            "system": incident.system,
            "model": incident.model,
            "origin": incident.origin,
            "principals": [_share(share) for share in incident.principals],
        },
    }


def _base(class_uid: int, class_name: str, severity: int, time: int) -> dict[str, Any]:
    return {
        "category_uid": _FINDINGS,
        "category_name": "Findings",
        "class_uid": class_uid,
        "class_name": class_name,
        "activity_id": _CREATE,
        "activity_name": "Create",
        "type_uid": class_uid * 100 + _CREATE,
        "type_name": f"{class_name}: Create",
        "severity_id": severity + 1,
        "severity": _SEVERITIES[severity],
        "time": time // 1000,
        "metadata": metadata(),
    }


def metadata(profiles: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    """Who says it, in which version of the schema, with which profiles."""
    product = {"name": "threatmatrix", "vendor_name": "threatmatrix", "version": __version__}
    return {"version": OCSF_VERSION, "product": product, **({"profiles": list(profiles)} if profiles else {}), **more}


def _finding_info(finding: Finding, technique: Technique | None) -> dict[str, Any]:
    type_id, type_name = _RULE if finding.detector.startswith("rule:") else _BEHAVIORAL
    return {
        "uid": finding.finding_id,
        "title": finding.title,
        "desc": finding.explanation,
        "analytic": {
            "uid": finding.detector,
            "name": finding.detector.partition(":")[2] or finding.detector,
            "type_id": type_id,
            "type": type_name,
        },
        "attacks": _attacks(finding.technique, technique),
        "first_seen_time": finding.first_time // 1000,
        "last_seen_time": finding.last_time // 1000,
        "related_events_count": finding.event_count,
        "related_events": [{"uid": uid} for uid in finding.event_ids],
    }


def _attacks(slug: str, technique: Technique | None) -> list[dict[str, Any]]:
    """Ours first, by slug; then what ATLAS and ATT&CK call it."""
    ours = {"uid": slug, "name": technique.name} if technique else {"uid": slug}
    others = (*technique.atlas, *technique.attack) if technique else ()
    return [{"technique": ours}, *({"technique": {"uid": other.id, "name": other.name}} for other in others)]


def _share(share: PrincipalShare) -> dict[str, Any]:
    return {"principal": share.principal, "probes": share.probes, "share": share.share}


def _evidence(share: PrincipalShare) -> dict[str, Any]:
    return {"actor": {"user": {"uid": share.principal, "name": share.principal}}, "data": _share(share)}


def _resources(system: str | None, model: str | None) -> list[dict[str, Any]]:
    named = (("system", system), ("model", model))
    return [{"uid": name, "name": name, "type": kind} for kind, name in named if name is not None]
