"""Inference answers of the Open Inference Protocol v2 as the gateway holds them: labels and scores by row."""

from __future__ import annotations

import json

from threatmatrix.telemetry.inputs.answers import InferAnswer, read_outputs
from threatmatrix.telemetry.inputs.oip import BodyProblem

__all__ = ["InferAnswer", "parse_answer", "read_outputs"]


def parse_answer(body: bytes, rows: int, *, label: str = "label", scores: str = "scores") -> InferAnswer:
    """Answer of the app → labels and scores by row; tensors that do not fit ``rows`` are left out.

    Raises ``BodyProblem`` if the body is not an answer at all.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise BodyProblem("the answer is not JSON", opaque=True) from None
    if not isinstance(document, dict) or not isinstance(document.get("outputs"), list):
        raise BodyProblem("the answer has no outputs", opaque=True)
    return read_outputs(document, rows, label, scores)
