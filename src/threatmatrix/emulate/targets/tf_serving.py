"""TensorFlow Serving's REST API: ``POST /v1/models/{name}:predict``."""

from __future__ import annotations

import base64
import json
from typing import Any, Unpack
from urllib.parse import quote

from threatmatrix.emulate.target import Answer, Rows
from threatmatrix.emulate.targets.endpoint import HTTPTarget
from threatmatrix.emulate.targets.form import ModelForm, Reading, in_json
from threatmatrix.emulate.targets.http import Conduct
from threatmatrix.model.system import Scope

__all__ = ["TFServingClient"]


class TFServingClient(HTTPTarget):
    """A :class:`~threatmatrix.emulate.target.Target` behind ``POST {base_url}/v1/models/{model}:predict``.

    Sends ``instances``, one for each row; files as ``{"b64": …}``. ``version``: a fixed one, or "" for the newest.
    A single number between 0 and 1 is the score of class 1 where there are two classes.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        scope: Scope,
        technique: str,
        *,
        form: ModelForm,
        version: str = "",
        **conduct: Unpack[Conduct],
    ) -> None:
        super().__init__(
            base_url, model, scope, technique,
            input_shape=form.input_shape, classes=form.classes, bounds=form.bounds, **conduct,
        )  # fmt: skip
        self._reading = Reading(form.classes, form.class_names, form.gives_text)
        self._path = f"/v1/models/{quote(model, safe='')}" + (f"/versions/{quote(version, safe='')}" if version else "")

    def ask(self, x: Rows, *, want_scores: bool = False) -> Answer:
        body = json.dumps({"instances": self._instances(x)}).encode()
        content = self.send("POST", f"{self._path}:predict", body, len(x)).body
        with self.answer_of("TensorFlow Serving"):
            return self._reading.answer(json.loads(content)["predictions"], len(x), want_scores=want_scores)

    def read_metadata(self) -> dict[str, object]:
        """GET the model's status and its signatures: path → JSON, one query each."""
        return self.read_paths(self._path, f"{self._path}/metadata")

    def _instances(self, x: Rows) -> list[Any]:
        if x.dtype.kind != "O":
            return in_json(x, self.input_shape)
        return [{"b64": base64.b64encode(row).decode("ascii")} if isinstance(row, bytes) else str(row) for row in x]
