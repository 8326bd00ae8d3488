"""OCSF 1.8 events of other products: API calls, model calls, logins, HTTP requests, access to stored data.

Source: the Open Cybersecurity Schema Framework 1.8, classes ``authentication`` (3002), ``http_activity`` (4002),
``web_resources_activity`` (6001), ``api_activity`` (6003) with the profiles ``ai_operation``, ``cloud`` and ``trace``,
and ``datastore_activity`` (6005). Times are milliseconds since 1970-01-01 UTC (``timestamp_t``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from threatmatrix.model.event import Category, Event, Outcome
from threatmatrix.telemetry.building import build_event
from threatmatrix.telemetry.inputs.secrets import conceal, scrub
from threatmatrix.telemetry.readers.aws import Caller, call_of, caller_of, model_in, model_of
from threatmatrix.telemetry.readers.base import (
    NOTHING_ASKED,
    Form,
    Options,
    Reader,
    Where,
    check_time,
    content_id,
    integer,
    reject,
    text,
    top_level_keys,
)
from threatmatrix.telemetry.readers.messages import opened
from threatmatrix.telemetry.readers.ocsf_fields import GIVES
from threatmatrix.telemetry.readers.parts import first_text, part, path_of
from threatmatrix.telemetry.readers.paths import classify

if TYPE_CHECKING:
    from threatmatrix.telemetry.inputs.inputs import Inputs

__all__ = ["OcsfReader"]

_AUTHENTICATION, _HTTP, _WEB_RESOURCES, _API, _DATASTORE = 3002, 4002, 6001, 6003, 6005
_READ = (_AUTHENTICATION, _HTTP, _WEB_RESOURCES, _API, _DATASTORE)
_FINDINGS = 2  # category_uid: the first digit of its classes
_OURS = "threatmatrix"
_OUTCOMES: Mapping[int | None, Outcome] = {1: "success", 2: "failure"}
_MFA = {True: "mfa", False: "no mfa"}
_S3_ARN = "arn:aws:s3:::"
_MAX_STATUS = 999


class OcsfReader:
    """OCSF as JSON: one event per line, or an array of events.

    ``api.request.data``, ``api.token`` and headers are never kept; ``X-Forwarded-For`` and the URL's host are not
    believed.
    """

    name = "ocsf"
    description = "OCSF 1.8: API, AI, authentication, HTTP and datastore activity of other products"
    form: Form = "documents"
    gives = GIVES

    def __init__(self, options: Options = NOTHING_ASKED) -> None:
        self._inputs: Inputs | None = options.inputs

    def recognises(self, first_lines: Sequence[str]) -> bool:
        """True where a record has the keys that every OCSF event must have."""
        return any({"class_uid", "metadata", "time"} <= keys for keys in top_level_keys(first_lines))

    def with_options(self, options: Options) -> Reader:
        """A reader that names concealed secrets under the user's key."""
        return OcsfReader(options)

    def parse(self, obj: Mapping[str, Any], where: Where) -> Sequence[Event]:
        """One event of theirs → one of ours."""
        metadata = part(obj, where, "metadata")
        uid = _class(obj, metadata, where)
        millis = integer(obj, where, "time")
        if millis is None:
            raise reject(where, "time", "missing")
        request, answer = part(obj, where, "http_request"), part(obj, where, "http_response")
        api = part(obj, where, "api")
        caller, user = _who(obj, where, uid)
        name = text(metadata, where, "uid")
        return (
            build_event(
                {
                    "event_id": f"ocsf:{name}" if name else content_id("ocsf", obj),
                    "time": check_time(millis * 1000, "time", where),
                    "source": "ocsf",
                    "tenant": _tenant(obj, user, metadata, where),
                    "principal": conceal(caller.principal, self._inputs),
                    "key_id": conceal(first_text(user, "credential_uid"), self._inputs),
                    "src_ip": text(part(obj, where, "src_endpoint"), where, "ip"),
                    "host": scrub(_host(obj, api, where), self._inputs),
                    "user_agent": scrub(text(request, where, "user_agent"), self._inputs),
                    "method": (text(request, where, "http_method") or "").upper() or None,
                    "endpoint": scrub(_path(request), self._inputs),
                    "request_ref": _request_ref(api, request, metadata, where),
                    "latency_ms": _milliseconds(answer.get("latency"), obj.get("duration")),
                    "status": integer(answer, where, "code", most=_MAX_STATUS),
                    "outcome": _outcome(obj, where),
                    "session": conceal(_session(obj, where) or caller.session, self._inputs),
                    "trace_id": first_text(obj.get("trace"), "uid"),
                    **self._about(obj, where, uid, api, request),
                }
            ),
        )

    def _about(
        self, obj: Mapping[str, Any], where: Where, uid: int, api: Mapping[str, Any], request: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Category, operation, and what was acted upon, by class."""
        operation = text(api, where, "operation") or text(obj, where, "activity_name")
        if uid == _AUTHENTICATION:
            mfa = obj.get("is_mfa")
            return {
                "category": "authentication",
                "operation": operation,
                "object": _MFA.get(mfa) if isinstance(mfa, bool) else None,
            }
        if uid == _HTTP:
            route = classify(_path(request) or "/")
            return {
                "category": route.category,
                "operation": route.operation,
                "model": route.model,
                "model_version": route.version,
                "input_bytes": integer(request, where, "length"),
            }
        if uid == _API:
            return self._call(obj, where, api, operation)
        stored = _web_resource(obj) if uid == _WEB_RESOURCES else _stored(obj)
        return {"category": "artifact_access", "operation": operation, "object": scrub(stored, self._inputs)}

    def _call(
        self, obj: Mapping[str, Any], where: Where, api: Mapping[str, Any], operation: str | None
    ) -> Mapping[str, Any]:
        """An API call; with a model of the ``ai_operation`` profile that of a model."""
        model = part(obj, where, "ai_model") or part(part(obj, where, "ai_agent"), where, "ai_model")
        spoken = part(obj, where, "message_context")
        kind: tuple[Category, str | None] = call_of(first_text(api.get("service"), "name"), operation or "")
        if model and kind[0] == "api_activity":
            kind = ("inference", operation)
        resource = first_text(_first(obj.get("resources")), "uid", "name")
        fields: dict[str, Any] = {
            "category": kind[0],
            "operation": kind[1] or operation,
            "model": model_of(first_text(model, "name", "model_name", "uid")) or _asked_model(api),
            "model_version": first_text(model, "version"),
        }
        if kind[0] == "inference":
            tokens = (integer(spoken, where, f"{side}_tokens") for side in ("prompt", "completion"))
            fields.update(zip(("tokens_in", "tokens_out"), tokens, strict=True))
        else:
            fields["object"] = scrub(resource and resource.removeprefix(_S3_ARN), self._inputs)
        return fields


def _asked_model(api: Mapping[str, Any]) -> str | None:
    """The model that an AWS call names in its parameters, which Amazon Security Lake keeps as a text."""
    request = api.get("request")
    return model_in(opened(request.get("data"))) if isinstance(request, dict) else None


def _class(obj: Mapping[str, Any], metadata: Mapping[str, Any], where: Where) -> int:
    """The class, where it is one that is read."""
    uid = integer(obj, where, "class_uid")
    if uid in _READ:
        return uid
    if uid is not None and uid // 1000 == _FINDINGS:
        ours = first_text(metadata.get("product"), "name") == _OURS
        whose = "a finding or an incident of threatmatrix itself" if ours else "a finding of another product"
        raise reject(where, "class_uid", f"is {whose}: telemetry is what findings are made from")
    raise reject(where, "class_uid", f"is not a class that is read (valid: {', '.join(map(str, _READ))})")


def _who(obj: Mapping[str, Any], where: Where, uid: int) -> tuple[Caller, Mapping[str, Any]]:
    """The principal, and the user that it is from; of a login the account that logs in.

    An ARN is the identity of an AWS user; elsewhere ``uid`` is a number or a SID, and the name tells more.
    """
    actor = part(part(obj, where, "actor"), where, "user")
    subject = part(obj, where, "user") if uid == _AUTHENTICATION else {}
    for user in (subject, actor):
        identity = text(user, where, "uid")
        if identity is not None and identity.startswith("arn:"):
            return caller_of(identity), user
    user = subject or actor
    name = text(user, where, "name", "email_addr", "uid", "full_name")
    return Caller(name or first_text(obj.get("actor"), "app_name", "app_uid", "invoked_by")), user


def _tenant(obj: Mapping[str, Any], user: Mapping[str, Any], metadata: Mapping[str, Any], where: Where) -> str | None:
    for holder in (user.get("account"), part(obj, where, "cloud").get("account"), user.get("org")):
        found = first_text(holder, "uid", "name")
        if found is not None:
            return found
    return text(metadata, where, "tenant_uid")


def _host(obj: Mapping[str, Any], api: Mapping[str, Any], where: Where) -> str | None:
    """The service, or the server. The host of the URL is not believed: a client writes it."""
    service = first_text(api.get("service"), "name") or first_text(obj.get("service"), "name")
    return service or first_text(part(obj, where, "dst_endpoint"), "hostname", "svc_name", "ip")


def _path(request: Mapping[str, Any]) -> str | None:
    return path_of(first_text(request.get("url"), "path", "url_string", "text"))


def _request_ref(
    api: Mapping[str, Any], request: Mapping[str, Any], metadata: Mapping[str, Any], where: Where
) -> str | None:
    return (
        first_text(api.get("request"), "uid") or text(request, where, "uid") or text(metadata, where, "correlation_uid")
    )


def _milliseconds(*values: object) -> float | None:
    for value in values:
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e15:
            return float(value)
    return None


def _outcome(obj: Mapping[str, Any], where: Where) -> Outcome | None:
    found = _OUTCOMES.get(integer(obj, where, "status_id"))
    if found is None:
        word = (first_text(obj, "status") or "").lower()
        found = "success" if word == "success" else "failure" if word == "failure" else None
    return found


def _session(obj: Mapping[str, Any], where: Where) -> str | None:
    for holder in (obj.get("message_context"), obj.get("session"), part(obj, where, "actor").get("session")):
        found = first_text(holder, "uid")
        if found is not None:
            return found
    return None


def _first(values: object) -> object:
    return values[0] if isinstance(values, list) and values else None


def _web_resource(obj: Mapping[str, Any]) -> str | None:
    found = first_text(_first(obj.get("web_resources")), "url_string", "name", "uid")
    return found and found.split("?", 1)[0]


def _stored(obj: Mapping[str, Any]) -> str | None:
    """Bucket and file, or database and table."""
    bucket, table = obj.get("databucket"), obj.get("table")
    held = bucket.get("file") if isinstance(bucket, dict) else None
    names = (first_text(bucket, "name", "uid"), first_text(held, "path", "name"))
    if not any(names):
        names = (first_text(obj.get("database"), "name", "uid"), first_text(table, "name", "uid"))
    return "/".join(filter(None, names)) or None
