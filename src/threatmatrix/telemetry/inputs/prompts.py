"""What the log keeps of a prompt instead of the prompt: a keyed vector in which variations of one text lie close.

A text is taken apart into runs of four characters, after case and white space are dropped; each run is put into one of
1,024 buckets with a sign, both told by a keyed hash; the square roots of the sums, as a vector of length 1, go through
the same keyed projection and rounding as rows of numbers (``fingerprint``). Distances are of texts then: 0 for the
same, about 0.5 for one letter in fifty changed, about 1.4 for two that share nothing. docs/privacy.md has the
measurements (``benchmarks/bench_prompts.py``). Feature hashing: Weinberger et al. 2009, section 2.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from threatmatrix.telemetry.inputs.fingerprint import Projection

__all__ = ["LEAST", "STEP", "TextProjection", "asked"]

GRAM = 4  # characters
LEAST = 40  # characters without white space; of a shorter text it cannot be said what is a variation of it
STEP = 1 / 240  # components have a standard deviation of 1/8: 30 steps, and 4.2 of it fit into int8

_BUCKETS = 1024
_DIMS = 64
_LONGEST = 8192  # characters of the beginning, and as many of the end, that are looked at
_DEEPEST = 6
_ASKING = ("messages", "contents", "input", "prompt", "inputText", "inputs", "text", "query", "question")
_USERS = ("user", "human")


class TextProjection:
    """Projects texts under one key. ``key`` is the projection's id, ``scale`` what one int8 step is worth."""

    scale = STEP

    def __init__(self, key: bytes) -> None:
        secret = hashlib.blake2b(b"text projection/1", key=key, digest_size=32).digest()
        self._projection = Projection(secret, _BUCKETS, _DIMS, STEP, 0.0)
        self.key = self._projection.key
        drawn = hashlib.shake_256(secret + b"runs").digest(8 * (GRAM + 2))
        odd = np.frombuffer(drawn, "<u8") | np.uint64(1)
        self._factors, self._mixers = odd[:GRAM], odd[GRAM:]

    def __call__(self, text: str | None) -> bytes | None:
        """64 int8 components; None for a text that is too short."""
        code = _characters(text or "")
        if len(code) < LEAST:
            return None
        counts = self._counts(code)
        rooted = np.sign(counts) * np.sqrt(np.abs(counts))
        length = float(np.linalg.norm(rooted))
        if not length:
            return None
        quantised, _ = self._projection((rooted / length).astype(np.float32).reshape(1, -1))
        return quantised.tobytes()

    def _counts(self, code: NDArray[np.uint64]) -> NDArray[np.int64]:
        """(1024,) runs in each bucket, those with a minus taken off."""
        runs = len(code) - GRAM + 1
        hashed = np.zeros(runs, np.uint64)
        for place, factor in enumerate(self._factors):
            hashed += code[place : place + runs] * factor
        for mixer in self._mixers:
            hashed ^= hashed >> np.uint64(31)
            hashed *= mixer
        signed = np.bincount((hashed >> np.uint64(53)).astype(np.int64), minlength=2 * _BUCKETS).reshape(_BUCKETS, 2)
        counts: NDArray[np.int64] = signed[:, 0] - signed[:, 1]
        return counts


def asked(content: str) -> str | None:
    """What is asked in a request: the last message of the user, where ``content`` is JSON with messages; else all.

    The rest of a conversation is the same from turn to turn and a system prompt from user to user: with them, honest
    requests would look like variations of one another. So would records of one form: of other JSON there is None.
    """
    if not content.startswith(("[", "{")):
        return content
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return content
    if isinstance(value, dict):
        value = next((value[key] for key in _ASKING if value.get(key)), None)
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return None
    messages = [each for each in value if isinstance(each, str | dict)]
    mine = [each for each in messages if isinstance(each, dict) and each.get("role") in _USERS] or messages
    return " ".join(_texts(mine[-1], 0)) if mine else None


def _texts(value: object, depth: int) -> Iterator[str]:
    """The texts of a message, whichever way the provider nests them: content, parts, text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and depth < _DEEPEST:
        for part in value:
            yield from _texts(part, depth + 1)
    elif isinstance(value, dict) and depth < _DEEPEST:
        for key in ("content", "parts", "text"):
            yield from _texts(value.get(key), depth + 1)


def _characters(text: str) -> NDArray[np.uint64]:
    """Code points without case, white space and differences of mere form; the middle of a long text left out."""
    if len(text) > 2 * _LONGEST:
        text = text[:_LONGEST] + text[-_LONGEST:]
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    plain = "".join(text.casefold().split())
    return np.frombuffer(plain.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
