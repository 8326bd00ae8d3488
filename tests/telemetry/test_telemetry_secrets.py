"""A secret in the place of a name never reaches an event; names stay as they are."""

from __future__ import annotations

import string
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.telemetry.cloud_reading import event_of, events_of, options
from tests.telemetry.records_cloud import CHAT, CLOUDTRAIL_API, LITELLM_FAILURE, LITELLM_TOOL, OCSF_AI, span, traces

from threatmatrix.telemetry.inputs.inputs import Inputs
from threatmatrix.telemetry.inputs.keys import Key, Keyring
from threatmatrix.telemetry.inputs.secrets import CONCEALED, conceal, scrub

INPUTS = options().inputs
OTHER = options(b"y" * 32).inputs
SECRETS = [
    "sk-1234",
    "sk-proj-Ab12Cd34Ef56Gh78",
    "sk-ant-api03-abcdefgh",
    "Bearer sk-1234",
    "bearer AbCdEf123456",
    "Basic dXNlcjpwYXNz",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "github_pat_11ABCDEFG0123456789_abc",
    "glpat-abcdEFGH12345678",
    "xoxb-17653672481-19874698323-pdFZKVeTuE8sk7oOHcbrzqgy",
    "AIzaSyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
    "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH",
    "AKfy7Qz0pLw2Xv9Rt4Bn6Mk1Jh8Gd3Fs5Aq7Ze2C",
    "3f786850e387550fdab836ed7e6dc881de23001b0",
    "-----BEGIN RSA PRIVATE KEY-----MIIEow",
]
NAMES = [
    "ana",
    "key-7",
    "key_b2",
    "default_user_id",
    "jane.doe@example.com",
    "arn:aws:sts::111122223333:assumed-role/ProductionWorkloadRole2024/i-0abcdef1234567890",
    "arn:aws-us-gov:iam::111122223333:user/a/very/long/path/under/Which/users2/Are3/kept4/ana",
    "AROAIDPPEZS35WEXAMPLE:AssumedRoleSessionName",
    "AKIAIOSFODNN7EXAMPLE",
    "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    "user-f81d4fae-7dec-11d0-a765-00a0c91e6bf6-in-production",
    "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
    "accounts.google.com:1234567890-abcdefghijklmnop0123456789abcdef.apps.googleusercontent.com:99",
    "system:serviceaccount:ml-platform:inference-gateway-service-account-production",
    "spiffe://cluster.local/ns/default/sa/a-service-account-with-a-long-name-2",
    "threatmatrix-inference-deployment-7c5ddbdf54-2l7kx-eu-west-1",
    "IAMRoleForProductionSageMakerExecutionAndTraining2",
    "CN=frontend 2,OU=ML platform,O=Example",
    "sk-learn",
    "",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_becomes_a_name_that_only_the_key_gives(secret: str) -> None:
    named = conceal(secret, INPUTS)
    assert named.startswith("key_")
    assert len(named) == len("key_") + 12
    assert named == conceal(secret, INPUTS) != conceal(secret, OTHER)
    assert conceal(secret, None) == CONCEALED


@pytest.mark.parametrize("name", NAMES)
def test_a_name_stays(name: str) -> None:
    assert conceal(name, INPUTS) == name
    assert scrub(name, INPUTS) == name


def test_the_same_key_has_one_name_with_and_without_its_scheme() -> None:
    bare = conceal("sk-1234", INPUTS)
    assert conceal("Bearer sk-1234", INPUTS) == bare
    assert conceal("user:sk-1234", INPUTS) == f"user:{bare}"


def test_nothing_stays_nothing() -> None:
    assert conceal(None, INPUTS) is None
    assert scrub(None, INPUTS) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("agent/1.0 (token=abcdef123)", "agent/1.0 (token=concealed)"),
        ("curl/8 Bearer abcdef.123", "curl/8 concealed"),
        ("/v1/keys/sk-abcdef123/info", "/v1/keys/concealed/info"),
        ("https://ana:pass1@hub.example/x", "https://concealed@hub.example/x"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
        ("models/da39a3ee5e6b4b0d3255bfef95601890afd80709/model.onnx",) * 2,
    ],
)
def test_tokens_in_longer_texts(text: str, shown: str) -> None:
    assert scrub(text, None) == shown


