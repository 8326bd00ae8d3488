"""MLflow's scoring server: ``POST /invocations``, as ``mlflow models serve`` offers it."""

from __future__ import annotations

import json
from typing import Any, Literal, Unpack

from threatmatrix.emulate.target import Answer, Rows
from threatmatrix.emulate.targets.endpoint import HTTPTarget
from threatmatrix.emulate.targets.form import ModelForm, Reading, in_json
from threatmatrix.emulate.targets.http import Conduct
from threatmatrix.model.system import Scope

__all__ = ["MLflowClient", "MLflowInput"]

MLflowInput = Literal["inputs", "dataframe_split"]


class MLflowClient(HTTPTarget):
    """A :class:`~threatmatrix.emulate.target.Target` behind ``POST {base_url}/invocations``.

    ``model`` is the name that the scope lists: the server has one model and no name for it. ``send_as``: a tensor
    (``inputs``), or a table (``dataframe_split``) with ``columns``, which a model with a signature of columns needs.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        scope: Scope,
        technique: str,
        *,
        form: ModelForm,
        send_as: MLflowInput = "inputs",
        columns: tuple[str, ...] = (),
        **conduct: Unpack[Conduct],
    ) -> None:
        super().__init__(
            base_url, model, scope, technique,
            input_shape=form.input_shape, classes=form.classes, bounds=form.bounds, **conduct,
        )  # fmt: skip
        self._reading = Reading(form.classes, form.class_names, form.gives_text)
        self._send_as = send_as
        self._columns = columns

    def ask(self, x: Rows, *, want_scores: bool = False) -> Answer:
        body = json.dumps({self._send_as: self._content(x)}).encode()
        content = self.send("POST", "/invocations", body, len(x)).body
        with self.answer_of("MLflow's scoring server"):
            said = json.loads(content)
            values = said["predictions"] if isinstance(said, dict) else said
            return self._reading.answer(values, len(x), want_scores=want_scores)

    def read_metadata(self) -> dict[str, object]:
        """GET /ping and /version: path → what it says; one query each."""
        return self.read_paths("/ping", "/version")

    def _content(self, x: Rows) -> Any:
        if self._send_as == "inputs":
            return in_json(x, self.input_shape)
        table = [row if isinstance(row, list) else [row] for row in in_json(x)]
        columns = self._columns or tuple(str(number) for number in range(len(table[0])))
        return {"columns": list(columns), "data": table}
