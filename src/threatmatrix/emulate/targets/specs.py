"""``--target``: which model an emulation attacks, in one word, and the client for it.

===================================  =================================================================
``oip:URL/v2/models/NAME``           Open Inference Protocol v2 (KServe, Triton, MLServer)
``mlflow:URL#NAME``                  MLflow's ``/invocations``; NAME as the scope lists it (``mlflow``)
``tf:URL/v1/models/NAME``            TensorFlow Serving's REST API
``chat:URL/v1#MODEL``                the OpenAI API's chat
``template:FILE.yaml``               any HTTP endpoint, described in a file
``reference:NAME``                   a reference target, built and served for the purpose
===================================  =================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Unpack, get_args
from urllib.parse import quote, unquote, urlsplit

from threatmatrix.emulate.reference import REFERENCES
from threatmatrix.emulate.targets.endpoint import HTTPTarget
from threatmatrix.emulate.targets.form import ModelForm
from threatmatrix.emulate.targets.http import Conduct
from threatmatrix.emulate.targets.mlflow import MLflowClient
from threatmatrix.emulate.targets.oip import OIPClient
from threatmatrix.emulate.targets.openai_chat import ChatClient
from threatmatrix.emulate.targets.template import TemplateClient, TemplateSpec
from threatmatrix.emulate.targets.tf_serving import TFServingClient
from threatmatrix.model.errors import UnknownNameError, UsageError
from threatmatrix.model.system import Scope

__all__ = ["TargetKind", "TargetSpec", "connect", "parse_target"]

TargetKind = Literal["oip", "mlflow", "tf", "chat", "template", "reference"]
KINDS: tuple[TargetKind, ...] = get_args(TargetKind)

_MODEL_PATH = {
    "oip": re.compile(r"(?P<base>.*)/v2/models/(?P<model>[^/]+)/?"),
    "tf": re.compile(r"(?P<base>.*)/v1/models/(?P<model>[^/:]+)(?:/versions/(?P<version>[^/:]+))?/?"),
}
_EXAMPLE = {
    "oip": "oip:http://127.0.0.1:8080/v2/models/digits",
    "mlflow": "mlflow:http://127.0.0.1:5000",
    "tf": "tf:http://127.0.0.1:8501/v1/models/digits",
    "chat": "chat:http://127.0.0.1:8000/v1#model",
    "template": "template:service.yaml",
    "reference": "reference:digits",
}


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """A parsed ``--target``. ``url`` is what comes before the protocol's own path; ``file`` a template's."""

    kind: TargetKind
    model: str
    url: str = ""
    version: str = ""
    file: str = ""

    def served_at(self, url: str) -> TargetSpec:
        """A reference target, once somebody serves it at this address."""
        return replace(self, kind="oip", url=url)

    def described_by(self, template: TemplateSpec) -> TargetSpec:
        """A template's target, once its file has been read."""
        parts = urlsplit(template.url)
        return replace(self, model=template.model, url=f"{parts.scheme}://{parts.netloc}")

    def __str__(self) -> str:
        name = quote(self.model, safe="")
        if self.kind in ("reference", "template"):
            return f"{self.kind}:{self.file or self.model}"
        if self.kind in ("mlflow", "chat"):
            return f"{self.kind}:{self.url}#{name}"
        path = "/v2/models" if self.kind == "oip" else "/v1/models"
        return f"{self.kind}:{self.url}{path}/{name}" + (f"/versions/{self.version}" if self.version else "")


def parse_target(text: str) -> TargetSpec:
    """Read a ``--target``; raises UnknownNameError and UsageError, which show how it is written."""
    kind, colon, rest = text.partition(":")
    if kind in ("http", "https"):
        raise UsageError(f"{text} does not say which protocol it speaks", hint=f"For example {_EXAMPLE['oip']}")
    if kind == "python":
        raise UsageError(
            "a Python callable is no target of the command line: naming one here would run it",
            hint="From Python use threatmatrix.emulate.targets.InProcessFunction",
        )
    if not colon or kind not in KINDS:
        raise UnknownNameError("kind of target", kind, KINDS)
    if kind == "reference":
        if rest not in REFERENCES:
            raise UnknownNameError("reference target", rest, REFERENCES)
        return TargetSpec("reference", rest)
    if kind == "template":
        if not rest:
            raise _wrong(text, "template")
        return TargetSpec("template", "", file=rest)
    return _at_url(text, kind, rest)


def _at_url(text: str, kind: TargetKind, url: str) -> TargetSpec:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise _wrong(text, kind) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
        raise _wrong(text, kind)
    base, path, version = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/"), ""
    if kind in ("mlflow", "chat"):
        model = unquote(parts.fragment) or ("mlflow" if kind == "mlflow" else "")
    else:
        found = _MODEL_PATH[kind].fullmatch(parts.path)
        if found is None or parts.fragment:
            raise _wrong(text, kind)
        path, model = found["base"], unquote(found["model"])
        version = unquote(found.groupdict().get("version") or "")
    if not model or not model.isprintable():
        raise _wrong(text, kind)
    return TargetSpec(kind, model, base + path, version)


def _wrong(text: str, kind: str) -> UsageError:
    return UsageError(f"{text!r} is no target", hint=f"Write it like {_EXAMPLE[kind]}")


def connect(
    spec: TargetSpec,
    scope: Scope,
    technique: str,
    *,
    form: ModelForm | None = None,
    template: TemplateSpec | None = None,
    **conduct: Unpack[Conduct],
) -> HTTPTarget:
    """The client for a target. Sends nothing; raises ScopeError where the scope does not cover it.

    ``form``: what the model takes and gives; a chat needs none, and a template has its own. ``template``: the file's
    content, for ``template:``. A ``reference:`` has to be served first (:meth:`TargetSpec.served_at`).
    """
    if spec.kind == "reference":
        raise UsageError(f"{spec} is not served yet", hint="Serve it with emulate.reference.serving.model_app")
    if spec.kind == "template":
        if template is None:
            raise UsageError(f"{spec}: its file has not been read", hint="workflows.target_files reads it")
        return TemplateClient(template, scope, technique, **conduct)
    if spec.kind == "chat":
        names = form.class_names if form else ()
        return ChatClient(spec.url, spec.model, scope, technique, class_names=names, **conduct)
    if form is None:
        raise UsageError(
            f"{spec}: what the model takes and gives is not known",
            hint="Say how many numbers a row has, and how many classes there are",
        )
    return _MAKERS[spec.kind](spec, scope, technique, form, conduct)


def _oip(spec: TargetSpec, scope: Scope, technique: str, form: ModelForm, conduct: Conduct) -> HTTPTarget:
    return OIPClient(
        spec.url, spec.model, scope, technique, input_shape=form.input_shape, classes=form.classes,
        input_name=form.input_name, bounds=form.bounds, gives_text=form.gives_text,
        class_names=form.class_names, outputs=form.outputs, **conduct,
    )  # fmt: skip


def _mlflow(spec: TargetSpec, scope: Scope, technique: str, form: ModelForm, conduct: Conduct) -> HTTPTarget:
    return MLflowClient(spec.url, spec.model, scope, technique, form=form, **conduct)


def _tf(spec: TargetSpec, scope: Scope, technique: str, form: ModelForm, conduct: Conduct) -> HTTPTarget:
    return TFServingClient(spec.url, spec.model, scope, technique, form=form, version=spec.version, **conduct)


_MAKERS: dict[str, Callable[[TargetSpec, Scope, str, ModelForm, Conduct], HTTPTarget]] = {
    "oip": _oip,
    "mlflow": _mlflow,
    "tf": _tf,
}
