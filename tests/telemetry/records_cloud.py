"""Records of the cloud's logs with values of our own, in the forms that their documentation shows."""

from __future__ import annotations

import json
from typing import Any

QUESTION = "where is parcel seventeen, and who has carried it since this morning"  # long enough for a vector
ARGUMENTS = {"input": "what was left at the depot, to be fetched by the second van", "parcel": 17}
ACCOUNT = "111122223333"
ROLE = f"arn:aws:sts::{ACCOUNT}:assumed-role/parcel-bot"
MODEL = "house.sorter-2-v1:0"

BEDROCK_CONVERSE: dict[str, Any] = {
    "schemaType": "ModelInvocationLog",
    "schemaVersion": "1.0",
    "timestamp": "2026-01-01T00:00:00Z",
    "accountId": ACCOUNT,
    "identity": {"arn": f"{ROLE}/worker-7"},
    "region": "eu-west-1",
    "requestId": "0b6c41aa-8d7c-4f5e-9d0a-2f3b7c1d9e10",
    "operation": "ConverseStream",
    "modelId": f"arn:aws:bedrock:eu-west-1::foundation-model/{MODEL}",
    "input": {
        "inputContentType": "application/json",
        "inputBodyJson": {
            "system": [{"text": "You sort parcels."}],
            "messages": [{"role": "user", "content": [{"text": QUESTION}]}],
            "inferenceConfig": {"maxTokens": 64},
        },
        "inputTokenCount": 12,
        "cacheReadInputTokenCount": 100,
        "cacheWriteInputTokenCount": 0,
    },
    "output": {
        "outputContentType": "application/json",
        "outputBodyJson": {
            "output": {"message": {"role": "assistant", "content": [{"text": "in the van"}]}},
            "stopReason": "guardrail_intervened",
            "metrics": {"latencyMs": 302},
            "usage": {"inputTokens": 12, "outputTokens": 34, "totalTokens": 46},
        },
        "outputTokenCount": 34,
    },
    "inferenceRegion": "eu-west-1",
}
BEDROCK_STREAM: dict[str, Any] = {
    **BEDROCK_CONVERSE,
    "requestId": "1c",
    "operation": "InvokeModelWithResponseStream",
    "identity": {"arn": f"arn:aws:iam::{ACCOUNT}:user/ana"},
    "input": {"inputBodyJson": {"prompt": "sort seventeen"}, "inputTokenCount": 3},
    "output": {
        "outputBodyJson": [
            {"type": "message_start", "message": {"role": "assistant"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "van"}},
            {
                "type": "message_stop",
                "amazon-bedrock-guardrailAction": "NONE",
                "amazon-bedrock-invocationMetrics": {"invocationLatency": 1204, "firstByteLatency": 300},
            },
        ],
        "outputTokenCount": 5,
    },
}
BEDROCK_ERROR: dict[str, Any] = {
    **BEDROCK_CONVERSE,
    "requestId": "2d",
    "errorCode": "ThrottlingException",
    "input": {"inputContentType": "application/json", "inputBodyS3Path": "s3://logs/data/2d_input.json.gz"},
    "output": {"outputContentType": "application/json"},
}

