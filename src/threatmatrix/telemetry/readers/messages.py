"""What a language model was asked, in one spelling whatever the log writes it in, so that equal prompts look equal.

The same chat stands in logs as OpenAI's messages (``content`` a text or a list of ``{"type": "text", "text"}``), as
Amazon Bedrock's Converse messages (``content`` a list of ``{"text"}``), and as OpenTelemetry's (``parts`` with
``{"type": "text", "content"}``). Here each is ``[{"content": text, "role": role}, …]`` with the system's instructions
first; what is no text (images, tool calls) stays as it was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from threatmatrix.telemetry.decoding import canonical, decode_whole
from threatmatrix.telemetry.readers.base import Where, reject

if TYPE_CHECKING:  # the inputs need NumPy
    from threatmatrix.telemetry.inputs.inputs import Inputs

__all__ = ["PER_PROMPT", "chat_of", "input_fields", "opened"]

PER_PROMPT: Mapping[str, str] = {
    "input_fp_prev": "the same under the key before, while keys overlap",
    "input_vec": "keyed projection of what was asked last, from 40 characters on",
    "vec_scale": "of `input_vec`",
    "vec_key": "of `input_vec`",
    "input_vec_prev": "`input_vec` under the key before, while keys overlap",
    "vec_key_prev": "of `input_vec_prev`",
    "input_bytes": "length of what was asked as JSON",
    "input_raw": "what was asked, where it is to be kept",
}
"""What stands for a prompt besides its hash, for ``gives`` of readers."""

_TEXT_KEYS = frozenset({"type", "text", "content", "cache_control"})
_TURN_KEYS = ("role", "content", "parts")


def chat_of(messages: object, system: object = None) -> object:
    """Messages of any of the known spellings → the common one; None where nothing was asked.

    What has no known spelling (tokens of an embedding, a body of a model of its own) comes back as it is.
    """
    if not messages and not system:
        return None
    turns: list[object] = [{"content": _content(system), "role": "system"}] if system else []
    if isinstance(messages, str):
        turns.append({"content": messages, "role": "user"})
    elif isinstance(messages, list):
        turns.extend(map(_turn, messages))
    elif messages:
        return messages
    return turns


def input_fields(inputs: Inputs | None, asked: object, time: int, where: Where, key: str) -> Mapping[str, Any]:
    """The fields of an event that stand for what was asked at ``time`` (µs); none where it is None.

    Without ``inputs`` only the length is told: a hash that anybody can compute gives short prompts away.
    """
    if asked is None:
        return {}
    try:
        text = canonical(asked)
    except RecursionError:
        raise reject(where, key, "nested too deeply") from None
    if inputs is None:
        return {"input_bytes": len(text.encode("utf-8", "replace"))}
    return inputs.text(text, time)._asdict()


def opened(value: object) -> object:
    """JSON that a log has put into a text; a text that is no JSON stays one."""
    if not isinstance(value, str) or value[:1] not in ("[", "{"):
        return value
    try:
        return decode_whole(value)
    except (ValueError, RecursionError):
        return value


def _turn(message: object) -> object:
    if isinstance(message, str):
        return {"content": message, "role": "user"}
    if not isinstance(message, dict):
        return message
    rest = {key: value for key, value in message.items() if key not in _TURN_KEYS and value is not None}
    said = message.get("content", message.get("parts"))
    return {**rest, "content": _content(said), "role": message.get("role", "user")}


def _content(said: object) -> object:
    if not isinstance(said, list):
        return said
    parts = [_text_or_part(item) for item in said]
    return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else parts


def _text_or_part(item: object) -> object:
    """The text of a part that is nothing but text."""
    if isinstance(item, dict) and item.keys() <= _TEXT_KEYS and item.get("type", "text") == "text":
        text = item.get("text", item.get("content"))
        if isinstance(text, str):
            return text
    return item
