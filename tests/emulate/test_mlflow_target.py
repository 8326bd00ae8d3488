"""MLflow's scoring server: a faithful one always, and a real one (nightly) where MLflow is installed.

The faithful one is built from MLflow's documentation of the scoring protocol 2.0: one of four keys, answers in
``predictions`` as the model's function returns them, errors with a code, another content type is 415.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.emulate.helpers import half_space, inputs, procedure, scope
from tests.emulate.real_server import real_server
from tests.emulate.small_server import Web, small_server

from threatmatrix.emulate.run import run_procedure
from threatmatrix.emulate.targets import InProcessTarget, MLflowClient, ModelForm, connect, parse_target
from threatmatrix.model.errors import TargetError

NAMES = ("low", "high")
FORM = ModelForm(input_shape=(16,), classes=2, class_names=NAMES)


def signed():
    return scope(models=("mlflow",))


class Scoring:
    """What a served function returns, in the form of each flavour: a table, an array, a list of words."""

    def __init__(self, web: Web, returns: str) -> None:
        self.returns = returns
        web.say = self.say
        self.web = web

    def say(self, path: str, body: dict) -> tuple[int, dict[str, str], bytes]:
        kind = self.web.seen[-1][1].get("content-type", "").split(";")[0]
        if path == "/ping":
            return 200, {"content-type": "application/json"}, b"\n"
        if path != "/invocations":
            return 404, {}, b'{"detail": "Not Found"}'
        if kind != "application/json":
            return 415, {}, b"This predictor only supports the following content types"
        given = [key for key in ("dataframe_split", "dataframe_records", "instances", "inputs") if key in body]
        if len(given) != 1:
            said = {"error_code": "BAD_REQUEST", "message": "The input must be a JSON dictionary with exactly one of"}
            return 400, {}, json.dumps(said).encode()
        rows = body[given[0]]["data"] if given[0] == "dataframe_split" else body[given[0]]
        scores = half_space().scores(np.asarray(rows, dtype=np.float64))
        labels = np.argmax(scores, axis=1)
        predictions = {
            "words": [NAMES[label] for label in labels], "numbers": labels.tolist(), "array": scores.tolist(),
            "floats": labels.astype(float).tolist(),
            "table": [{"label": NAMES[row.index(max(row))], "probabilities": row} for row in scores.tolist()],
        }[self.returns]  # fmt: skip
        return 200, {"content-type": "application/json"}, json.dumps({"predictions": predictions}).encode()


@pytest.fixture(scope="module")
def server() -> Iterator[Web]:
    with small_server() as web:
        yield web


@pytest.mark.parametrize("returns", ["words", "numbers", "array", "floats", "table"])
@pytest.mark.parametrize("send_as", ["inputs", "dataframe_split"])
def test_what_a_served_function_returns_is_read(server, returns, send_as):
    Scoring(server.renewed(), returns)
    x, y = inputs(4)
    with MLflowClient(server.url, "mlflow", signed(), "online-evasion", form=FORM, send_as=send_as) as client:
        answer = client.ask(x, want_scores=True)
        assert answer.labels.tolist() == y.tolist()
        if returns in ("array", "table"):
            assert np.allclose(answer.scores, half_space().scores(x))
        assert client.read_metadata() == {"/ping": {}}
        assert client.queries == 4 + 2


def test_an_error_of_the_server_is_shown(server):
    Scoring(server.renewed(), "words")
    with (
        MLflowClient(
            server.url, "mlflow", signed(), "online-evasion", form=FORM, send_as="columns"  # type: ignore[arg-type]
        ) as client,
        pytest.raises(TargetError, match=r"400.*exactly one of"),
    ):  # fmt: skip
        client.labels(inputs(1)[0])


MODEL = """
import sys, warnings
warnings.simplefilter("ignore")
import mlflow.sklearn, numpy as np
from sklearn.linear_model import LogisticRegression
rng = np.random.default_rng(0)
x = rng.normal(0.5, 0.2, (400, 16))
names = np.array(["low", "high"])
model = LogisticRegression().fit(x, names[(x.mean(axis=1) > 0.5).astype(int)])
np.save(sys.argv[1] + "/probe.npy", x[:20])
np.save(sys.argv[1] + "/scores.npy", model.predict_proba(x[:20]))
for function in ("predict", "predict_proba"):
    mlflow.sklearn.save_model(model, f"{sys.argv[1]}/{function}", pyfunc_predict_fn=function)
"""


def serving(folder: Path, function: str):
    def command(port: int) -> list[str]:
        model = ["-m", "mlflow", "models", "serve", "-m", str(folder / function), "--env-manager", "local"]
        return [*model, "-p", str(port), "-h", "127.0.0.1"]

    return real_server(folder, command, "/ping", MLFLOW_DISABLE_TELEMETRY="true")


@pytest.mark.nightly
def test_a_real_server_is_read_and_attacked(tmp_path):
    pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'mlflow>=3.3'")
    subprocess.run([sys.executable, "-c", MODEL, str(tmp_path)], check=True, cwd=tmp_path)
    x, scores = np.load(tmp_path / "probe.npy"), np.load(tmp_path / "scores.npy")
    order = ("high", "low")  # scikit-learn sorts its classes
    form = ModelForm(input_shape=(16,), classes=2, class_names=order)
    with serving(tmp_path, "predict") as url:
        spec = parse_target(f"mlflow:{url}")
        with connect(spec, signed(), "online-evasion", form=form) as client:
            assert client.labels(x).tolist() == np.argmax(scores, axis=1).tolist()
            assert set(client.read_metadata()) == {"/ping", "/version"}
    with serving(tmp_path, "predict_proba") as url:
        for send_as in ("inputs", "dataframe_split"):
            with MLflowClient(url, "mlflow", signed(), "online-evasion", form=form, send_as=send_as) as client:
                assert np.allclose(client.scores(x), scores)
                result = run_procedure(
                    procedure("square", threshold=0.3), client, x[:3], np.argmax(scores[:3], axis=1), seed=1,
                    confirm_target=client, max_queries=60,
                )  # fmt: skip
                assert result.queries + result.confirm_queries == client.queries - len(x)
        assert sum(outcome.confirmed for outcome in result.outcomes) >= 1
        narrow = ModelForm(input_shape=(6,), classes=2)
        with (
            MLflowClient(url, "mlflow", signed(), "online-evasion", form=narrow) as client,
            pytest.raises(TargetError, match="HTTP 4"),
        ):
            client.labels(np.zeros((1, 6)))


def test_the_attack_on_it_is_that_on_the_model(server):
    Scoring(server.renewed(), "array")
    x, y = inputs(2)
    near = InProcessTarget(half_space())
    expected = run_procedure(procedure("square"), near, x, y, seed=1, confirm_target=near)
    with MLflowClient(server.url, "mlflow", signed(), "online-evasion", form=FORM) as client:
        assert (
            run_procedure(procedure("square"), client, x, y, seed=1, confirm_target=client).outcomes
            == expected.outcomes
        )
