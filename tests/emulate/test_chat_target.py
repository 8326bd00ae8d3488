"""A server of the OpenAI API as its reference describes it: keys, refusals, and answers that are none."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.emulate import toys
from tests.emulate.helpers import scope
from tests.emulate.real_server import real_server
from tests.emulate.small_server import Web, small_server

from threatmatrix.emulate.accounts import AccountPool
from threatmatrix.emulate.reference.serving import model_app
from threatmatrix.emulate.reference.threaded import served
from threatmatrix.emulate.target import texts
from threatmatrix.emulate.targets import ChatClient
from threatmatrix.model.errors import TargetError, TargetRefused

KEY = "sk-test-0123456789"


class Completions:
    """Answers with the question in capitals; ``content`` overrides it."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.content: object = ...
        web.say = self.say

    def say(self, path: str, body: dict) -> tuple[int, dict[str, str], bytes]:
        headers = self.web.seen[-1][1]
        if headers.get("authorization") != f"Bearer {KEY}":
            return 401, {}, self.error("Incorrect API key provided", "invalid_api_key")
        if path == "/v1/models":
            models = [{"id": "small", "object": "model", "created": 1, "owned_by": "us"}]
            return 200, {}, json.dumps({"object": "list", "data": models}).encode()
        if body["model"] != "small":
            return 404, {}, self.error("The model does not exist", "model_not_found")
        if any(set(message) != {"role", "content"} for message in body["messages"]):
            return 400, {}, self.error("Invalid message", None)
        question = body["messages"][-1]["content"]
        content = question.upper() if self.content is ... else self.content
        message = {"role": "assistant", "content": content, "refusal": None if content else "I cannot do that"}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        answer = {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "small-0613",
            "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
            "system_fingerprint": "fp_1",
        }  # fmt: skip
        return 200, {"openai-processing-ms": "3"}, json.dumps(answer).encode()

    def error(self, message: str, code: str | None) -> bytes:
        return json.dumps(
            {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
        ).encode()


@pytest.fixture(scope="module")
def server() -> Iterator[Web]:
    with small_server() as web:
        yield web


@pytest.fixture
def service(server: Web) -> Completions:
    return Completions(server.renewed())


def client_of(service: Completions, model: str = "small", key: str = KEY, **options) -> ChatClient:
    pool = AccountPool((key,))
    signed = scope(models=("small", "large"))
    return ChatClient(f"{service.web.url}/v1", model, signed, "online-evasion", accounts=pool, **options)


def test_it_is_talked_to(service):
    with client_of(service, system="You shout.", max_tokens=7) as client:
        answer = client.ask(texts(["hello", "größe"]))
        assert answer.texts == ("HELLO", "GRÖSSE")
        assert client.read_metadata()["/models"]["data"][0]["id"] == "small"
    assert service.web.seen[0][2] == {
        "model": "small", "max_tokens": 7, "temperature": 0.0,
        "messages": [{"role": "system", "content": "You shout."}, {"role": "user", "content": "hello"}],
    }  # fmt: skip


def test_a_refusal_of_the_model_is_an_empty_text_and_that_of_the_server_a_refusal(service):
    service.content = None
    with client_of(service) as client:
        assert client.ask(texts(["x"])).texts == ("",)
    with client_of(service, key="sk-wrong-0123456789") as client, pytest.raises(TargetRefused) as refused:
        client.ask(texts(["x"]))
    assert refused.value.status == 401


@pytest.mark.parametrize("content", [3, ["a"], {"text": "a"}])
def test_a_content_that_is_no_text_is_an_error(service, content):
    service.content = content
    with client_of(service) as client, pytest.raises(TargetError, match="not that of the OpenAI API"):
        client.ask(texts(["x"]))


@pytest.mark.parametrize("said", [b"data: [DONE]\n\n", b'{"choices": []}', b'{"error": "no"}', b"[]", b"null"])
def test_what_is_no_completion_is_an_error(service, said):
    service.web.say = lambda path, body: (200, {}, said)
    with client_of(service) as client, pytest.raises(TargetError, match="not that of the OpenAI API"):
        client.ask(texts(["x"]))


def test_a_model_that_it_does_not_have_is_an_error_with_its_words(service):
    with client_of(service, model="large") as client, pytest.raises(TargetError, match=r"404.*does not exist"):
        client.ask(texts(["x"]))


@pytest.mark.nightly
def test_a_real_proxy_speaks_to_our_model_and_we_to_it(tmp_path):
    """LiteLLM asks our server as any client of the OpenAI API would, and answers us as any such server."""
    pytest.importorskip("litellm", reason="LiteLLM is not installed: pip install 'litellm[proxy]'")
    with served(model_app(toys.echo())) as ours:
        behind = {"model": "openai/echo", "api_base": f"{ours}/v1", "api_key": "unused"}
        canned = {"model": "openai/none", "api_key": "unused", "mock_response": "It is SPAM."}
        models = [{"model_name": "small", "litellm_params": behind}, {"model_name": "large", "litellm_params": canned}]
        (tmp_path / "config.json").write_text(
            json.dumps({"model_list": models, "general_settings": {"master_key": KEY}})
        )

        def command(port: int) -> list[str]:
            start = ["-c", "import litellm; litellm.run_server()", "--config", "config.json", "--host", "127.0.0.1"]
            return [*start, "--port", str(port), "--telemetry", "False"]

        with real_server(tmp_path, command, "/health/liveliness", LITELLM_LOCAL_MODEL_COST_MAP="True") as url:
            signed, pool = scope(models=("small", "large", "other")), AccountPool((KEY,))
            with ChatClient(f"{url}/v1", "small", signed, "online-evasion", accounts=pool) as client:
                assert client.ask(texts(["a b", "größe ist"])).texts == ("b a", "ist größe")
                listed = client.read_metadata()["/models"]["data"]
                assert {model["id"] for model in listed} == {"small", "large"}
            with ChatClient(
                f"{url}/v1", "large", signed, "online-evasion", class_names=("ham", "spam"), accounts=pool
            ) as client:
                assert client.labels(texts(["win", "free"])).tolist() == [1, 1]
            with (
                ChatClient(f"{url}/v1", "other", signed, "online-evasion", accounts=pool) as client,
                pytest.raises(TargetError, match="other"),
            ):
                client.ask(texts(["x"]))
