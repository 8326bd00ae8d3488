"""Servers of the Open Inference Protocol that are not ours: outputs of other names, words, several inputs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.emulate.helpers import half_space, inputs, scope
from tests.emulate.small_server import Web, small_server

from threatmatrix.emulate.targets import ModelForm, connect, parse_target, read_form
from threatmatrix.emulate.targets.form import OutputNames
from threatmatrix.model.errors import TargetError, UsageError


@pytest.fixture(scope="module")
def server() -> Iterator[Web]:
    with small_server() as web:
        yield web


class Runtime:
    """Metadata and answers as MLServer's scikit-learn runtime has them: ``predict`` (n, 1) and ``predict_proba``.

    An output that it does not have is an error; ``words``: its labels are texts.
    """

    def __init__(self, web: Web, *, words: bool = False, proba: bool = True, **changes: Any) -> None:
        self.words, self.proba = words, proba
        self.card: dict[str, Any] = {
            "name": "digits", "versions": [], "platform": "", "parameters": {},
            "inputs": [{"name": "predict", "datatype": "FP32", "shape": [-1, 16], "parameters": {}}],
            "outputs": [
                {"name": "predict", "datatype": "BYTES" if words else "INT64", "shape": [-1, 1], "parameters": {}},
                *([{"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2], "parameters": {}}] if proba else []),
            ],
        } | changes  # fmt: skip
        web.renewed().say = self.say

    def say(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        if not path.endswith("/infer"):
            ready = path.endswith("/ready") or path == "/v2"
            return 200, {}, b"" if ready else json.dumps(self.card).encode()
        (tensor,) = body["inputs"]
        scores = half_space().scores(np.reshape(tensor["data"], tensor["shape"]))
        labels = [[("low", "high")[y] if self.words else int(y)] for y in np.argmax(scores, axis=1)]
        made = {"predict": labels, "predict_proba": scores.ravel().tolist()}
        names = [output["name"] for output in body.get("outputs", ())] or ["predict"]
        if not set(names) <= {output["name"] for output in self.card["outputs"]}:
            return 400, {}, b'{"error": "SKLearnModel does not have such an output"}'
        outputs = [{"name": name, "shape": [1], "datatype": "?", "data": made[name]} for name in names]
        answer = {"model_name": "digits", "id": "1", "parameters": {}, "outputs": outputs}
        return 200, {}, json.dumps(answer).encode()


def target(server: Web):
    return parse_target(f"oip:{server.url}/v2/models/digits")


@pytest.mark.parametrize("words", [False, True])
def test_a_server_with_its_own_names_is_understood(server, words):
    Runtime(server, words=words)
    names = ("low", "high") if words else ()
    form = read_form(target(server), scope(), "online-evasion", class_names=names)
    assert (form.input_name, form.input_shape, form.classes) == ("predict", (16,), 2)
    assert form.outputs == OutputNames("predict", "predict_proba", "")
    x, y = inputs(4)
    with connect(target(server), scope(), "online-evasion", form=form) as client:
        assert client.labels(x).tolist() == y.tolist()
        assert np.allclose(client.scores(x), half_space().scores(x))


def test_scores_alone_are_enough(server):
    runtime = Runtime(server)
    del runtime.card["outputs"][0]
    form = read_form(target(server), scope(), "online-evasion")
    assert form.outputs == OutputNames("", "predict_proba", "")
    x, y = inputs(4)
    with connect(target(server), scope(), "online-evasion", form=form) as client:
        assert client.labels(x).tolist() == y.tolist()


def test_labels_alone_need_a_word_from_the_user(server):
    Runtime(server, proba=False)
    with pytest.raises(UsageError, match="how many classes"):
        read_form(target(server), scope(), "online-evasion")
    form = ModelForm(input_shape=(16,), classes=2, outputs=OutputNames("predict", "", ""))
    x, y = inputs(4)
    with connect(target(server), scope(), "online-evasion", form=form) as client:
        assert client.scores(x) is None
        assert client.labels(x).tolist() == y.tolist()


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"inputs": []}, UsageError, "takes 0 inputs"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, -1]}]}, UsageError, "shape .* is open"),
        ({"inputs": 3}, TargetError, "cannot be read"), ({"outputs": [{"name": "a"}]}, TargetError, "cannot be read"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": ["a"]}]}, TargetError, "cannot be read"),
    ],
)  # fmt: skip
def test_metadata_that_say_too_little(server, changes, error, said):
    Runtime(server, **changes)
    with pytest.raises(error, match=said):
        read_form(target(server), scope(), "online-evasion")
