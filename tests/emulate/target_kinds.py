"""One client of each protocol, and an answer that it understands."""

from __future__ import annotations

import numpy as np
from tests.emulate.helpers import scope
from tests.emulate.small_server import good

from threatmatrix.emulate.target import texts
from threatmatrix.emulate.targets import (
    HTTPTarget,
    ModelForm,
    TemplateClient,
    TemplateSpec,
    connect,
    parse_target,
)
from threatmatrix.model.system import Scope

KINDS = ("oip", "mlflow", "tf", "chat", "template")
FORM = ModelForm(input_shape=(4,), classes=2)
X = np.zeros((1, 4))
ANSWERS = {
    "oip": good(1),
    "mlflow": b'{"predictions": [1]}',
    "tf": b'{"predictions": [[0.1, 0.9]]}',
    "chat": b'{"choices": [{"message": {"role": "assistant", "content": "hello"}}]}',
    "template": b'{"label": 1}',
}


def client_for(kind: str, url: str, signed: Scope | None = None, **conduct) -> HTTPTarget:
    signed = signed or scope(models=("digits",))
    if kind == "template":
        spec = TemplateSpec(url=f"{url}/x", model="digits", form=FORM, body={"x": "{{row}}"}, label_at="/label")
        return TemplateClient(spec, signed, "online-evasion", **conduct)
    text = {
        "oip": f"oip:{url}/v2/models/digits", "mlflow": f"mlflow:{url}#digits", "tf": f"tf:{url}/v1/models/digits",
        "chat": f"chat:{url}/v1#digits",
    }[kind]  # fmt: skip
    return connect(parse_target(text), signed, "online-evasion", form=None if kind == "chat" else FORM, **conduct)


def ask(client: HTTPTarget, kind: str) -> None:
    client.labels(texts(["hello"]) if kind == "chat" else X)
