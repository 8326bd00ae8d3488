"""What a request path says about a request: inference, metadata or something else; which model.

Conventions: Open Inference Protocol v2 and Triton (``/v2/models/…``, also as gRPC), TensorFlow Serving and KServe
v1 (``/v1/models/m:predict``), Vertex AI (``…:predict``), SageMaker and MLflow (``/invocations``), Azure ML
(``/score``), Bedrock (``/model/m/invoke``), TorchServe (``/predictions/m``), OpenAI (``/v1/chat/completions``);
artifacts and the model registry of an MLflow server (its REST API and the routes of its own page).
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from threatmatrix.model.event import Category

__all__ = ["Route", "Target", "classify", "clean_path", "target_of"]


@dataclass(frozen=True, slots=True)
class Route:
    """Category and operation of a path, and the model and version that it names."""

    category: Category
    operation: str
    model: str | None = None
    version: str | None = None
    artifact: str | None = None


class Target(NamedTuple):
    """What a request asks for, by the names that the event has for it."""

    endpoint: str
    category: Category
    operation: str
    model: str | None
    model_version: str | None
    object: str | None


_MODEL = r"(?P<model>[^/:]+)"
_VERSION = r"(?:/versions/(?P<version>[^/:]+))?"
_VERBS = r":(?:predict|classify|regress|explain|rawPredict|streamRawPredict|generateContent|streamGenerateContent)"

_MLFLOW = r"(?:ajax-)?api/[23]\.0/mlflow"
_ARTIFACT = "artifact"  # the operation is told by the method
_ENTITIES = r"(?P<entity>registered-models|model-versions)/(?P<verb>[a-z-]+)"

# Matched at the end of the path, so that a prefix of an ingress does not hide them; the first match wins.
_CONVENTIONS: tuple[tuple[str, Category, str], ...] = (
    (rf"{_MLFLOW}-artifacts/artifacts(?:/(?P<artifact>.*))?", "artifact_access", _ARTIFACT),
    (rf"{_MLFLOW}-artifacts/(?:mpu|presigned)/[a-z-]+/(?P<artifact>.*)", "artifact_access", _ARTIFACT),
    (rf"{_MLFLOW}/artifacts/list", "artifact_access", "list"),
    (r"(?:model-versions/)?get-artifact", "artifact_access", _ARTIFACT),
    (rf"{_MLFLOW}/(?:get-artifact|upload-artifact)", "artifact_access", _ARTIFACT),
    (rf"{_MLFLOW}/model-versions/get-download-uri", "artifact_access", "locate"),
    (rf"{_MLFLOW}/{_ENTITIES}", "model_registry", ""),
    (rf"v2/models/{_MODEL}{_VERSION}/(?:infer|generate|generate_stream)", "inference", "infer"),
    (rf"v2/models/{_MODEL}{_VERSION}/ready", "model_access", "health"),
    (rf"v2/models/{_MODEL}{_VERSION}(?:/config|/stats)?", "model_access", "metadata"),
    (r"v2/health/(?:live|ready)", "model_access", "health"),
    (r"v2(?:/models|/repository/index)?", "model_access", "metadata"),
    (rf"v1/models/{_MODEL}{_VERSION}{_VERBS}", "inference", "infer"),
    (rf"v1/models(?:/{_MODEL}{_VERSION}(?:/metadata)?)?", "model_access", "metadata"),
    (rf"{_MODEL}{_VERBS}", "inference", "infer"),
    (rf"model/{_MODEL}/(?:invoke|invoke-with-response-stream|converse|converse-stream)", "inference", "infer"),
    (rf"endpoints/{_MODEL}/(?:invocations|invocations-response-stream)", "inference", "infer"),
    (rf"deployments/{_MODEL}/chat/completions", "inference", "chat"),
    (rf"deployments/{_MODEL}/completions", "inference", "completion"),
    (rf"deployments/{_MODEL}/embeddings", "inference", "embeddings"),
    (r"(?:chat/completions|v1/responses|v1/messages)", "inference", "chat"),
    (r"v1/completions", "inference", "completion"),
    (r"v1/embeddings", "inference", "embeddings"),
    (rf"predictions/{_MODEL}", "inference", "infer"),
    (r"(?:infer|predict|invocations|score)", "inference", "infer"),
    (r"inference\.GRPCInferenceService/Model(?:Stream)?Infer", "inference", "infer"),
    (r"inference\.GRPCInferenceService/(?:Server|Model)(?:Live|Ready)", "model_access", "health"),
    (r"inference\.GRPCInferenceService/\w+", "model_access", "metadata"),
    (r"tensorflow\.serving\.PredictionService/(?:Predict|Classify|Regress|MultiInference)", "inference", "infer"),
    (r"tensorflow\.serving\.PredictionService/GetModelMetadata", "model_access", "metadata"),
)
_PATTERNS = tuple((re.compile(rf"(?:^|/){end}$"), category, operation) for end, category, operation in _CONVENTIONS)
_OTHER = Route("http", "other")


def clean_path(uri: str) -> str:
    """The path of a request target: no scheme, host or query; escapes, ``//`` and ``..`` resolved.

    An attacker must not leave a rule's sight by writing ``/v2/./models/d%69gits`` for ``/v2/models/digits``.
    """
    path = uri.split("?", 1)[0].split("#", 1)[0]
    if "://" in path[:16]:
        path = "/" + path.split("://", 1)[1].partition("/")[2]
    if "%" in path:
        path = unquote(path, errors="replace")
    if "//" in path or "/." in path:
        path = re.sub("/{2,}", "/", posixpath.normpath(path))
    return path


@lru_cache(maxsize=4096)
def classify(path: str) -> Route:
    """The route of a clean path; ``http``/``other`` where no convention fits."""
    tidy = path.rstrip("/")
    for pattern, category, operation in _PATTERNS:
        match = pattern.search(tidy)
        if match:
            named = match.groupdict()
            if named.get("entity"):
                operation = _registry(named["entity"], named["verb"])  # noqa: PLW2901 - said by the path
            return Route(category, operation, named.get("model"), named.get("version"), named.get("artifact"))
    return _OTHER


_VERB = {"set-tag": "tag.set", "delete-tag": "tag.delete", "alias": "alias", "transition-stage": "stage.transition"}
_BY_METHOD = {"GET": "download", "HEAD": "download", "PUT": "upload", "POST": "upload", "DELETE": "delete"}
_ALIAS = {"GET": "get", "POST": "set", "DELETE": "delete"}
_PARAMETER = re.compile(r"(?:^|(?<=&))(path|name|model_name|version|alias)=([^&]+)")


def _registry(entity: str, verb: str) -> str:
    """``model_version.create``: what was asked for, named like the registry's webhooks, which say what was done."""
    subject = entity.removesuffix("s").replace("-", "_")
    return f"{subject}_{_VERB[verb]}" if verb in _VERB else f"{subject}.{verb.replace('-', '_')}"


