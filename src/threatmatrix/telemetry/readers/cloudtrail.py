"""AWS CloudTrail: who did what with which service; console logins; who ran which model.

Source: AWS CloudTrail User Guide, "CloudTrail record contents", "CloudTrail userIdentity element" and "AWS Management
Console sign-in events"; event versions 1.05 to 1.11.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from threatmatrix.model.event import Category, Event, Outcome
from threatmatrix.telemetry.building import build_event
from threatmatrix.telemetry.inputs.secrets import conceal, scrub
from threatmatrix.telemetry.readers.aws import call_of, http_status, model_in
from threatmatrix.telemetry.readers.base import (
    NOTHING_ASKED,
    Form,
    Options,
    Reader,
    Where,
    content_id,
    reject,
    seconds_or_iso,
    text,
    top_level_keys,
)
from threatmatrix.telemetry.readers.identities import identity_of
from threatmatrix.telemetry.readers.messages import opened
from threatmatrix.telemetry.readers.parts import Gathering, checked, first_text, listed, part

if TYPE_CHECKING:
    from threatmatrix.telemetry.inputs.inputs import Inputs

__all__ = ["CloudTrailReader"]

# What S3 has, what ``aws cloudtrail lookup-events`` prints.
_DOCUMENTS = ("Records", "Events")
_MARKS = ({"eventSource", "eventName", "eventTime"}, {"CloudTrailEvent"})
_IN_DOCUMENTS = (
    ("Records", "eventSource", "userIdentity"),
    ("detail-type", "eventSource", "eventName"),
    ("Events", "CloudTrailEvent"),
)
_SIGN_IN = "signin.amazonaws.com"
_ADDRESS = re.compile(r"[0-9.]{7,15}|(?=[^:]{0,4}:)[0-9a-fA-F:.]{2,45}", re.ASCII)
_FAILURE = "Failure"
_ANONYMOUS = "ANONYMOUS_PRINCIPAL"  # stands as the account of a caller without credentials
# Parameters that name what a call is about.
_RESOURCES = re.compile(r"\w*(?:Arn|ARN|Name|Identifier|Id)")

_COMMON = {
    "event_id": "`cloudtrail:` + `eventID`, or a hash of the record",
    "time": "`eventTime`",
    "source": "`cloudtrail`",
    "category": "told by `eventSource` and `eventName`",
    "operation": "`eventName`",
    "tenant": "`userIdentity.accountId`, or `recipientAccountId`",
    "principal": "`userIdentity`: ARN (of an assumed role the role), or the calling service, or the user name",
    "key_id": "`userIdentity.accessKeyId`, or `credentialId`",
    "src_ip": "`sourceIPAddress`, where it is an address",
    "host": "`eventSource`",
    "user_agent": "`userAgent`",
    "request_ref": "`requestID`",
    "status": "the HTTP status that goes with `errorCode`",
    "outcome": "`errorCode`, `errorMessage`",
    "session": "session of the assumed role",
}
_RESOURCE = "first of `resources`, or of `requestParameters`"
_MODEL = "`modelId`, `modelIdentifier`, `endpointName` or `modelName` of `requestParameters`"
_GIVES: Mapping[Category, Mapping[str, str]] = {
    "inference": {
        **_COMMON,
        "operation": "`eventName`: `chat` for Converse, `infer` for InvokeModel and InvokeEndpoint",
        "model": _MODEL,
    },
    "model_access": {
        **_COMMON,
        "operation": "`metadata`",
        "object": f"{_RESOURCE}, or `eventName`",
        "model": _MODEL,
    },
    "artifact_access": {
        **_COMMON,
        "object": "`bucketName`/`key` of `requestParameters`",
        "input_bytes": "`additionalEventData.bytesTransferredIn`",
    },
    "authentication": {
        **_COMMON,
        "object": "`mfa` or `no mfa`: `additionalEventData.MFAUsed`",
        "outcome": "`responseElements` or `serviceEventDetails`, `errorCode`, `errorMessage`",
    },
    "api_activity": {**_COMMON, "object": _RESOURCE, "model": _MODEL},
}


class CloudTrailReader:
    """CloudTrail records: the documents in S3 (``{"Records": […]}``, gzip), an array, or one record per line; as they
    are, as Amazon EventBridge passes them on, or as ``lookup-events`` prints them.

    ``requestParameters`` and ``responseElements`` are never kept but for the names of what was acted upon. The
    ``clientProvidedHostHeader`` is not believed: a client writes it.
    """

    name = "cloudtrail"
    description = "AWS CloudTrail: API calls, console logins, access to S3 objects"
    form: Form = "documents"
    gives = _GIVES

    def __init__(self, options: Options = NOTHING_ASKED) -> None:
        self._inputs: Inputs | None = options.inputs

    def recognises(self, first_lines: Sequence[str]) -> bool:
        """True where a record has the keys of CloudTrail, or where a document begins that has records with them."""
        if any(mark <= keys for keys in top_level_keys(first_lines) for mark in _MARKS):
            return True
        start = first_lines[0] if first_lines else ""
        return any(all(f'"{word}"' in start for word in mark) for mark in _IN_DOCUMENTS)

    def with_options(self, options: Options) -> Reader:
        """A reader that names concealed secrets under the user's key."""
        return CloudTrailReader(options)

    def parse(self, obj: Mapping[str, Any], where: Where) -> Sequence[Event]:
        """One record → one event; a document → those of all its records."""
        key = next((key for key in _DOCUMENTS if key in obj), None)
        if key is None:
            inner = obj.get("detail") if "detail-type" in obj else obj  # Amazon EventBridge wraps each record
            return (self._event(checked(inner, where), where),)
        gathering = Gathering(where)
        for place, item in listed(obj, where, key):
            with gathering.record(place, item) as events:
                record = checked(item, where)
                if key == "Events":
                    record = checked(opened(record.get("CloudTrailEvent")), where)
                events.append(self._event(record, where))
        return gathering.events()

    def _event(self, obj: Mapping[str, Any], where: Where) -> Event:
        service, name = text(obj, where, "eventSource"), text(obj, where, "eventName")
        if service is None or name is None:
            raise reject(where, "eventName" if service else "eventSource", "missing")
        time = seconds_or_iso(obj, where, "eventTime")
        if time is None:
            raise reject(where, "eventTime", "missing")
        identity = part(obj, where, "userIdentity")
        caller = identity_of(identity, where, text(obj, where, "awsRegion") or "")
        event, error = text(obj, where, "eventID"), text(obj, where, "errorCode")
        category, operation = _kind(service, name)
        address = text(obj, where, "sourceIPAddress")
        return build_event(
            {
                "event_id": f"cloudtrail:{event}" if event else content_id("cloudtrail", obj),
                "time": time,
                "source": "cloudtrail",
                "category": category,
                "operation": operation,
                "tenant": _account(identity, where) or text(obj, where, "recipientAccountId"),
                "principal": conceal(caller.principal, self._inputs),
                "key_id": conceal(text(identity, where, "accessKeyId", "credentialId"), self._inputs),
                "src_ip": address if address and _ADDRESS.fullmatch(address) else None,
                "host": service,
                "user_agent": scrub(_unwrapped(text(obj, where, "userAgent")), self._inputs),
                "request_ref": text(obj, where, "requestID", "requestId"),
                "status": None if error is None else http_status(error),
                "outcome": _outcome(obj, name, error),
                "session": conceal(caller.session, self._inputs),
                **self._about(category, obj, name),
            }
        )

    def _about(self, category: Category, obj: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        """What was acted upon, by the kind of call; odd parameters are the caller's, and hide nothing."""
        asked = obj.get("requestParameters")
        if category == "inference":
            return {"model": model_in(asked)}
        if category == "artifact_access":
            moved = _dict(obj.get("additionalEventData")).get("bytesTransferredIn")
            return {"object": scrub(_s3_object(asked), self._inputs), "input_bytes": _size(moved)}
        if category == "authentication":
            return {"object": _mfa(obj.get("additionalEventData"))}
        found = scrub(_resource(obj), self._inputs)
        return {"object": found or (name if category == "model_access" else None), "model": model_in(asked)}


def _kind(service: str, name: str) -> tuple[Category, str]:
    return ("authentication", name) if service == _SIGN_IN else call_of(service, name)


def _account(identity: Mapping[str, Any], where: Where) -> str | None:
    account = text(identity, where, "accountId")
    return None if account == _ANONYMOUS else account


def _outcome(obj: Mapping[str, Any], name: str, error: str | None) -> Outcome:
    """A sign-in says how it ended under its own name, in one of two places; other calls have an error or not."""
    for place in ("responseElements", "serviceEventDetails"):
        if first_text(obj.get(place), name) == _FAILURE:
            return "failure"
    return "failure" if error or first_text(obj, "errorMessage") else "success"


def _mfa(details: object) -> str | None:
    return {"Yes": "mfa", "No": "no mfa"}.get(first_text(details, "MFAUsed") or "")


def _s3_object(asked: object) -> str | None:
    bucket, key = first_text(asked, "bucketName"), first_text(asked, "key")
    return f"{bucket}/{key}" if bucket and key else bucket or key


def _resource(obj: Mapping[str, Any]) -> str | None:
    """ARN or name of the first thing that the record names."""
    resources = obj.get("resources")
    if isinstance(resources, list):
        found = next(filter(None, (first_text(resource, "ARN", "ARNPrefix") for resource in resources)), None)
        if found is not None:
            return found
    for key, value in _dict(obj.get("requestParameters")).items():
        if isinstance(value, str) and value and _RESOURCES.fullmatch(key):
            return value
    return None


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _size(value: object) -> int | None:
    """Bytes; CloudTrail writes them with a fraction (``524.0``)."""
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def _unwrapped(agent: str | None) -> str | None:
    """Amazon S3 puts the User-Agent in brackets."""
    return agent[1:-1] if agent and agent.startswith("[") and agent.endswith("]") else agent