_ASSUMED: dict[str, Any] = {
    "type": "AssumedRole",
    "principalId": "AROAEXAMPLE:worker-7",
    "arn": f"{ROLE}/worker-7",
    "accountId": ACCOUNT,
    "accessKeyId": "ASIAEXAMPLEKEY",
    "sessionContext": {"sessionIssuer": {"type": "Role", "arn": f"arn:aws:iam::{ACCOUNT}:role/parcel-bot"}},
}
_BASE: dict[str, Any] = {
    "eventVersion": "1.11",
    "userIdentity": _ASSUMED,
    "eventTime": "2026-01-01T00:00:01Z",
    "awsRegion": "eu-west-1",
    "sourceIPAddress": "198.51.100.7",
    "userAgent": "Boto3/1.40 md/Botocore#1.40 lang/python#3.12",
    "responseElements": None,
    "readOnly": True,
    "eventType": "AwsApiCall",
    "managementEvent": True,
    "recipientAccountId": ACCOUNT,
}
CLOUDTRAIL_INFERENCE: dict[str, Any] = {
    **_BASE,
    "eventSource": "bedrock.amazonaws.com",
    "eventName": "ConverseStream",
    "requestParameters": {"modelId": BEDROCK_CONVERSE["modelId"]},
    "errorCode": "ThrottlingException",
    "requestID": BEDROCK_CONVERSE["requestId"],
    "eventID": "e-1",
    "tlsDetails": {"clientProvidedHostHeader": "bedrock-runtime.eu-west-1.amazonaws.com"},
}
CLOUDTRAIL_ACCESS: dict[str, Any] = {
    **_BASE,
    "eventSource": "sagemaker.amazonaws.com",
    "eventName": "DescribeEndpoint",
    "errorCode": "ValidationException",
    "requestParameters": {"endpointName": "labels"},
    "requestID": "r-2",
    "eventID": "e-2",
}
CLOUDTRAIL_OBJECT: dict[str, Any] = {
    **_BASE,
    "eventSource": "s3.amazonaws.com",
    "eventName": "PutObject",
    "userAgent": "[aws-cli/2.17]",
    "requestParameters": {"bucketName": "house-models", "key": "labels/3/model.onnx", "Host": "s3.amazonaws.com"},
    "additionalEventData": {"bytesTransferredIn": 524.0, "bytesTransferredOut": 0},
    "errorCode": "AccessDenied",
    "requestID": "r-3",
    "eventID": "e-3",
    "resources": [
        {"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::house-models/labels/3/model.onnx"},
        {"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::house-models", "accountId": ACCOUNT},
    ],
}
CLOUDTRAIL_LOGIN: dict[str, Any] = {
    **_BASE,
    "userIdentity": {"type": "IAMUser", "principalId": "AIDAEXAMPLE", "accountId": ACCOUNT, "userName": "ana"},
    "eventSource": "signin.amazonaws.com",
    "eventName": "ConsoleLogin",
    "errorMessage": "Failed authentication",
    "requestParameters": None,
    "responseElements": {"ConsoleLogin": "Failure"},
    "additionalEventData": {
        "LoginTo": "https://console.aws.amazon.com/console/home?state=x",
        "MobileVersion": "No",
        "MFAUsed": "No",
    },
    "eventID": "e-4",
    "eventType": "AwsConsoleSignIn",
}
CLOUDTRAIL_SIGN_IN: dict[str, Any] = {
    **_BASE,
    "errorCode": "AccessDenied",
    "eventSource": "signin.amazonaws.com",
    "eventName": "SwitchRole",
    "requestID": "r-5",
    "eventID": "e-5",
    "additionalEventData": {"MFAUsed": "Yes"},
}
CLOUDTRAIL_API: dict[str, Any] = {
    **_BASE,
    "eventSource": "iam.amazonaws.com",
    "eventName": "CreateAccessKey",
    "requestParameters": {"userName": "ana"},
    "errorCode": "AccessDenied",
    "requestID": "r-6",
    "eventID": "e-6",
}
CLOUDTRAIL_MODEL: dict[str, Any] = {
    **_BASE,
    "eventSource": "sagemaker.amazonaws.com",
    "eventName": "CreateModel",
    "requestParameters": {
        "modelName": "labels",
        "primaryContainer": {"modelDataUrl": "s3://house-models/labels/3/model.tar.gz"},
    },
    "requestID": "r-7",
    "eventID": "e-7",
}

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def attribute(key: str, value: Any) -> dict[str, Any]:
    """An attribute in OTLP's JSON encoding."""
    return {"key": key, "value": any_value(value)}


def any_value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}  # a 64-bit integer is a text
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": [attribute(key, item) for key, item in value.items()]}}
    return {"stringValue": value}


def span(number: int, kind: int, attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "traceId": TRACE.upper(),
        "spanId": f"00f067aa0ba902{number:02x}",
        "name": "made up",
        "kind": kind,
        "startTimeUnixNano": "1767225600250000000",
        "endTimeUnixNano": "1767225601750000000",
        "attributes": [attribute(key, value) for key, value in attributes.items()],
        "status": {},
        **more,
    }


def traces(*spans: Any, **resource: Any) -> dict[str, Any]:
    attributes = [attribute(key.replace("_", "."), value) for key, value in resource.items()]
    return {
        "resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": [{"scope": {}, "spans": list(spans)}]}]
    }


