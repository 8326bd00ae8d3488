"""The reference server's side of each protocol: what it takes, what it refuses, whom it says to have been taught by."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from typing import Any

import numpy as np
import pytest
from tests.emulate import toys

from threatmatrix.emulate.reference import build_reference
from threatmatrix.emulate.reference.serving import model_app, oip_app
from threatmatrix.model.errors import UnknownNameError, UsageError


def call(app: Any, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    sent: list[Any] = []
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content}

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(app({"type": "http", "method": method, "path": path, "headers": raw}, receive, send))
    said = sent[1]["body"]
    plain = dict(sent[0]["headers"])[b"content-type"].startswith(b"text/plain")
    return sent[0]["status"], said if plain else json.loads(said)


def tensor(data: list[Any], shape: list[Any] | None = None, datatype: str = "BYTES", name: str = "input") -> Any:
    return {"inputs": [{"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data}]}


class TestOIP:
    def test_texts_go_flat_or_as_a_column(self):
        app = model_app(toys.mail())
        for data, shape in ((["free", "a"], [2]), (["free", "a"], [2, 1]), ([["free"], ["a"]], [2, 1])):
            status, said = call(app, "POST", "/v2/models/mail/infer", tensor(data, shape))
            assert status == 200
            assert [o["data"] for o in said["outputs"]] == [[1, 0], [0.0, 1.0, 1.0, 0.0]]

    def test_files_go_in_base64_and_a_model_without_scores_has_none(self):
        app = model_app(toys.files())
        data = [base64.b64encode(row).decode() for row in toys.FILES]
        asked = tensor(data) | {"outputs": [{"name": "label"}, {"name": "scores"}]}
        status, said = call(app, "POST", "/v2/models/files/infer", asked)
        assert status == 200
        assert [(o["name"], o["data"]) for o in said["outputs"]] == [("label", [2, 1, 0, 0])]
        status, said = call(app, "POST", "/v2/models/files/infer", tensor(["not base64!"]))
        assert status == 400
        assert "base64" in said["error"]

    def test_texts_come_out(self):
        app = model_app(toys.echo())
        asked = tensor(["a b"]) | {"outputs": [{"name": "text"}]}
        said = call(app, "POST", "/v2/models/echo/infer", asked)[1]
        assert said["outputs"] == [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["b a"]}]

    @pytest.mark.parametrize(
        "asked",
        [
            tensor([1, 2]), tensor([]), tensor(["a"], [2]), tensor(["a", "b"], [1]), tensor(["a"], ["x"]),
            tensor(["a"], [True]), tensor(["a"], [-1]), tensor(["a"], [1, 2]), tensor(["a"], datatype="FP64"),
            tensor(["a"], name="x"), tensor([["a", "b"]]), [], None, {"inputs": 3}, {"inputs": [None]}, b"[" * 50_000,
            tensor(["a"]) | {"outputs": 3}, tensor(["a"]) | {"outputs": [3]},
            tensor(["a"]) | {"outputs": [{"name": "text"}]}, tensor(["a"]) | {"outputs": [{"name": []}]},
        ],
    )  # fmt: skip
    def test_what_is_no_request_is_400(self, asked):
        assert call(model_app(toys.mail()), "POST", "/v2/models/mail/infer", asked)[0] == 400

    @pytest.mark.parametrize(
        ("data", "shape"),
        [
            ([0.0] * 3, [1, 4]), ([0.0] * 8, [1, 4]), ([float("nan")] * 4, [1, 4]), ([["a"] * 4], [1, 4]),
            ([0.0] * 5, [1, 5]), ([[0.0] * 4, [0.0] * 3], [2, 4]), ([10**400] * 4, [1, 4]), ([None] * 4, [1, 4]),
        ],
    )  # fmt: skip
    def test_numbers_that_do_not_fit_are_400(self, data, shape):
        asked = tensor(data, shape, "FP64")
        assert call(model_app(toys.votes()), "POST", "/v2/models/votes/infer", asked)[0] == 400

    def test_what_the_model_cannot_take_is_400(self):
        app = oip_app("mail", toys.Magic(), classes=3, files=True, scores=False)
        assert call(app, "POST", "/v2/models/mail/infer", tensor(["TVo="]))[0] == 200
        app = oip_app("mail", toys.Spam(), classes=2, files=True)
        status, said = call(app, "POST", "/v2/models/mail/infer", tensor(["TVo="]))
        assert (status, said["error"]) == (400, "this model reads texts")
        with pytest.raises(TypeError, match="number of classes"):
            oip_app("mail", toys.Spam())


class TestFeedback:
    def taught_by(self, **headers: str) -> str:
        reference = toys.votes()
        app = model_app(reference, principal_header=headers.pop("trusted", ""))
        asked = tensor([0.0] * 4, [1, 4], "FP64") | {"labels": [1]}
        status, said = call(app, "POST", "/v2/models/votes/feedback", asked, **headers)
        assert (status, said) == (200, {"learnt": 1})
        assert call(app, "DELETE", "/v2/models/votes/feedback", None, **headers)[1] == {"forgotten": 1}
        call(app, "POST", "/v2/models/votes/feedback", asked, **headers)
        return reference.model.said[0][0]  # type: ignore[attr-defined]

    def test_a_user_is_the_hash_of_a_key_and_the_key_is_not_kept(self):
        for headers in ({"x_api_key": "sesame"}, {"authorization": "Bearer sesame"}, {"authorization": "sesame"}):
            assert self.taught_by(**headers) == hashlib.sha256(b"sesame").hexdigest()
        assert self.taught_by() == hashlib.sha256(b"").hexdigest()

    def test_a_gateway_in_front_says_who_it_is_but_only_where_it_is_there(self):
        assert self.taught_by(x_principal="mallory", trusted="X-Principal") == "mallory"
        assert self.taught_by(x_principal="mallory") == hashlib.sha256(b"").hexdigest()

    @pytest.mark.parametrize("labels", [None, [], [0, 1], [2], [-1], [True], ["1"], [0.5]])
    def test_labels_that_are_none_are_400(self, labels):
        asked = tensor([0.0] * 4, [1, 4], "FP64") | ({} if labels is None else {"labels": labels})
        assert call(model_app(toys.votes()), "POST", "/v2/models/votes/feedback", asked)[0] == 400

    def test_other_models_have_no_such_route(self):
        assert (
            call(model_app(toys.mail()), "POST", "/v2/models/mail/feedback", tensor(["a"]) | {"labels": [1]})[0] == 404
        )
        assert call(model_app(toys.votes()), "GET", "/v2/models/votes/feedback")[0] == 405


class TestMLflow:
    @pytest.mark.parametrize(
        "asked",
        [
            {"inputs": ["free", "a"]}, {"inputs": [["free"], ["a"]]}, {"instances": ["free", "a"]},
            {"inputs": {"text": ["free", "a"]}},
            {"dataframe_split": {"columns": ["text"], "data": [["free"], ["a"]]}},
            {"dataframe_records": [{"text": "free"}, {"text": "a"}]},
        ],
    )  # fmt: skip
    def test_every_form_of_a_request(self, asked):
        status, said = call(model_app(toys.mail()), "POST", "/invocations", asked)
        assert (status, said) == (200, {"predictions": [[0.0, 1.0], [1.0, 0.0]]})

    @pytest.mark.parametrize(
        "asked",
        [
            {}, [], {"inputs": ["a"], "instances": ["a"]}, {"dataframe_split": [["a"]]}, {"dataframe_records": ["a"]},
            {"inputs": "a"}, {"inputs": []}, {"inputs": [["a", "b"]]}, b"no json",
        ],
    )  # fmt: skip
    def test_what_is_none_is_400(self, asked):
        assert call(model_app(toys.mail()), "POST", "/invocations", asked)[0] == 400

    def test_health(self):
        app = model_app(toys.mail())
        for path in ("/ping", "/health"):
            assert call(app, "GET", path) == (200, b"\n")


class TestTensorFlowServing:
    def test_rows_and_columns(self):
        app, path = model_app(toys.files()), "/v1/models/files:predict"
        values = [{"b64": "TVo="}, {"input": {"b64": "UEs="}}]
        assert call(app, "POST", path, {"instances": values}) == (200, {"predictions": [2, 1]})
        assert call(app, "POST", path, {"inputs": values}) == (200, {"outputs": [2, 1]})

    @pytest.mark.parametrize(
        "asked", [{}, [], {"instances": 3}, {"instances": ["a"], "inputs": ["a"]}, {"instances": []}]
    )
    def test_what_is_none_is_400(self, asked):
        assert call(model_app(toys.mail()), "POST", "/v1/models/mail:predict", asked)[0] == 400

    def test_its_signature_says_what_comes_out(self):
        for reference, name in ((toys.mail(), "scores"), (toys.files(), "label"), (toys.echo(), "text")):
            said = call(model_app(reference), "GET", f"/v1/models/{reference.name}/metadata")[1]
            signature = said["metadata"]["signature_def"]["signature_def"]["serving_default"]
            assert list(signature["outputs"]) == [name]


class TestChat:
    def test_the_last_message_of_the_user_counts(self):
        parts = [{"type": "text", "text": "c "}, {"type": "text", "text": "d"}]
        said = [
            {"role": "system", "content": "x"},
            {"role": "user", "content": "a b"},
            {"role": "assistant", "content": "b a"},
        ]
        app = model_app(toys.echo())
        for messages, reply in ((said, "b a"), ([*said, {"role": "user", "content": parts}], "d c")):
            status, answer = call(app, "POST", "/v1/chat/completions", {"model": "echo", "messages": messages})
            assert status == 200
            assert answer["choices"][0]["message"] == {"role": "assistant", "content": reply}
            assert answer["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}

    @pytest.mark.parametrize(
        "change",
        [
            {"model": "other"},
            {"messages": []},
            {"messages": 3},
            {"messages": [{"role": "user"}]},
            {"stream": True},
            {"n": 2},
        ],
    )
    def test_what_is_none_is_400(self, change):
        asked = {"model": "echo", "messages": [{"role": "user", "content": "a"}]} | change
        assert call(model_app(toys.echo()), "POST", "/v1/chat/completions", asked)[0] == 400

    def test_a_model_that_writes_nothing_has_no_chat(self):
        assert call(model_app(toys.mail()), "GET", "/v1/models")[0] == 404


def test_a_body_that_is_too_long_is_400():
    status, said = call(model_app(toys.mail()), "POST", "/invocations", b" " * (16 * 2**20 + 1))
    assert status == 400
    assert "longer" in said["error"]


class TestDigits:
    def test_the_reference_is_what_the_loop_attacks(self):
        from threatmatrix.emulate.reference import digits

        reference = build_reference("digits", 3)
        splits = digits.load_splits(3)
        assert np.array_equal(reference.attacker.x, splits.attacker.x)
        assert reference.accuracy > 0.95
        assert reference.known["surrogate"].classes == 10
        visits = [visit for visit, _ in zip(reference.honest(clients=5, seed=1), range(200), strict=False)]
        assert [v.at for v in visits] == sorted(v.at for v in visits)
        assert {v.account for v in visits} == {f"honest-0{n}" for n in range(1, 6)}
        assert len({(v.account, v.address) for v in visits}) == 5
        assert all(v.rows.shape[1] == 64 and v.teaches is None for v in visits)

    def test_names_and_parameters_that_are_none(self):
        with pytest.raises(UnknownNameError, match="Did you mean digits"):
            build_reference("digit", 1)
        with pytest.raises(UsageError, match="colour"):
            build_reference("digits", 1, colour=3)
