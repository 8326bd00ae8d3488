"""Paths → category, operation and model; disguises do not help."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threatmatrix.telemetry.readers.paths import classify, clean_path


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


@given(st.text(max_size=200))
def test_any_text_has_a_route(uri: str) -> None:
    assert classify(clean_path(uri)).category in ("inference", "model_access", "http")