CLIENT = {
    "enduser.id": "ana",
    "client.address": "198.51.100.7",
    "user_agent.original": "house-sdk/2",
    "server.address": "models.example",
    "error.type": "429",
    "gen_ai.conversation.id": "conv-3",
}
CHAT_MESSAGES = [
    {"role": "user", "parts": [{"type": "text", "content": QUESTION}]},
]
CHAT_ATTRIBUTES: dict[str, Any] = {
    **CLIENT,
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "aws.bedrock",
    "gen_ai.request.model": "sorter",
    "gen_ai.response.model": "sorter-2026-01",
    "gen_ai.response.id": "resp-9",
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.usage.output_tokens": 34,
    "gen_ai.system_instructions": [{"type": "text", "content": "You sort parcels."}],
    "gen_ai.input.messages": CHAT_MESSAGES,
}
CHAT = span(1, 3, CHAT_ATTRIBUTES)
TOOL = span(
    2,
    1,
    {
        **CLIENT,
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "find_parcel",
        "gen_ai.tool.call.id": "call-1",
        "gen_ai.tool.call.arguments": json.dumps(ARGUMENTS),
    },
)
AGENT = span(
    3,
    1,
    {
        **CLIENT,
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "sorter-agent",
        "gen_ai.request.model": "sorter",
        "gen_ai.response.model": "sorter-2026-01",
    },
)
RETRIEVAL = span(4, 3, {**CLIENT, "gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": "parcels-kb"})
_SERVER_SPAN = {
    **CLIENT,
    "http.request.method": "POST",
    "http.response.status_code": 403,
    "session.id": "s-9",
}
SERVED = span(5, 2, {**_SERVER_SPAN, "url.path": "/v2/models/labels/versions/3/infer"})
METADATA = span(6, 2, {**_SERVER_SPAN, "url.path": "/v2/models/labels/versions/3"})
PAGE = span(7, 2, {**_SERVER_SPAN, "url.path": "/login", "server.address": "evil.example"})
DATABASE = span(8, 3, {"db.system.name": "postgresql"})
DETAILS: dict[str, Any] = {
    "timeUnixNano": "1767225601750000000",
    "traceId": TRACE,
    "spanId": CHAT["spanId"],
    "eventName": "gen_ai.client.inference.operation.details",
    "attributes": CHAT["attributes"],
}

_OCSF: dict[str, Any] = {
    "time": 1767225600250,
    "severity_id": 1,
    "metadata": {"version": "1.8.0", "uid": "o-1", "product": {"name": "Broker", "vendor_name": "House"}},
    "cloud": {"provider": "House", "account": {"uid": "north"}},
    "actor": {"user": {"name": "ana", "uid": "1007", "credential_uid": "key-4"}, "session": {"uid": "s-2"}},
    "src_endpoint": {"ip": "198.51.100.7"},
    "dst_endpoint": {"hostname": "models.example"},
    "http_request": {
        "http_method": "post",
        "user_agent": "house-sdk/2",
        "url": {"path": "/v2/models/labels/versions/3/infer", "hostname": "evil.example", "query_string": "key=1"},
        "length": 812,
        "uid": "http-1",
        "x_forwarded_for": ["203.0.113.1"],
    },
    "http_response": {"code": 429, "latency": 125},
    "status_id": 2,
    "trace": {"uid": TRACE},
}


def ocsf(class_uid: int, uid: str, **changes: Any) -> dict[str, Any]:
    """An event of a class; ``changes`` replace top-level keys."""
    return {
        **_OCSF,
        "class_uid": class_uid,
        "category_uid": class_uid // 1000,
        "metadata": {**_OCSF["metadata"], "uid": uid},
        **changes,
    }


def _api(operation: str, service: str, **more: Any) -> dict[str, Any]:
    return {"operation": operation, "service": {"name": service}, "request": {"uid": f"req-{operation}"}, **more}


