"""Paths → category, operation and model; disguises do not help."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threatmatrix.model.event import CATEGORIES
from threatmatrix.telemetry.readers.paths import classify, clean_path, target_of


@pytest.mark.parametrize(
    ("path", "category", "operation", "model", "version"),
    [
        ("/v2/models/labels/infer", "inference", "infer", "labels", None),
        ("/edge/v2/models/labels/versions/7/infer", "inference", "infer", "labels", "7"),
        ("/v2/models/labels/generate", "inference", "infer", "labels", None),
        ("/v1/models/labels:predict", "inference", "infer", "labels", None),
        ("/v1/models/labels/versions/2:classify", "inference", "infer", "labels", "2"),
        ("/v1/projects/p/locations/l/endpoints/88:rawPredict", "inference", "infer", "88", None),
        ("/endpoints/fraud/invocations", "inference", "infer", "fraud", None),
        ("/invocations", "inference", "infer", None, None),
        ("/model/vendor.large/invoke", "inference", "infer", "vendor.large", None),
        ("/predictions/cats", "inference", "infer", "cats", None),
        ("/predict", "inference", "infer", None, None),
        ("/api/predict/", "inference", "infer", None, None),
        ("/infer", "inference", "infer", None, None),
        ("/v1/chat/completions", "inference", "chat", None, None),
        ("/openai/deployments/d1/chat/completions", "inference", "chat", "d1", None),
        ("/v1/embeddings", "inference", "embeddings", None, None),
        ("/v2/models/labels", "model_access", "metadata", "labels", None),
        ("/v2/models/labels/versions/7/ready", "model_access", "health", "labels", "7"),
        ("/v2/models/labels/config", "model_access", "metadata", "labels", None),
        ("/v2", "model_access", "metadata", None, None),
        ("/v2/health/live", "model_access", "health", None, None),
        ("/v1/models/labels/metadata", "model_access", "metadata", "labels", None),
        ("/v1/models", "model_access", "metadata", None, None),
        ("/score", "inference", "infer", None, None),
        ("/inference.GRPCInferenceService/ModelInfer", "inference", "infer", None, None),
        ("/inference.GRPCInferenceService/ModelStreamInfer", "inference", "infer", None, None),
        ("/inference.GRPCInferenceService/ServerLive", "model_access", "health", None, None),
        ("/inference.GRPCInferenceService/ModelMetadata", "model_access", "metadata", None, None),
        ("/tensorflow.serving.PredictionService/Predict", "inference", "infer", None, None),
        ("/", "http", "other", None, None),
        ("/predictor/docs", "http", "other", None, None),
        ("/login", "http", "other", None, None),
    ],
)
def test_conventions(path: str, category: str, operation: str, model: str | None, version: str | None) -> None:
    route = classify(path)
    assert (route.category, route.operation, route.model, route.version) == (category, operation, model, version)


@pytest.mark.parametrize(
    "uri",
    [
        "/v2/models/labels/infer?x=/login",
        "/v2//models/labels///infer",
        "/v2/./models/other/../labels/infer",
        "/v2/models/l%61bels/%69nfer",
        "http://models.example/v2/models/labels/infer",
        "/v2/models/labels/infer#/login",
    ],
)
def test_disguises_come_out_as_the_same_path(uri: str) -> None:
    assert clean_path(uri) == "/v2/models/labels/infer"


API = "/api/2.0/mlflow"


@pytest.mark.parametrize(
    ("method", "uri", "expected"),
    [
        ("GET", f"{API}-artifacts/artifacts/1/ab/w.bin", ("artifact_access", "download", "1/ab/w.bin", None)),
        ("PUT", f"{API}-artifacts/artifacts/1/ab/w.bin", ("artifact_access", "upload", "1/ab/w.bin", None)),
        ("DELETE", f"{API}-artifacts/artifacts/1/ab", ("artifact_access", "delete", "1/ab", None)),
        ("GET", f"{API}-artifacts/artifacts?path=1%2Fab", ("artifact_access", "list", "1/ab", None)),
        ("GET", "/ajax-api/2.0/mlflow/artifacts/list?run_id=r&path=model", ("artifact_access", "list", "model", None)),
        ("GET", "/get-artifact?path=model/w.bin&run_uuid=r", ("artifact_access", "download", "model/w.bin", None)),
        ("GET", "/get-artifact?path=..%2F..%2Fetc", ("artifact_access", "download", "../../etc", None)),
        ("GET", "/model-versions/get-artifact?path=w&name=m&version=3", ("artifact_access", "download", "w", "m")),
        ("GET", f"{API}/model-versions/get-download-uri?name=m", ("artifact_access", "locate", None, "m")),
        ("POST", f"{API}/registered-models/create", ("model_registry", "registered_model.create", None, None)),
        ("POST", f"{API}/registered-models/alias", ("model_registry", "registered_model_alias.set", None, None)),
        (
            "GET",
            f"{API}/registered-models/alias?name=m&alias=a",
            ("model_registry", "registered_model_alias.get", "a", "m"),
        ),
        ("POST", f"{API}/model-versions/set-tag", ("model_registry", "model_version_tag.set", None, None)),
        ("GET", f"{API}/runs/get?run_id=r", ("http", "other", None, None)),
        (None, "/v2/models/m/infer?path=x&name=y", ("inference", "infer", None, "m")),
    ],
)
def test_mlflow(method: str | None, uri: str, expected: tuple[str | None, ...]) -> None:
    target = target_of(uri, method)
    assert (target.category, target.operation, target.object, target.model) == expected
    assert "?" not in target.endpoint


def test_parameters_cannot_hide_the_path() -> None:
    assert target_of("/get-artifact?" + "a=1&" * 5000 + "path=x", "GET").object == "x"
    assert target_of("/get-artifact?path=x&path=y&xpath=z", "GET").object == "x"
    assert target_of("/get-artifact?xpath=z&path=a%20b+c", "GET").object == "a b c"


@given(st.text(max_size=200), st.sampled_from(["GET", "POST", "", None]))
def test_any_text_has_a_target(uri: str, method: str | None) -> None:
    assert target_of(uri, method).category in CATEGORIES
    assert target_of(f"{API}-artifacts/artifacts/{uri}", method).category in CATEGORIES
    assert target_of(f"/get-artifact?path={uri}", method).category == "artifact_access"
