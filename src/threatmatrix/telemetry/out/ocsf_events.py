"""Events as OCSF 1.8: API Activity (6003) with the ai_operation profile, Authentication (3002), HTTP Activity (4002),
Datastore Activity (6005).

Source: the Open Cybersecurity Schema Framework 1.8. What a class requires and the source does not say is ``unknown``;
what OCSF has no place for is under ``unmapped``. Inputs never leave: neither raw nor as a vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from threatmatrix.model.event import Event
from threatmatrix.telemetry.out.ocsf import metadata

__all__ = ["event_to_ocsf"]

_UNKNOWN = "unknown"
_OTHER = 99
_CATEGORIES = {3: "Identity & Access Management", 4: "Network Activity", 6: "Application Activity"}
_CLASSES = {
    3002: "Authentication",
    4002: "HTTP Activity",
    6003: "API Activity",
    6005: "Datastore Activity",
}
_CLASS_OF = {"authentication": 3002, "http": 4002, "artifact_access": 6005}  # any other: 6003
_AI = frozenset({"inference", "model_access", "tool_call"})
_TOOL = 3  # ai_role_id
_ASSISTANT = 2

_LOGON, _LOGOFF = (1, "Logon"), (2, "Logoff")
_METHODS = {
    "CONNECT": 1,
    "DELETE": 2,
    "GET": 3,
    "HEAD": 4,
    "OPTIONS": 5,
    "POST": 6,
    "PUT": 7,
    "TRACE": 8,
    "PATCH": 9,
}
_CRUD = {1: "Create", 2: "Read", 3: "Update", 4: "Delete"}
_STORE = {1: "Read", 2: "Update", 4: "Query", 5: "Write", 6: "Create", 7: "Delete", 8: "List"}
_VERBS: Mapping[str, tuple[int, int]] = {  # first word of an operation → activity of 6003, of 6005
    "create": (1, 6),
    "register": (1, 6),
    "put": (1, 5),
    "write": (1, 5),
    "upload": (1, 5),
    "log": (1, 5),
    "get": (2, 1),
    "read": (2, 1),
    "download": (2, 1),
    "metadata": (2, 1),
    "health": (2, 1),
    "describe": (2, 1),
    "head": (2, 1),
    "search": (2, 4),
    "query": (2, 4),
    "list": (2, 8),
    "update": (3, 2),
    "set": (3, 2),
    "transition": (3, 2),
    "delete": (4, 7),
}
_UNMAPPED = (
    *("source", "category", "system", "row", "rows", "input_fp", "vec_key", "input_bytes", "output_label"),
    *("output_scores", "decision", "policy_ref", "key_id"),
)


class _Activity(NamedTuple):
    id: int
    name: str


def event_to_ocsf(event: Event) -> dict[str, Any]:
    """One event: plain JSON types, times in milliseconds since 1970-01-01 UTC."""
    uid = _CLASS_OF.get(event.category, 6003)
    activity = _activity(event, uid)
    ai = uid == 6003 and event.category in _AI
    profiles = (*(("ai_operation",) if ai else ()), *(("trace",) if event.trace_id and uid in {4002, 6003} else ()))
    out = {
        "category_uid": uid // 1000,
        "category_name": _CATEGORIES[uid // 1000],
        "class_uid": uid,
        "class_name": _CLASSES[uid],
        "activity_id": activity.id,
        "activity_name": activity.name,
        "type_uid": uid * 100 + activity.id,
        "type_name": f"{_CLASSES[uid]}: {activity.name}",
        "severity_id": 1,
        "severity": "Informational",
        "time": event.time // 1000,
        "metadata": metadata(profiles, **_said(uid=event.event_id, tenant_uid=event.tenant)),
        **_status(event),
        **_endpoints(event),
        **_http(event, always=uid == 4002),
        "unmapped": _unmapped(event),
    }
    if profiles and profiles[-1] == "trace":
        out["trace"] = {"uid": event.trace_id}
    if uid == 3002:
        out |= {"user": _user(event), **_said(session=event.session and {"uid": event.session})}
        out |= {"service": {"name": event.host or event.system or _UNKNOWN}, **_said(is_mfa=_mfa(event))}
        return out
    if uid != 4002:
        out["actor"] = {"user": _user(event), **_said(session=event.session and {"uid": event.session})}
    if uid == 6003:
        out |= _api(event)
    if uid == 6005:
        out |= _bucket(event)
    return out | (_ai(event) if ai else {})


def _activity(event: Event, uid: int) -> _Activity:
    operation = event.operation or ""
    if uid == 3002:
        name = operation.casefold()
        return _Activity(*(_LOGOFF if "logoff" in name or "logout" in name else _LOGON))
    if uid == 4002:
        method = (event.method or "").upper()
        return _Activity(_METHODS[method], method.capitalize()) if method in _METHODS else _other(method)
    verb = next((verb for verb in _VERBS if operation.casefold().startswith(verb)), None)
    if verb is None:
        return _other(operation)
    number = _VERBS[verb][uid == 6005]
    return _Activity(number, (_STORE if uid == 6005 else _CRUD)[number])


def _other(name: str) -> _Activity:
    return _Activity(_OTHER, name) if name else _Activity(0, "Unknown")


def _said(**values: Any) -> dict[str, Any]:
    """Those that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def _status(event: Event) -> dict[str, Any]:
    failed = event.outcome == "failure" or (event.outcome is None and event.status is not None and event.status >= 400)
    known = event.outcome is not None or event.status is not None
    number, name = (2, "Failure") if failed else (1, "Success") if known else (0, "Unknown")
    code = {} if event.status is None else {"status_code": str(event.status)}
    return {"status_id": number, "status": name, **code}