def target_of(uri: str, method: str | None) -> Target:
    """What a request line asks for. Of the query nothing is kept but the artifact's path and the model it belongs to.

    ``object`` is an artifact's path as the client wrote it, ``..`` included.
    """
    path = clean_path(uri)
    route = classify(path)
    if route.category not in ("artifact_access", "model_registry"):
        return Target(path, route.category, route.operation, route.model, route.version, None)
    asked = _query(uri)
    model, version = asked.get("name") or asked.get("model_name"), asked.get("version")
    if route.category == "model_registry":
        operation = route.operation
        if operation.endswith("_alias"):
            operation += "." + _ALIAS.get(method or "", "set")
        return Target(path, route.category, operation, model, version, asked.get("alias"))
    operation = route.operation
    if operation == _ARTIFACT:
        operation = _BY_METHOD.get(method or "", "download")
        if not route.artifact and path.rstrip("/").endswith("mlflow-artifacts/artifacts"):
            operation = "list"
    return Target(path, route.category, operation, model, version, route.artifact or asked.get("path"))


def _query(uri: str) -> dict[str, str]:
    """The parameters that matter; of one that stands there twice the first, as MLflow's own framework takes it."""
    found: dict[str, str] = {}
    for key, value in _PARAMETER.findall(uri.partition("?")[2].partition("#")[0]):
        found.setdefault(key, unquote(value.replace("+", " "), errors="replace"))
    return found
