"""What every model endpoint over HTTP has in common, whatever its protocol."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Unpack

import numpy as np

from threatmatrix.emulate.target import Answer, FloatArray, IntArray, Rows
from threatmatrix.emulate.targets.http import Conduct, HTTPClient
from threatmatrix.model.errors import TargetError
from threatmatrix.model.system import Scope

__all__ = ["HTTPTarget"]

_ABSENT = (404, 405)
_LONGEST_TEXT = 4096


class HTTPTarget(HTTPClient, ABC):
    """A :class:`~threatmatrix.emulate.target.Target` over HTTP."""

    def __init__(
        self,
        base_url: str,
        model: str,
        scope: Scope,
        technique: str,
        *,
        input_shape: tuple[int, ...],
        classes: int,
        bounds: tuple[float, float] = (0.0, 1.0),
        **conduct: Unpack[Conduct],
    ) -> None:
        super().__init__(base_url, model, scope, technique, **conduct)
        self.input_shape = input_shape
        self.classes = classes
        self.bounds = bounds

    def labels(self, x: Rows) -> IntArray:
        return self.ask(x).labels if len(x) else np.zeros(0, dtype=np.int64)

    def scores(self, x: Rows) -> FloatArray | None:
        return self.ask(x, want_scores=True).scores

    @abstractmethod
    def ask(self, x: Rows, *, want_scores: bool = False) -> Answer:
        """Send n rows in one request, or in as many as the protocol needs."""

    @abstractmethod
    def read_metadata(self) -> dict[str, object]:
        """What the endpoint tells about itself, by path; each read counts as one query."""

    @contextmanager
    def answer_of(self, protocol: str) -> Iterator[None]:
        """Whatever goes wrong while an answer is read is the answer's fault: TargetError."""
        try:
            yield
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, OverflowError) as e:
            raise TargetError(self.hide(f"the target's answer is not that of {protocol}: {e!r}")) from e

    def read_paths(self, *paths: str) -> dict[str, object]:
        """GET each path: path → its JSON, or its text where it is none. What does not exist is left out."""
        found: dict[str, object] = {}
        for path in paths:
            answer = self.send("GET", path, None, 1, expected=_ABSENT)
            if answer.status in _ABSENT:
                continue
            try:
                found[path] = json.loads(answer.body) if answer.body.strip() else {}
            except (ValueError, RecursionError):
                found[path] = {"text": answer.body[:_LONGEST_TEXT].decode(errors="replace").strip()}
        return found