RANDOM = st.text(string.ascii_letters + string.digits, min_size=48, max_size=80).filter(
    lambda run: sum(a.isupper() != b.isupper() or a.isdigit() != b.isdigit() for a, b in pairwise(run)) > len(run) / 2
)


@given(secret=RANDOM, before=st.sampled_from(["", "user:", "key "]))
def test_long_random_runs_are_secrets(secret: str, before: str) -> None:
    if sum(map(str.isdigit, secret)) > 1:
        assert secret not in conceal(before + secret, INPUTS)


@given(words=st.lists(st.sampled_from(["Sage", "Maker", "role", "for", "worker", "eu", "7"]), min_size=1, max_size=20))
def test_long_names_of_words_are_none(words: list[str]) -> None:
    name = "-".join(words)
    assert conceal(name, INPUTS) == name


@settings(max_examples=200)
@given(value=st.text())
def test_any_text_is_taken(value: str) -> None:
    assert isinstance(conceal(value, INPUTS), str)
    assert conceal(conceal(value, INPUTS), INPUTS) == conceal(value, INPUTS), "a name is no secret"


@pytest.mark.parametrize(
    "start", ["eyJ", "-eyJ", "sk-", "bearer ", "://a:", "token=", "a@", "A1", "gh", "SG.", "0123abcd-"]
)
def test_no_pattern_takes_more_than_linear_time(start: str) -> None:
    """Under a quadratic pattern this would take minutes: a value is cut, but what is left is long enough to tell."""
    for _ in range(20):
        conceal(start * 100_000, None)
        scrub(start * 100_000, None)


KEY = "sk-abcdefgh12345678"


@pytest.mark.parametrize(
    ("source", "record"),
    [
        ("cloudtrail", {**CLOUDTRAIL_API, "userIdentity": {"type": "SAMLUser", "userName": KEY, "accessKeyId": KEY}}),
        ("cloudtrail", {**CLOUDTRAIL_API, "userAgent": f"x {KEY}", "requestParameters": {"secretId": KEY}}),
        ("cloudtrail", {**CLOUDTRAIL_API, "userIdentity": {"arn": f"arn:aws:sts::1:assumed-role/a/{KEY}"}}),
        ("ocsf", {**OCSF_AI, "actor": {"user": {"name": f"Bearer {KEY}", "credential_uid": KEY}}}),
        ("ocsf", {**OCSF_AI, "session": {"uid": KEY}, "message_context": None}),
        ("ocsf", {**OCSF_AI, "http_request": {"user_agent": f"Bearer {KEY}", "url": {"path": f"/keys/{KEY}?k={KEY}"}}}),
        ("litellm", {**LITELLM_FAILURE, "metadata": {"user_api_key_hash": KEY}}),
        ("litellm", {**LITELLM_FAILURE, "metadata": {}, "api_key": KEY, "session_id": KEY}),
        ("litellm", {**LITELLM_TOOL, "metadata": {"mcp_tool_call_metadata": {"name": KEY}, "user_agent": KEY}}),
        (
            "otel",
            traces({**CHAT, "attributes": span(1, 3, {"gen_ai.operation.name": "chat", "user.id": KEY})["attributes"]}),
        ),
        ("otel", traces(span(9, 2, {"url.path": f"/k/{KEY}", "session.id": KEY, "user_agent.original": KEY}))),
    ],
)
def test_no_reader_lets_a_key_through(source: str, record: dict[str, object]) -> None:
    for asked in (options(), options(keep_raw=True)):
        assert KEY not in repr(events_of(source, record, asked))


def test_messages_of_errors_are_not_kept() -> None:
    assert "Incorrect" not in repr(event_of("litellm", LITELLM_FAILURE, options()))


def test_the_name_of_a_secret_is_no_fingerprint_of_it_and_needs_no_projection() -> None:
    fresh = Inputs(Keyring(Key("1", b"1" * 32)))
    named = conceal("Bearer sk-abc123", fresh)
    assert fresh._under["1"]._texts is None
    for text in ("sk-abc123", "secret sk-abc123", "Bearer sk-abc123"):
        assert not (fresh.text(text, 0).input_fp or "").startswith(named.removeprefix("key_"))
