"""The server's side of MLflow's scoring server and of TensorFlow Serving's REST API.

MLflow: ``GET /ping``, ``/health``, ``/version``; ``POST /invocations`` with one of ``dataframe_split``,
``dataframe_records``, ``instances`` and ``inputs``; the answer's ``predictions`` are texts, or scores, or labels, the
first of them that the model has, and objects of all three where it has texts and scores.

TensorFlow Serving: ``GET /v1/models/{name}`` and ``…/metadata``, ``POST /v1/models/{name}:predict`` with ``instances``
or ``inputs``; files as ``{"b64": …}``; the answers are the same.
"""

from __future__ import annotations

from typing import Any

from threatmatrix.emulate.reference.base import ModelAnswer
from threatmatrix.emulate.reference.offer import BadRequestError, Offer
from threatmatrix.emulate.reference.routes import Asked, Routes

__all__ = ["mlflow_routes", "tf_routes"]

_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_PING = b"\n"


def mlflow_routes(offer: Offer) -> Routes:
    """MLflow's scoring server has one model, and no name in its paths."""

    def invoke(asked: Asked) -> dict[str, Any]:
        return {"predictions": _plain(offer.answer(offer.rows(_mlflow_rows(asked.json()))))}

    return {
        ("GET", "/ping"): lambda asked: _PING,
        ("GET", "/health"): lambda asked: _PING,
        ("GET", "/version"): lambda asked: b"threatmatrix-reference",
        ("POST", "/invocations"): invoke,
    }


def _mlflow_rows(request: Any) -> list[Any]:
    given = [form for form in _FORMS if isinstance(request, dict) and form in request]
    if len(given) != 1:
        raise BadRequestError(f"the request must have exactly one of {', '.join(_FORMS)}")
    content = request[given[0]]
    try:
        if given[0] == "dataframe_split":
            return list(content["data"])
        if given[0] == "dataframe_records":
            return [list(record.values()) for record in content]
    except (TypeError, KeyError, AttributeError) as error:
        raise BadRequestError(f"{given[0]} is not what it should be: {error!r}") from error
    if isinstance(content, dict) and len(content) == 1:
        (content,) = content.values()
    if not isinstance(content, list):
        raise BadRequestError(f"{given[0]} must be a list")
    return content


def tf_routes(offer: Offer) -> Routes:
    """TensorFlow Serving's paths for one model."""
    base = f"/v1/models/{offer.name}"
    ok = {"error_code": "OK", "error_message": ""}
    status = {"model_version_status": [{"version": "1", "state": "AVAILABLE", "status": ok}]}

    def predict(asked: Asked) -> dict[str, Any]:
        request = asked.json()
        rowwise = isinstance(request, dict) and "instances" in request
        if not isinstance(request, dict) or ("inputs" in request) == rowwise:
            raise BadRequestError("the request must have either instances or inputs")
        values = request["instances" if rowwise else "inputs"]
        if not isinstance(values, list):
            raise BadRequestError("instances must be a list")
        said = _plain(offer.answer(offer.rows([_tf_value(value) for value in values])))
        return {"predictions": said} if rowwise else {"outputs": said}

    return {
        ("GET", base): lambda asked: status,
        ("GET", f"{base}/metadata"): lambda asked: _tf_card(offer),
        ("POST", f"{base}:predict"): predict,
        ("POST", f"{base}/versions/1:predict"): predict,
    }


def _tf_value(value: Any) -> Any:
    """One instance: named by its input's name or not, bytes in their envelope or not."""
    if isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
        return _tf_value(value)
    return value


def _tf_card(offer: Offer) -> dict[str, Any]:
    def tensor(kind: str, sizes: tuple[int, ...]) -> dict[str, Any]:
        return {"dtype": kind, "tensor_shape": {"dim": [{"size": str(size), "name": ""} for size in sizes]}}

    takes = tensor("DT_STRING", (-1,)) if offer.width is None else tensor("DT_DOUBLE", (-1, offer.width))
    gives = {"label": tensor("DT_INT64", (-1,))} if offer.text == offer.scores else {}
    if offer.scores:
        gives["scores"] = tensor("DT_DOUBLE", (-1, offer.classes))
    if offer.text:
        gives["text"] = tensor("DT_STRING", (-1,))
    signature = {"inputs": {"input": takes}, "outputs": gives, "method_name": "tensorflow/serving/predict"}
    return {
        "model_spec": {"name": offer.name, "signature_name": "", "version": "1"},
        "metadata": {"signature_def": {"signature_def": {"serving_default": signature}}},
    }


def _plain(said: ModelAnswer) -> list[Any]:
    """One value for each row: what a served model function returns."""
    if said.texts is not None and said.scores is not None:
        rows = zip(said.labels.tolist(), said.scores.tolist(), said.texts, strict=True)
        return [{"label": label, "scores": scores, "text": text} for label, scores, text in rows]
    if said.texts is not None:
        return list(said.texts)
    return list((said.labels if said.scores is None else said.scores).tolist())
