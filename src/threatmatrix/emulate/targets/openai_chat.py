"""The OpenAI API's chat: ``POST {base_url}/chat/completions``, one request for each row."""

from __future__ import annotations

import json
import re
from typing import Any, Unpack

import numpy as np

from threatmatrix.emulate.target import Answer, Rows
from threatmatrix.emulate.targets.endpoint import HTTPTarget
from threatmatrix.emulate.targets.http import Conduct
from threatmatrix.model.errors import UsageError
from threatmatrix.model.system import Scope

__all__ = ["ChatClient"]


class ChatClient(HTTPTarget):
    """A :class:`~threatmatrix.emulate.target.Target` that is talked to. Rows are texts; there are no scores.

    ``system``: what the model is told first. With ``class_names`` the label is the one name that the reply holds as
    a word, and one more class, the last, stands for a reply that names none or several; without, every label is 0 and
    the reply's text is what counts. The account's key goes as ``authorization: Bearer …``.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        scope: Scope,
        technique: str,
        *,
        class_names: tuple[str, ...] = (),
        system: str = "",
        max_tokens: int | None = None,
        temperature: float | None = 0.0,
        **conduct: Unpack[Conduct],
    ) -> None:
        conduct["account_header"] = conduct.get("account_header") or "authorization"
        classes = len(class_names) + 1
        super().__init__(base_url, model, scope, technique, input_shape=(), classes=classes, **conduct)
        self.class_names = class_names
        self._system = system
        self._options = {"max_tokens": max_tokens, "temperature": temperature}
        self._words = [re.compile(rf"\b{re.escape(name)}\b", re.IGNORECASE) for name in class_names]

    def ask(self, x: Rows, *, want_scores: bool = False) -> Answer:
        if x.dtype.kind != "O" or not all(isinstance(row, str) for row in x):
            raise UsageError("a chat takes texts, and these rows are none")
        self.afford(len(x))
        said = tuple(self._say(str(row)) for row in x)
        return Answer(np.asarray([self._label(text) for text in said], dtype=np.int64), None, said)

    def read_metadata(self) -> dict[str, object]:
        """GET the list of models: path → JSON, one query."""
        return self.read_paths("/models")

    def _say(self, text: str) -> str:
        messages = [{"role": "system", "content": self._system}] if self._system else []
        body: dict[str, Any] = {"model": self.model, "messages": [*messages, {"role": "user", "content": text}]}
        body |= {name: value for name, value in self._options.items() if value is not None}
        content = self.send("POST", "/chat/completions", json.dumps(body).encode(), 1).body
        with self.answer_of("the OpenAI API"):
            said = json.loads(content)["choices"][0]["message"]["content"]
            if said is None:  # a refusal of the model itself
                return ""
            if not isinstance(said, str):
                raise ValueError("the content is no text")
            return said

    def _label(self, text: str) -> int:
        found = [index for index, word in enumerate(self._words) if word.search(text)]
        return found[0] if len(found) == 1 else len(self.class_names)