def _endpoints(event: Event) -> dict[str, Any]:
    source = {"ip": event.src_ip} if event.src_ip else {"name": _UNKNOWN}
    server = {"hostname": event.host} if event.host else {"name": event.system or _UNKNOWN}
    return {"src_endpoint": source, "dst_endpoint": server}


def _http(event: Event, *, always: bool) -> dict[str, Any]:
    request = _said(
        http_method=event.method,
        url=event.endpoint and {"path": event.endpoint},
        user_agent=event.user_agent,
        uid=event.request_ref,
        length=event.input_bytes,
    )
    answer = {} if event.status is None else {"code": event.status, **_said(latency=_whole(event.latency_ms))}
    if not (event.method or event.endpoint or event.user_agent or always):
        request = {}
    return {**({"http_request": request} if request or always else {}), **({"http_response": answer} if answer else {})}


def _whole(number: float | None) -> int | None:
    return None if number is None else round(number)


def _user(event: Event) -> dict[str, Any]:
    name = event.principal or _UNKNOWN
    return {"name": name, "uid": name, **_said(credential_uid=event.key_id)}


def _mfa(event: Event) -> bool | None:
    return {"mfa": True, "no mfa": False}.get(event.object or "")


def _api(event: Event) -> dict[str, Any]:
    service = event.host or event.system
    api = {
        "operation": event.operation or event.category,
        **_said(service=service and {"name": service}, request=event.request_ref and {"uid": event.request_ref}),
    }
    resource = event.object or (event.model if event.category == "model_registry" else None)
    resources = [{"name": resource, "uid": resource, "type": event.category}] if resource else []
    return {"api": api, **({"resources": resources} if resources else {})}


def _bucket(event: Event) -> dict[str, Any]:
    """Datastore activity needs a database, a bucket or a table: an artifact store is a bucket of files."""
    name = event.object or event.model or _UNKNOWN
    store = {"name": event.host or event.system or _UNKNOWN, "type_id": _OTHER, "type": "Artifact Store"}
    return {"databucket": {**store, "file": {"name": name.rsplit("/", 1)[-1] or name, "path": name, "type_id": 0}}}


def _ai(event: Event) -> dict[str, Any]:
    model = {"ai_provider": _UNKNOWN, "name": event.model or _UNKNOWN, **_said(version=event.model_version)}
    tokens = [count for count in (event.tokens_in, event.tokens_out) if count is not None]
    role = (_TOOL, "Tool") if event.category == "tool_call" else (_ASSISTANT, "Assistant")
    context = {
        "ai_role_id": role[0],
        "ai_role": role[1],
        "service": {"name": event.host or event.system or event.model or _UNKNOWN},
        **_said(
            uid=event.session,
            application=event.user_agent and {"name": event.user_agent},
            prompt_tokens=event.tokens_in,
            completion_tokens=event.tokens_out,
            total_tokens=sum(tokens) if tokens else None,
        ),
    }
    return {"ai_model": model, "message_context": context}


def _unmapped(event: Event) -> dict[str, Any]:
    values = {name: getattr(event, name) for name in _UNMAPPED}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items() if v is not None}
