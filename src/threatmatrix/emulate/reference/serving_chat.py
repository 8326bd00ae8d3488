"""The server's side of the OpenAI API, for models that generate text: ``/v1/models`` and ``/v1/chat/completions``.

The last message of the user is the model's input; what comes before is not looked at. No streaming, one choice.
"""

from __future__ import annotations

from typing import Any

from threatmatrix.emulate.reference.offer import BadRequestError, Offer
from threatmatrix.emulate.reference.routes import Asked, Routes

__all__ = ["chat_routes"]


def chat_routes(offer: Offer) -> Routes:
    """The table of routes of one model."""
    card = {"id": offer.name, "object": "model", "created": 0, "owned_by": "threatmatrix-reference"}
    return {
        ("GET", "/v1/models"): lambda asked: {"object": "list", "data": [card]},
        ("GET", f"/v1/models/{offer.name}"): lambda asked: card,
        ("POST", "/v1/chat/completions"): lambda asked: _complete(offer, asked),
    }


def _complete(offer: Offer, asked: Asked) -> dict[str, Any]:
    request = asked.json()
    if not isinstance(request, dict) or request.get("model") != offer.name:
        raise BadRequestError(f"the only model is {offer.name}")
    if request.get("stream") or request.get("n", 1) != 1:
        raise BadRequestError("there is one choice, and no stream")
    question = _question(request.get("messages"))
    said = offer.answer(offer.rows([question]))
    text = said.texts[0] if said.texts is not None else ""
    sizes = len(question.split()), len(text.split())
    usage = {"prompt_tokens": sizes[0], "completion_tokens": sizes[1], "total_tokens": sum(sizes)}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {
        "id": "chatcmpl-reference", "object": "chat.completion", "created": 0,
        "model": offer.name, "choices": [choice], "usage": usage,
    }  # fmt: skip


def _question(messages: Any) -> str:
    """The last message of the user, its text in one string or in parts."""
    said = (
        [m for m in messages if isinstance(m, dict) and m.get("role") == "user"] if isinstance(messages, list) else []
    )
    content = said[-1].get("content") if said else None
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else None for part in content]
        content = "".join(parts) if all(isinstance(part, str) for part in parts) else None  # type: ignore[arg-type]
    if not isinstance(content, str):
        raise BadRequestError("messages must hold a text from the user")
    return content
