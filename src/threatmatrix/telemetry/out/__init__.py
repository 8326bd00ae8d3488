"""What leaves: findings, incidents and events as OCSF, syslog and CEF, and the way to a receiver (docs/lake.md)."""

from __future__ import annotations

from threatmatrix.telemetry.out.cef import to_cef
from threatmatrix.telemetry.out.ocsf import OCSF_VERSION, finding_to_ocsf, incident_to_ocsf
from threatmatrix.telemetry.out.ocsf_events import event_to_ocsf
from threatmatrix.telemetry.out.sending import send
from threatmatrix.telemetry.out.syslog import framed, in_syslog, to_syslog

__all__ = [
    "OCSF_VERSION",
    "event_to_ocsf",
    "finding_to_ocsf",
    "framed",
    "in_syslog",
    "incident_to_ocsf",
    "send",
    "to_cef",
    "to_syslog",
]
