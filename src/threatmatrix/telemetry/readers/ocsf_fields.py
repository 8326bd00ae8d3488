"""Which fields the OCSF reader gives, and from what."""

from __future__ import annotations

from collections.abc import Mapping

from threatmatrix.model.event import Category

__all__ = ["GIVES"]

_COMMON = {
    "event_id": "`ocsf:` + `metadata.uid`, or a hash of the record",
    "time": "`time` (milliseconds)",
    "source": "`ocsf`",
    "category": "told by `class_uid`",
    "operation": "`api.operation` or `activity_name`",
    "tenant": "`uid` of `user.account`, `cloud.account` or `user.org`, or `metadata.tenant_uid`",
    "principal": "`actor.user`: `uid` where it is an ARN, or `name`, `email_addr`, `uid`; or `actor.app_name`",
    "key_id": "`actor.user.credential_uid`",
    "src_ip": "`src_endpoint.ip`",
    "host": "`api.service.name`, or `service.name`, or `dst_endpoint`",
    "user_agent": "`http_request.user_agent`",
    "method": "`http_request.http_method`",
    "endpoint": "`http_request.url.path`",
    "request_ref": "`api.request.uid`, or `http_request.uid`, or `metadata.correlation_uid`",
    "latency_ms": "`http_response.latency`, or `duration`",
    "status": "`http_response.code`",
    "outcome": "`status_id` or `status`",
    "session": "`uid` of `message_context`, `session` or `actor.session`",
    "trace_id": "`trace.uid`",
}
_NAMED = "`ai_model.name`, or named in `api.request.data`"
_MODEL = {"model": _NAMED, "model_version": "`ai_model.version`"}
_PATH = {
    **_COMMON,
    "category": "told by the path",
    "operation": "told by the path",
    "input_bytes": "`http_request.length`",
}

GIVES: Mapping[Category, Mapping[str, str]] = {
    "inference": {
        **_COMMON,
        "category": "`ai_model` in an API call (6003), the service and operation, or told by the path (4002)",
        "model": "`ai_model.name`, or named in `api.request.data`, or told by the path",
        "model_version": "`ai_model.version`, or told by the path",
        "tokens_in": "`message_context.prompt_tokens`",
        "tokens_out": "`message_context.completion_tokens`",
        "input_bytes": "`http_request.length`",
    },
    "model_access": {
        **_PATH,
        **_MODEL,
        "category": "told by service and operation, or by the path",
        "object": "`resources`",
    },
    "artifact_access": {
        **_COMMON,
        "object": "`databucket` and its file, `database` and `table`, `web_resources`, or the S3 object of `resources`",
    },
    "authentication": {
        **_COMMON,
        "object": "`mfa` or `no mfa`: `is_mfa`",
        "principal": "`user` or `actor.user`: `uid` where it is an ARN, or `name`, `email_addr`, `uid`",
        "key_id": "`user.credential_uid`",
    },
    "api_activity": {**_COMMON, "model": _NAMED, "object": "`uid` or `name` of the first of `resources`"},
    "http": _PATH,
}
