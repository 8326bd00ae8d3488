"""The server's side of the Open Inference Protocol v2, and of feedback, which the protocol does not have.

``GET /v2``, ``/v2/health/live``, ``/v2/health/ready``, ``/v2/models/{name}``, ``/v2/models/{name}/ready``,
``POST /v2/models/{name}/infer`` (and ``/versions/1/…``); ``POST`` and ``DELETE /v2/models/{name}/feedback`` for models
that learn while they serve. Input ``input``: FP64 (n, width), or BYTES (n,) or (n, 1), files in base64. Outputs:
``label`` INT64 (n,), ``scores`` FP64 (n, classes), ``text`` BYTES (n,); a request's ``outputs`` selects.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from threatmatrix.emulate.reference.base import ModelAnswer, TaughtModel
from threatmatrix.emulate.reference.offer import BadRequestError, Offer
from threatmatrix.emulate.reference.routes import Asked, Routes
from threatmatrix.emulate.target import Rows

__all__ = ["oip_routes"]

FLOATS = ("FP16", "FP32", "FP64")
INPUT = "input"


def oip_routes(offer: Offer) -> Routes:
    """The table of routes of one model."""
    routes = {
        ("GET", "/v2"): _always({"name": "threatmatrix-reference", "version": "2", "extensions": []}),
        ("GET", "/v2/health/live"): _always({"live": True}),
        ("GET", "/v2/health/ready"): _always({"ready": True}),
    }
    base = f"/v2/models/{offer.name}"
    for path in (base, f"{base}/versions/1"):
        routes |= {
            ("GET", path): _always(_card(offer)),
            ("GET", f"{path}/ready"): _always({"name": offer.name, "ready": True}),
            ("POST", f"{path}/infer"): lambda asked: _infer(offer, asked),
        }
    if isinstance(offer.model, TaughtModel):
        model = offer.model
        routes[("POST", f"{base}/feedback")] = lambda asked: _teach(offer, model, asked)
        routes[("DELETE", f"{base}/feedback")] = lambda asked: {"forgotten": model.forget(asked.user)}
    return routes


def _always(content: dict[str, Any]) -> Any:
    return lambda asked: content


def _card(offer: Offer) -> dict[str, Any]:
    outputs: dict[str, dict[str, Any]] = {
        "label": {"name": "label", "datatype": "INT64", "shape": [-1]},
        "scores": {"name": "scores", "datatype": "FP64", "shape": [-1, offer.classes]},
        "text": {"name": "text", "datatype": "BYTES", "shape": [-1]},
    }
    shape = [-1] if offer.width is None else [-1, offer.width]
    card: dict[str, Any] = {
        "name": offer.name,
        "versions": ["1"],
        "platform": offer.platform,
        "inputs": [{"name": INPUT, "datatype": "BYTES" if offer.width is None else "FP64", "shape": shape}],
        "outputs": [outputs[name] for name in offer.outputs],
    }
    return card | ({"parameters": {"class_names": list(offer.class_names)}} if offer.class_names else {})


def _infer(offer: Offer, asked: Asked) -> dict[str, Any]:
    request = asked.json()
    rows = _rows(offer, request)
    wanted = _wanted(offer, request)
    outputs = _outputs(offer.answer(rows), wanted)
    answer = {"model_name": offer.name, "model_version": "1", "outputs": outputs}
    return answer | ({"id": request["id"]} if isinstance(request.get("id"), str) else {})


def _wanted(offer: Offer, request: dict[str, Any]) -> list[str]:
    try:
        wanted = [output["name"] for output in request.get("outputs") or ()]
    except (TypeError, KeyError) as error:
        raise BadRequestError("outputs are a list of objects with a name") from error
    if not all(isinstance(name, str) for name in wanted) or not set(wanted) <= {*offer.outputs, "scores"}:
        raise BadRequestError(f"outputs are {' and '.join(offer.outputs)}")
    return wanted or list(offer.outputs)


def _outputs(said: ModelAnswer, wanted: list[str]) -> list[dict[str, Any]]:
    n = len(said.labels)
    found: list[dict[str, Any]] = []
    if "label" in wanted:
        found.append({"name": "label", "datatype": "INT64", "shape": [n], "data": said.labels.tolist()})
    if "scores" in wanted and said.scores is not None:
        data = said.scores.ravel().tolist()
        found.append({"name": "scores", "datatype": "FP64", "shape": list(said.scores.shape), "data": data})
    if "text" in wanted and said.texts is not None:
        found.append({"name": "text", "datatype": "BYTES", "shape": [n], "data": list(said.texts)})
    return found


def _teach(offer: Offer, model: TaughtModel, asked: Asked) -> dict[str, Any]:
    request = asked.json()
    rows = _rows(offer, request)
    labels = request.get("labels")
    if not isinstance(labels, list) or len(labels) != len(rows) or not all(_is_label(offer, y) for y in labels):
        raise BadRequestError(f"labels must be one of 0 to {offer.classes - 1} for each row")
    try:
        model.teach(rows, np.asarray(labels, dtype=np.int64), asked.user)
    except ValueError as error:
        raise BadRequestError(str(error)) from error
    return {"learnt": len(rows)}


def _is_label(offer: Offer, label: Any) -> bool:
    return isinstance(label, int) and not isinstance(label, bool) and 0 <= label < offer.classes


def _rows(offer: Offer, request: Any) -> Rows:
    """The rows of the one input: another that is ignored could hide the one that counts from a gateway."""
    inputs = request.get("inputs") if isinstance(request, dict) else None
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise BadRequestError("not an inference request: inputs must be a list of one tensor")
    tensor = inputs[0]
    if tensor.get("name") != INPUT:
        raise BadRequestError(f"the only input is {INPUT}")
    datatypes = ("BYTES",) if offer.width is None else FLOATS
    if tensor.get("datatype") not in datatypes:
        raise BadRequestError(f"datatype must be {' or '.join(datatypes)}")
    shape, data = tensor.get("shape"), tensor.get("data")
    if not isinstance(shape, list) or not shape or not all(type(size) is int and size > 0 for size in shape):
        raise BadRequestError("shape must be a list of sizes of at least 1")
    if not isinstance(data, list):
        raise BadRequestError("data must be a list")
    width = int(np.prod(shape[1:], dtype=object)) if shape[1:] else 1
    if width != (offer.width or 1):
        raise BadRequestError(f"shape must be [n, {offer.width or 1}]")
    if offer.width is not None:
        return offer.numbers(data, shape[0])
    if len(data) != shape[0]:
        raise BadRequestError("data does not fit the shape")
    return offer.rows(data)
