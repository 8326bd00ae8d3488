"""What a request path says about a request: inference, metadata or something else; which model.

Conventions: Open Inference Protocol v2 and Triton (``/v2/models/…``), TensorFlow Serving and KServe
v1 (``/v1/models/m:predict``), Vertex AI (``…:predict``), SageMaker and MLflow (``/invocations``),
Bedrock (``/model/m/invoke``), TorchServe (``/predictions/m``), OpenAI (``/v1/chat/completions``).
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from threatmatrix.model.event import Category

__all__ = ["Route", "classify", "clean_path"]


@dataclass(frozen=True, slots=True)
class Route:
    """Category and operation of a path, and the model and version that it names."""

    category: Category
    operation: str
    model: str | None = None
    version: str | None = None


_MODEL = r"(?P<model>[^/:]+)"
_VERSION = r"(?:/versions/(?P<version>[^/:]+))?"
_VERBS = r":(?:predict|classify|regress|explain|rawPredict|streamRawPredict|generateContent|streamGenerateContent)"

# Matched at the end of the path, so that a prefix of an ingress does not hide them; the first match wins.
_CONVENTIONS: tuple[tuple[str, Category, str], ...] = (
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
    (r"(?:infer|predict|invocations)", "inference", "infer"),
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
            return Route(category, operation, named.get("model"), named.get("version"))
    return _OTHER
