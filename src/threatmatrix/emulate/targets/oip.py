"""The Open Inference Protocol v2, as KServe, Triton and MLServer speak it."""

from __future__ import annotations

import json
from dataclasses import astuple
from typing import Any, Unpack
from urllib.parse import quote

import numpy as np

from threatmatrix.emulate.target import Answer, FloatArray, IntArray, Rows
from threatmatrix.emulate.targets.endpoint import HTTPTarget
from threatmatrix.emulate.targets.form import OutputNames, Reading, fitting, in_json
from threatmatrix.emulate.targets.http import Conduct
from threatmatrix.model.errors import TargetError
from threatmatrix.model.system import Scope

__all__ = ["OIPClient"]


class OIPClient(HTTPTarget):
    """A :class:`~threatmatrix.emulate.target.Target` behind ``POST {base_url}/v2/models/{model}/infer``.

    Rows of numbers go as FP64, texts and files as BYTES (files in base64). ``gives_text``: the model generates
    texts, so the output ``text`` is asked for as well. It is a :class:`~threatmatrix.emulate.target.Teachable` too,
    where the server has ``/v2/models/{model}/feedback``, which is no part of the protocol.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        scope: Scope,
        technique: str,
        *,
        input_shape: tuple[int, ...],
        classes: int,
        input_name: str = "input",
        bounds: tuple[float, float] = (0.0, 1.0),
        gives_text: bool = False,
        class_names: tuple[str, ...] = (),
        outputs: OutputNames = OutputNames(),  # noqa: B008  # frozen
        **conduct: Unpack[Conduct],
    ) -> None:
        super().__init__(
            base_url, model, scope, technique, input_shape=input_shape, classes=classes, bounds=bounds, **conduct
        )
        self.gives_text = gives_text
        self._outputs = outputs
        self._reading = Reading(classes, class_names)
        self._input_name = input_name
        self._model_path = f"/v2/models/{quote(model, safe='')}"

    def ask(self, x: Rows, *, want_scores: bool = False) -> Answer:
        """Send n rows in one request and read labels, and scores where they are wanted and given."""
        named = self._outputs
        with_scores = want_scores or not (named.label or self.gives_text)
        wanted = [named.label] + [named.scores] * with_scores + [named.text] * self.gives_text
        body = {"inputs": [self._tensor(x)], "outputs": [{"name": name} for name in wanted if name]}
        answer = self.send("POST", f"{self._model_path}/infer", json.dumps(body).encode(), len(x))
        return self._read(answer.body, len(x), want_scores)

    def teach(self, x: Rows, labels: IntArray) -> None:
        body = {"inputs": [self._tensor(x)], "labels": np.asarray(labels).tolist()}
        self.send("POST", f"{self._model_path}/feedback", json.dumps(body).encode(), len(x))

    def forget(self) -> int:
        """Take back what every account of the pool taught, one request for each: after a crash nobody knows which."""
        forgotten = 0
        for key in dict.fromkeys(self.accounts.keys):
            answer = self.send("DELETE", f"{self._model_path}/feedback", None, 1, key=key, reverting=True)
            try:
                forgotten += int(json.loads(answer.body)["forgotten"])
            except (ValueError, KeyError, TypeError, RecursionError) as e:
                raise TargetError(f"the target does not say what it forgot: {e!r}") from e
        return forgotten

    def read_metadata(self) -> dict[str, object]:
        """GET the server's and the model's metadata and its readiness: path → JSON, one query each."""
        found: dict[str, object] = {}
        for path in ("/v2", self._model_path, f"{self._model_path}/ready"):
            content = self.send("GET", path, None, 1).body
            try:
                found[path] = json.loads(content) if content.strip() else {}
            except (ValueError, RecursionError):
                found[path] = {}
        return found

    def _tensor(self, x: Rows) -> dict[str, Any]:
        if x.dtype.kind == "O":
            data, datatype = in_json(x), "BYTES"
        else:
            data, datatype = fitting(x, self.input_shape).ravel().tolist(), "FP64"
        return {"name": self._input_name, "shape": [len(x), *self.input_shape], "datatype": datatype, "data": data}

    def _read(self, content: bytes, rows: int, want_scores: bool) -> Answer:
        with self.answer_of("the Open Inference Protocol"):
            found = {output["name"]: output["data"] for output in json.loads(content)["outputs"]}
            label, scored, written = (found.get(name) for name in astuple(self._outputs))
            scores = self._scores(scored, rows) if scored is not None and (want_scores or label is None) else None
            texts = None if written is None else _texts(written, rows)
            return Answer(self._labels(label, scores, texts, rows), scores if want_scores else None, texts)

    def _labels(self, label: Any, scores: FloatArray | None, texts: Any, rows: int) -> IntArray:
        """As they are said, or else those of the highest scores, or else 0 for every text."""
        if label is not None:
            return self._reading.labels(label, rows)
        if scores is not None:
            return np.asarray(np.argmax(scores, axis=1), dtype=np.int64)
        if texts is None:
            raise ValueError("there is neither a label nor a score nor a text")
        return np.zeros(rows, dtype=np.int64)

    def _scores(self, data: Any, rows: int) -> FloatArray:
        scores = np.asarray(data, dtype=np.float64).reshape(rows, self.classes)
        if not np.all(np.isfinite(scores)):
            raise ValueError("a score is not finite")
        return scores


def _texts(data: Any, rows: int) -> tuple[str, ...]:
    if not isinstance(data, list) or len(data) != rows or not all(isinstance(text, str) for text in data):
        raise ValueError("text is not one text a row")
    return tuple(data)
