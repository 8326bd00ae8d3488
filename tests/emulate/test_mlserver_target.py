"""A real MLServer, where it is installed: the Open Inference Protocol as somebody else serves it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.emulate.helpers import procedure, scope
from tests.emulate.real_server import free_ports, real_server

from threatmatrix.emulate.run import run_procedure
from threatmatrix.emulate.targets import ModelForm, connect, parse_target, read_form
from threatmatrix.emulate.targets.form import OutputNames
from threatmatrix.model.errors import TargetError, UsageError

MODEL = """
import sys, joblib, numpy as np
from sklearn.linear_model import LogisticRegression
rng = np.random.default_rng(0)
x = rng.normal(0.5, 0.2, (400, 16))
model = LogisticRegression().fit(x, (x.mean(axis=1) > 0.5).astype(int))
np.save(sys.argv[1] + "/probe.npy", x[:20])
np.save(sys.argv[1] + "/scores.npy", model.predict_proba(x[:20]))
joblib.dump(model, sys.argv[1] + "/model.joblib")
"""


def serving(folder: Path, described: dict[str, object]):
    def command(port: int) -> list[str]:
        grpc, metrics = free_ports(2)
        settings = {"host": "127.0.0.1", "parallel_workers": 0, "http_port": port, "grpc_port": grpc}
        (folder / "settings.json").write_text(json.dumps(settings | {"metrics_port": metrics}))
        model = {
            "name": "digits", "implementation": "mlserver_sklearn.SKLearnModel",
            "parameters": {"uri": "./model.joblib", "version": "v1"},
        }  # fmt: skip
        (folder / "model-settings.json").write_text(json.dumps(model | described))
        return ["-c", "from mlserver.cli import main; main()", "start", "."]

    return real_server(folder, command, "/v2/models/digits/ready")


@pytest.mark.nightly
def test_a_real_server_is_read_and_attacked(tmp_path):
    pytest.importorskip("mlserver_sklearn", reason="MLServer is not installed: pip install mlserver mlserver-sklearn")
    subprocess.run([sys.executable, "-c", MODEL, str(tmp_path)], check=True)
    x, scores = np.load(tmp_path / "probe.npy"), np.load(tmp_path / "scores.npy")
    described = {
        "inputs": [{"name": "row", "datatype": "FP64", "shape": [-1, 16]}],
        "outputs": [
            {"name": "predict", "datatype": "INT64", "shape": [-1, 1]},
            {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2]},
        ],
    }
    with serving(tmp_path, described) as url:
        spec = parse_target(f"oip:{url}/v2/models/digits")
        form = read_form(spec, scope(), "online-evasion")
        assert form.outputs == OutputNames("predict", "predict_proba", "")
        with connect(spec, scope(), "online-evasion", form=form) as client:
            assert client.labels(x).tolist() == np.argmax(scores, axis=1).tolist()
            assert np.allclose(client.scores(x), scores)
            result = run_procedure(
                procedure("square", threshold=0.3), client, x[:3], np.argmax(scores[:3], axis=1), seed=1,
                confirm_target=client, max_queries=60,
            )  # fmt: skip
            assert sum(outcome.confirmed for outcome in result.outcomes) >= 1
        narrow = ModelForm(input_shape=(6,), classes=2, outputs=form.outputs)
        with connect(spec, scope(), "online-evasion", form=narrow) as client, pytest.raises(TargetError, match="HTTP"):
            client.labels(np.zeros((1, 6)))
    with serving(tmp_path, {}) as url:  # a model that nobody described
        spec = parse_target(f"oip:{url}/v2/models/digits")
        with pytest.raises(UsageError):
            read_form(spec, scope(), "online-evasion")
        bare = ModelForm(input_shape=(16,), classes=2, outputs=OutputNames("predict", "predict_proba", ""))
        with connect(spec, scope(), "online-evasion", form=bare) as client:
            assert client.labels(x).tolist() == np.argmax(scores, axis=1).tolist()