OCSF_AI = ocsf(
    6003,
    "o-1",
    api=_api("chat.completions", "broker"),
    ai_model={"ai_provider": "House", "name": "sorter", "version": "2026-01", "uid": "m-1"},
    message_context={"uid": "conv-3", "prompt_tokens": 12, "completion_tokens": 34, "application": {"name": "x"}},
)
OCSF_HTTP = ocsf(4002, "o-2", activity_name="Post")
OCSF_METADATA = ocsf(
    4002, "o-3", http_request={**_OCSF["http_request"], "url": {"path": "/v2/models/labels/versions/3"}}
)
OCSF_PAGE = ocsf(4002, "o-4", http_request={**_OCSF["http_request"], "url": {"path": "/login"}})
OCSF_LOGIN = ocsf(3002, "o-5", activity_name="Logon", is_mfa=False, user={"name": "li", "credential_uid": "key-5"})
OCSF_API = ocsf(
    6003, "o-6", api=_api("CreateAccessKey", "iam.amazonaws.com"), resources=[{"uid": "ana", "type": "user"}]
)
OCSF_DESCRIBE = ocsf(
    6003,
    "o-7",
    api=_api("DescribeEndpoint", "sagemaker.amazonaws.com"),
    resources=[{"name": "labels"}],
    ai_model={"name": "labels", "version": "3", "ai_provider": "House"},
)
OCSF_BUCKET = ocsf(
    6005, "o-8", activity_name="Read", databucket={"name": "house-models", "file": {"path": "labels/3/model.onnx"}}
)
OCSF_WEB = ocsf(6001, "o-9", activity_name="Export", web_resources=[{"url_string": "https://hub.example/labels?sig=1"}])
OCSF_MODEL_API = ocsf(
    6003,
    "o-10",
    api=_api("CreateModel", "sagemaker.amazonaws.com", request={"data": '{"modelName": "labels"}', "uid": "r-10"}),
)

LITELLM_SPEND: dict[str, Any] = {
    "request_id": "chatcmpl-71",
    "call_type": "aembedding",
    "api_key": "88" * 32,
    "spend": 0.0001,
    "total_tokens": 7,
    "prompt_tokens": 7,
    "completion_tokens": 0,
    "startTime": "2026-01-01T00:00:00.250000+00:00",
    "endTime": "2026-01-01T00:00:00.750000+00:00",
    "model": "house-embedder",
    "api_base": "https://models.example/v1",
    "user": "ana",
    "metadata": '{"user_api_key": "' + "88" * 32 + '", "user_api_key_alias": null, "status": "success"}',
    "cache_hit": "False",
    "request_tags": "[]",
    "team_id": "team-4",
    "end_user": "",
    "requester_ip_address": "192.0.2.44",
    "messages": {},
    "response": {},
    "session_id": "chat-3",
}
LITELLM_FAILURE: dict[str, Any] = {
    "id": "fail-1",
    "litellm_call_id": "call-78",
    "trace_id": "trace-6",
    "call_type": "acompletion",
    "status": "failure",
    "startTime": 1767225600.25,
    "endTime": 1767225600.5,
    "response_time": 0.25,
    "model": "house-model",
    "metadata": {"user_api_key_hash": "99" * 32, "user_api_key_alias": "billing-bot"},
    "error_information": {
        "error_code": "401",
        "error_class": "AuthenticationError",
        "error_message": "Incorrect key provided: sk-abcdefgh12345678",
        "traceback": "…",
    },
    "error_str": "Incorrect key provided: sk-abcdefgh12345678",
    "response": {},
    "messages": [{"role": "user", "content": QUESTION}],
}
LITELLM_TOOL: dict[str, Any] = {
    "id": "t-1",
    "litellm_call_id": "call-79",
    "call_type": "call_mcp_tool",
    "status": "success",
    "status_fields": {"guardrail_status": "success"},
    "session_id": "chat-3",
    "trace_id": "trace-7",
    "startTime": 1767225600.25,
    "endTime": 1767225600.5,
    "model": "MCP: parcels",
    "metadata": {
        "user_api_key_hash": "99" * 32,
        "user_api_key_team_id": "team-4",
        "user_api_key_request_route": "/mcp/call_tool",
        "requester_ip_address": "192.0.2.44",
        "user_agent": "house-sdk/2",
        "mcp_tool_call_metadata": {
            "name": "find_parcel",
            "namespaced_tool_name": "parcels-find_parcel",
            "mcp_server_name": "parcels",
            "arguments": ARGUMENTS,
        },
    },
}
RECORDS: dict[str, Any] = {
    "bedrock": BEDROCK_CONVERSE,
    "cloudtrail": CLOUDTRAIL_OBJECT,
    "otel": traces(CHAT),
    "ocsf": OCSF_AI,
}
