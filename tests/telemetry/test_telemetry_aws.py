"""Bedrock's invocation log and CloudTrail: what their records become."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from tests.telemetry.cloud_reading import EVERYTHING, event_of, events_of, options
from tests.telemetry.records_cloud import (
    ACCOUNT,
    BEDROCK_CONVERSE,
    BEDROCK_ERROR,
    BEDROCK_STREAM,
    CLOUDTRAIL_ACCESS,
    CLOUDTRAIL_API,
    CLOUDTRAIL_INFERENCE,
    CLOUDTRAIL_LOGIN,
    CLOUDTRAIL_MODEL,
    CLOUDTRAIL_OBJECT,
    MODEL,
    QUESTION,
    ROLE,
)

from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.readers.aws import Caller, call_of, caller_of, model_of
from threatmatrix.telemetry.readers.base import Where
from threatmatrix.telemetry.readers.cloudtrail import CloudTrailReader
from threatmatrix.telemetry.readers.parts import PartlyRead
from threatmatrix.telemetry.reading import read_events

SAMPLE = Path(__file__).resolve().parents[3] / "shared" / "samples" / "bedrock.jsonl"
SSO = f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_Dev_0a1b"
MIDNIGHT = 1_767_225_600_000_000


def test_bedrock_event() -> None:
    asked = '[{"content":"You sort parcels.","role":"system"},{"content":"' + QUESTION + '","role":"user"}]'
    assert event_of("bedrock", BEDROCK_CONVERSE) == Event(
        event_id="bedrock:0b6c41aa-8d7c-4f5e-9d0a-2f3b7c1d9e10",
        time=MIDNIGHT,
        source="bedrock",
        category="inference",
        operation="chat",
        tenant=ACCOUNT,
        principal=ROLE,
        host="bedrock.amazonaws.com",
        model=MODEL,
        request_ref="0b6c41aa-8d7c-4f5e-9d0a-2f3b7c1d9e10",
        input_bytes=len(asked),
        tokens_in=112,
        tokens_out=34,
        latency_ms=302.0,
        status=200,
        outcome="success",
        decision="deny",
        session="worker-7",
    )


def test_bedrock_stream_of_parts() -> None:
    event = event_of("bedrock", BEDROCK_STREAM, EVERYTHING)
    assert (event.operation, event.latency_ms, event.decision) == ("infer", 1204.0, "allow")
    assert (event.principal, event.session) == (f"arn:aws:iam::{ACCOUNT}:user/ana", None)
    assert event.input_raw == '[{"content":"sort seventeen","role":"user"}]'


def test_bedrock_error_and_a_body_that_lies_elsewhere() -> None:
    event = event_of("bedrock", BEDROCK_ERROR, options())
    assert (event.status, event.outcome, event.latency_ms) == (429, "failure", None)
    assert event.input_fp is event.input_bytes is event.tokens_in is event.tokens_out is None
    assert event_of("bedrock", {**BEDROCK_ERROR, "errorCode": "BrandNewException"}).status is None


@pytest.mark.parametrize(
    ("body", "raw"),
    [
        ({"inputText": "sort"}, '[{"content":"sort","role":"user"}]'),
        ({"texts": ["a", "b"]}, '[{"content":"a","role":"user"},{"content":"b","role":"user"}]'),
        (
            {"system": "be brief", "messages": [{"role": "user", "content": "sort"}]},
            '[{"content":"be brief","role":"system"},{"content":"sort","role":"user"}]',
        ),
        ('{"prompt": "sort"}', '[{"content":"sort","role":"user"}]'),
        ({"tensor": [1, 2]}, '{"tensor":[1,2]}'),
        ("sort", '"sort"'),
    ],
)
def test_bedrock_bodies_of_several_models(body: Any, raw: str) -> None:
    record = {**BEDROCK_CONVERSE, "input": {"inputBodyJson": body}}
    assert event_of("bedrock", record, EVERYTHING).input_raw == raw


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("timestamp", None),
        ("timestamp", "yesterday"),
        ("modelId", None),
        ("modelId", 7),
        ("identity", "ana"),
        ("input", []),
        ("output", "x"),
        ("schemaType", "SomethingElse"),
        ("accountId", 1),
    ],
)
def test_bedrock_refuses_by_key(key: str, value: Any) -> None:
    with pytest.raises(FormatError) as error:
        event_of("bedrock", {**BEDROCK_CONVERSE, key: value})
    assert (error.value.key, error.value.line) == (key, 4)


def test_bedrock_takes_a_crooked_answer() -> None:
    """The answer is written by a model: it must not take its request out of sight."""
    for answer in ({"metrics": {"latencyMs": "fast"}}, {"metrics": []}, [[], 1, None], "text", {"stopReason": 7}):
        event = event_of("bedrock", {**BEDROCK_CONVERSE, "output": {"outputBodyJson": answer}})
        assert (event.latency_ms, event.decision, event.status) == (None, None, 200)


@pytest.mark.parametrize(
    ("arn", "caller"),
    [
        (f"{ROLE}/any-name-that-the-caller-likes", Caller(ROLE, "any-name-that-the-caller-likes")),
        (f"{SSO}/ana@example.com", Caller(f"{SSO}/ana@example.com")),
        (f"arn:aws:iam::{ACCOUNT}:user/team/ana", Caller(f"arn:aws:iam::{ACCOUNT}:user/team/ana")),
        (ROLE, Caller(ROLE)),
        (None, Caller(None)),
    ],
)
def test_a_session_name_does_not_make_another_principal(arn: str | None, caller: Caller) -> None:
    assert caller_of(arn) == caller


def test_calls_and_models() -> None:
    assert call_of("sagemaker.amazonaws.com", "InvokeEndpoint") == ("inference", "infer")
    assert call_of("bedrock.amazonaws.com", "ListFoundationModels") == ("model_access", "metadata")
    settings = "GetModelInvocationLoggingConfiguration"
    assert call_of("bedrock.amazonaws.com", settings) == ("api_activity", settings)
    assert call_of("ec2.amazonaws.com", "DescribeInstances") == ("api_activity", "DescribeInstances")
    assert call_of("s3.amazonaws.com", "GetObject") == ("artifact_access", "GetObject")
    assert call_of("s3.amazonaws.com", "PutBucketPolicy") == ("api_activity", "PutBucketPolicy")
    assert model_of("arn:aws:bedrock:us-east-1:1:application-inference-profile/ab12") == "ab12"
    assert model_of("eu.house.sorter-v1:0") == "eu.house.sorter-v1:0"


def test_cloudtrail_inference() -> None:
    assert event_of("cloudtrail", CLOUDTRAIL_INFERENCE) == Event(
        event_id="cloudtrail:e-1",
        time=MIDNIGHT + 1_000_000,
        source="cloudtrail",
        category="inference",
        operation="chat",
        tenant=ACCOUNT,
        principal=ROLE,
        key_id="ASIAEXAMPLEKEY",
        src_ip="198.51.100.7",
        host="bedrock.amazonaws.com",
        user_agent="Boto3/1.40 md/Botocore#1.40 lang/python#3.12",
        model=MODEL,
        request_ref=BEDROCK_CONVERSE["requestId"],
        status=429,
        outcome="failure",
        session="worker-7",
    )


def test_cloudtrail_access_to_a_model() -> None:
    event = event_of("cloudtrail", CLOUDTRAIL_ACCESS)
    assert (event.category, event.operation, event.object, event.model) == (
        "model_access",
        "metadata",
        "labels",
        "labels",
    )
    listing = {**CLOUDTRAIL_ACCESS, "eventName": "ListEndpoints", "requestParameters": {"maxResults": 9}}
    assert event_of("cloudtrail", listing).object == "ListEndpoints"


def test_cloudtrail_access_to_an_object() -> None:
    event = event_of("cloudtrail", CLOUDTRAIL_OBJECT)
    assert (event.category, event.operation) == ("artifact_access", "PutObject")
    assert event.object == "house-models/labels/3/model.onnx"
    assert (event.input_bytes, event.outcome, event.user_agent) == (524, "failure", "aws-cli/2.17")
    many = {**CLOUDTRAIL_OBJECT, "eventName": "DeleteObjects", "requestParameters": {"bucketName": "house-models"}}
    assert event_of("cloudtrail", many).object == "house-models"


def test_cloudtrail_failed_login_is_the_users_own() -> None:
    event = event_of("cloudtrail", CLOUDTRAIL_LOGIN)
    assert (event.category, event.operation, event.outcome) == ("authentication", "ConsoleLogin", "failure")
    assert (event.principal, event.object) == (f"arn:aws:iam::{ACCOUNT}:user/ana", "no mfa")
    later = {
        **CLOUDTRAIL_LOGIN,
        "userIdentity": {**CLOUDTRAIL_LOGIN["userIdentity"], "arn": f"arn:aws:iam::{ACCOUNT}:user/ana"},
        "errorMessage": None,
        "responseElements": {"ConsoleLogin": "Success"},
        "additionalEventData": {"MFAUsed": "Yes"},
    }
    after = event_of("cloudtrail", later)
    assert (after.principal, after.outcome, after.object) == (event.principal, "success", "mfa")


@pytest.mark.parametrize(
    ("identity", "principal"),
    [
        ({"type": "Root", "accountId": ACCOUNT}, f"arn:aws:iam::{ACCOUNT}:root"),
        ({"type": "IAMUser", "accountId": ACCOUNT, "userName": "HIDDEN_DUE_TO_SECURITY_REASONS"}, None),
        ({"type": "AWSService", "invokedBy": "sagemaker.amazonaws.com"}, "sagemaker.amazonaws.com"),
        ({"type": "AWSAccount", "principalId": "AIDAX:other", "accountId": "444455556666"}, "AIDAX:other"),
        ({"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}, "ANONYMOUS_PRINCIPAL"),
        ({"type": "SAMLUser", "principalId": "x=:ana", "userName": "ana"}, "ana"),
        ({"type": "Unknown", "principalId": ACCOUNT, "arn": "", "userName": "ana"}, "ana"),
        ({"type": "Unknown", "principalId": ACCOUNT, "onBehalfOf": {"userId": "u-1"}}, "u-1"),
        ({"type": "Unknown", "principalId": ACCOUNT}, None),
        ({"type": "IdentityCenterUser", "onBehalfOf": {"userId": "u-1"}, "credentialId": "c-1"}, "u-1"),
        (None, None),
    ],
)
def test_cloudtrail_identities(identity: dict[str, Any] | None, principal: str | None) -> None:
    event = event_of("cloudtrail", {**CLOUDTRAIL_API, "userIdentity": identity})
    assert event.principal == principal
    assert event.tenant in (ACCOUNT, "444455556666"), "an account without credentials is nobody's tenant"
    assert event.key_id == (identity or {}).get("credentialId")


def test_cloudtrail_partitions() -> None:
    identity = {"type": "Root", "accountId": ACCOUNT}
    for region, partition in (("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("eu-west-1", "aws")):
        event = event_of("cloudtrail", {**CLOUDTRAIL_API, "userIdentity": identity, "awsRegion": region})
        assert event.principal == f"arn:{partition}:iam::{ACCOUNT}:root"


@pytest.mark.parametrize(
    ("address", "src_ip"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:198.51.100.7", "::ffff:198.51.100.7"),
        ("lambda.amazonaws.com", None),
        ("AWS Internal", None),
        ("beef", None),
    ],
)
def test_cloudtrail_addresses(address: str, src_ip: str | None) -> None:
    assert event_of("cloudtrail", {**CLOUDTRAIL_API, "sourceIPAddress": address}).src_ip == src_ip


def test_cloudtrail_sign_in_outcomes() -> None:
    service = {**CLOUDTRAIL_LOGIN, "eventName": "UserAuthentication", "errorMessage": None, "responseElements": None}
    for word, outcome in (("Success", "success"), ("Failure", "failure")):
        assert (
            event_of("cloudtrail", {**service, "serviceEventDetails": {"UserAuthentication": word}}).outcome == outcome
        )


def test_cloudtrail_names_what_was_acted_upon() -> None:
    assert event_of("cloudtrail", CLOUDTRAIL_API).object == "ana"
    event = event_of("cloudtrail", CLOUDTRAIL_MODEL)
    assert (event.category, event.operation, event.object, event.model) == (
        "api_activity",
        "CreateModel",
        "labels",
        "labels",
    )
    role = {**CLOUDTRAIL_API, "resources": [{"type": "AWS::IAM::Role"}, {"ARN": "arn:aws:iam::1:role/x"}]}
    assert event_of("cloudtrail", role).object == "arn:aws:iam::1:role/x"
    for odd in (None, [], "x", {"userName": {"deep": 1}}, {"count": 3}):
        assert event_of("cloudtrail", {**CLOUDTRAIL_API, "requestParameters": odd}).object is None


def test_cloudtrail_document_with_one_bad_record() -> None:
    bad = {**CLOUDTRAIL_API, "eventTime": "2026-13-01", "eventID": "secret-id"}
    document = {"Records": [CLOUDTRAIL_ACCESS, bad, CLOUDTRAIL_API, "x"]}
    with pytest.raises(PartlyRead) as error:
        events_of("cloudtrail", document)
    assert [event.event_id for event in error.value.events] == ["cloudtrail:e-2", "cloudtrail:e-6"]
    assert [(record, problem.key) for record, problem in error.value.refused] == [
        (bad, "Records[1].eventTime"),
        ("x", "Records[3]"),
    ]
    assert "must be an ISO 8601 time" in str(error.value)
    assert "2026-13" not in str(error.value)
    assert [event.event_id for event in events_of("cloudtrail", {"Records": [CLOUDTRAIL_API]})] == ["cloudtrail:e-6"]
    assert events_of("cloudtrail", {"Records": []}) == []
    for odd in ({"Records": {}}, {"detail-type": "x", "detail": "y"}, {"Events": [{"CloudTrailEvent": "no JSON"}]}):
        with pytest.raises(FormatError):
            CloudTrailReader().parse(odd, Where())


@pytest.mark.parametrize(
    ("source", "content", "count"),
    [
        ("cloudtrail", json.dumps({"Records": [CLOUDTRAIL_API, CLOUDTRAIL_LOGIN]}), 2),
        ("cloudtrail", json.dumps({"Records": [CLOUDTRAIL_API, CLOUDTRAIL_LOGIN]}, indent=2), 2),
        ("cloudtrail", json.dumps([CLOUDTRAIL_API, CLOUDTRAIL_LOGIN], indent=2), 2),
        ("cloudtrail", json.dumps({"detail-type": "AWS API Call via CloudTrail", "detail": CLOUDTRAIL_API}), 1),
        ("cloudtrail", json.dumps({"Events": [{"CloudTrailEvent": json.dumps(CLOUDTRAIL_API)}]}, indent=4), 1),
        ("cloudtrail", json.dumps({"Events": [{"CloudTrailEvent": json.dumps(CLOUDTRAIL_API)}] * 2}), 2),
        ("cloudtrail", json.dumps(CLOUDTRAIL_API) + "\n" + json.dumps(CLOUDTRAIL_LOGIN), 2),
        ("bedrock", json.dumps(BEDROCK_CONVERSE) + "\n" + json.dumps(BEDROCK_ERROR), 2),
        ("bedrock", json.dumps(BEDROCK_CONVERSE, indent=2), 1),
    ],
)
def test_files_as_they_lie_in_s3(tmp_path: Path, source: str, content: str, count: int) -> None:
    path = tmp_path / "log.json.gz"
    path.write_bytes(gzip.compress(content.encode()))
    events = [event for batch in read_events([path], "auto") for event in batch]
    assert {event.source for event in events} == {source}
    assert len(events) == count


def test_a_record_that_bedrock_wrote() -> None:
    if not SAMPLE.exists():
        pytest.skip("needs ../shared")
    event = event_of("bedrock", json.loads(SAMPLE.read_text()))
    assert (event.tokens_in, event.tokens_out, event.latency_ms, event.operation) == (35, 446, 3640.0, "chat")
    assert event.input_bytes == len('[{"content":"hi","role":"user"}]')
