"""An inference body and its headers → a request that the gateway understands, or why it does not.

A model whose inputs are declared (``GatewayConfig.inputs``) is held to them: one tensor that the model ignores would
otherwise change what the log says of every input, and hide near-duplicates from the monitors.
"""

from __future__ import annotations

from collections.abc import Mapping

from threatmatrix.telemetry.inputs.oip import BodyProblem, InferRequest, is_object, parse_infer

__all__ = ["TEXTS", "read_request"]

TEXTS = 0
"""Declared in place of a number per row: texts or files (BYTES), to which noise has no meaning."""

_BINARY = b"inference-header-content-length"  # of the binary tensor extension: JSON, then raw bytes


def read_request(
    body: bytes, headers: Mapping[bytes, bytes], *, max_rows: int, declared: Mapping[str, int] | None
) -> InferRequest:
    """Read the body. ``declared``: tensor name → numbers per row, or ``TEXTS``; None if nothing is declared.

    Raises ``BodyProblem``; for a declared model it is never opaque.
    """
    try:
        request = parse_infer(body, max_rows=max_rows)
    except BodyProblem as problem:
        problem.opaque = declared is None and (problem.opaque or _not_json(body, headers))
        raise
    if declared is not None:
        _hold_to(request, declared)
    return request


def _hold_to(request: InferRequest, declared: Mapping[str, int]) -> None:
    if {tensor.name for tensor in request.tensors} != declared.keys():  # names are unique in a request
        raise BodyProblem(f"the inputs must be {', '.join(declared)}")
    for tensor in request.tensors:
        if declared[tensor.name] == TEXTS:
            if tensor.texts is None:
                raise BodyProblem(f"the input {tensor.name} must be texts (BYTES)")
            continue
        if not tensor.width:
            raise BodyProblem("every input must be numeric")
        if tensor.width != declared[tensor.name]:
            raise BodyProblem(f"a row of input {tensor.name} must have {declared[tensor.name]} numbers")


def _not_json(body: bytes, headers: Mapping[bytes, bytes]) -> bool:
    """True if the body is compressed or binary as its headers say: not ours to call malformed.

    A header alone is not believed, for a client could put it before any malformed body, and many servers ignore it.
    """
    looks_json = body.lstrip()[:1] == b"{"
    codings = {coding.strip().lower() for coding in headers.get(b"content-encoding", b"").split(b",")}
    if codings - {b"", b"identity"}:
        return not looks_json
    value = headers.get(_BINARY, b"")
    if not value.isdigit() or len(value) > len(str(len(body))) or int(value) >= len(body):
        return False
    return is_object(body[: int(value)]) if int(value) else not looks_json
