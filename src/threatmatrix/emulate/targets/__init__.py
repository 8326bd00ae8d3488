"""Targets: what an emulation attacks, over HTTP or in this process, always within its scope and its budgets."""

from __future__ import annotations

from threatmatrix.emulate.targets.discovery import read_form
from threatmatrix.emulate.targets.endpoint import HTTPTarget
from threatmatrix.emulate.targets.form import ModelForm, form_of
from threatmatrix.emulate.targets.http import Conduct, HTTPClient
from threatmatrix.emulate.targets.in_process import InProcess, InProcessFunction, InProcessTarget
from threatmatrix.emulate.targets.mlflow import MLflowClient
from threatmatrix.emulate.targets.oip import OIPClient
from threatmatrix.emulate.targets.openai_chat import ChatClient
from threatmatrix.emulate.targets.specs import TargetSpec, connect, parse_target
from threatmatrix.emulate.targets.template import TemplateClient, TemplateSpec
from threatmatrix.emulate.targets.tf_serving import TFServingClient

__all__ = [
    "ChatClient",
    "Conduct",
    "HTTPClient",
    "HTTPTarget",
    "InProcess",
    "InProcessFunction",
    "InProcessTarget",
    "MLflowClient",
    "ModelForm",
    "OIPClient",
    "TFServingClient",
    "TargetSpec",
    "TemplateClient",
    "TemplateSpec",
    "connect",
    "form_of",
    "parse_target",
    "read_form",
]
