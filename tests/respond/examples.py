"""Small findings, incidents and playbooks that the tests of this room share."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from threatmatrix.model.detection import Finding, PrincipalShare, Severity
from threatmatrix.model.response import ChainStep, Incident
from threatmatrix.respond.cacao import EXTENSION_ID

SECOND = 1_000_000
IDENTITY = "identity--0b8ff9a2-35a5-4c6b-9d3e-6a3b8d1a1c01"
AGENT = "security-category--0b8ff9a2-35a5-4c6b-9d3e-6a3b8d1a1c02"
HOOK = "http-api--0b8ff9a2-35a5-4c6b-9d3e-6a3b8d1a1c03"
START = "start--0b8ff9a2-35a5-4c6b-9d3e-6a3b8d1a1c04"
END = "end--0b8ff9a2-35a5-4c6b-9d3e-6a3b8d1a1c05"


def action_id(number: int) -> str:
    return f"action--0b8ff9a2-35a5-4c6b-9d3e-6a3b8d1a2{number:03d}"


def finding(
    finding_id: str,
    principals: dict[str, int],
    *,
    technique: str = "online-evasion",
    detector: str = "monitor:near-duplicate-clusters",
    events: tuple[str, ...] = (),
    first: int = 10,
    last: int = 20,
    system: str | None = "edge",
    model: str | None = "digits",
    severity: Severity = Severity.high,
) -> Finding:
    ids = events or (f"{finding_id}:0",)
    total = sum(principals.values()) or 1
    return Finding(
        finding_id=finding_id,
        detector=detector,
        title=technique,
        technique=technique,
        severity=severity,
        confidence=0.9,
        explanation="Somebody sends almost the same input again and again.",
        event_ids=ids,
        event_count=len(ids),
        first_time=first,
        last_time=last,
        alarm_event=ids[-1],
        principals=tuple(PrincipalShare(name, count, count / total) for name, count in principals.items()),
        system=system,
        model=model,
    )


def incident(shares: dict[str, float] | None = None, incident_id: str = "inc-1") -> Incident:
    shares = shares or {"mallory": 0.7, "mallory2": 0.25, "bystander": 0.05}
    return Incident(
        incident_id=incident_id,
        title="Online evasion against digits of edge",
        severity=Severity.high,
        status="open",
        system="edge",
        model="digits",
        first_time=10,
        last_time=20,
        chain=(ChainStep("online-evasion", 10, 20, ("f1",), 100),),
        principals=tuple(PrincipalShare(name, round(share * 100), share) for name, share in shares.items()),
        finding_ids=("f1",),
    )


def policy_command(action: str, **more: Any) -> dict[str, Any]:
    return {"type": "x-threatmatrix-policy", "command": action, "ttl_seconds": 3600, **more}


BLOCK = policy_command("block-principal", for_each="principals", min_share=0.2, model="any")
BUDGET = policy_command("set-query-budget", params={"queries": 60, "window_seconds": 3600})


def http_command(path: str = "/", content: str = "{}") -> dict[str, Any]:
    return {"type": "http-api", "command": f"POST {path} HTTP/1.1", "content": content}


def playbook(*steps: dict[str, Any], url: str = "http://127.0.0.1:9", **more: Any) -> dict[str, Any]:
    """A playbook that runs the steps one after the other; a step is a command, or has ``commands``."""
    workflow: dict[str, Any] = {START: {"type": "start", "on_completion": action_id(0)}}
    for number, step in enumerate(steps):
        body = step if "commands" in step else {"commands": [step]}
        following = action_id(number + 1) if number + 1 < len(steps) else END
        workflow[action_id(number)] = {
            "type": "action",
            "agent": AGENT,
            "targets": [HOOK],
            "on_completion": following,
            **copy.deepcopy(body),
        }
    workflow[END] = {"type": "end"}
    return {
        "type": "playbook",
        "spec_version": "cacao-2.0",
        "id": "playbook--0b8ff9a2-35a5-4c6b-9d3e-6a3b8d1a1c06",
        "name": "A playbook",
        "created_by": IDENTITY,
        "created": "2026-11-21T00:00:00.000Z",
        "modified": "2026-11-21T00:00:00.000Z",
        "workflow_start": START,
        "workflow": workflow,
        "agent_definitions": {AGENT: {"type": "security-category", "name": "gateway", "category": ["content-gateway"]}},
        "target_definitions": {HOOK: {"type": "http-api", "name": "hook", "address": {"url": [url]}}},
        "extension_definitions": {
            EXTENSION_ID: {
                "type": "extension-definition",
                "name": "threatmatrix http-api",
                "created_by": IDENTITY,
                "schema": "docs/respond.md",
                "version": "1.0.0",
            }
        },
        **more,
    }


def write(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "playbook.json"
    path.write_text(json.dumps(content))
    return path
