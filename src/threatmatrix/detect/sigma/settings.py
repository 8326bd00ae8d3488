"""One entry of a pipeline's YAML, read key by key; what nobody asks for is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from threatmatrix.detect.sigma.documents import Document, Path
from threatmatrix.model.errors import RuleError

__all__ = ["Settings"]


class Settings:
    """The mapping that stands at ``path`` of ``document``. Every method raises RuleError."""

    def __init__(self, document: Document, raw: Any, path: Path) -> None:
        self.document, self.path = document, path
        if not isinstance(raw, dict):
            raise document.refuse("is a mapping", *path)
        self._raw: dict[str, Any] = raw
        self._asked: set[str] = set()

    def refuse(self, problem: str, *key: str, choices: Iterable[str] = (), hint: str = "") -> RuleError:
        return self.document.refuse(problem, *self.path, *key, choices=choices, hint=hint)

    def has(self, key: str) -> bool:
        return key in self._raw

    def get(self, key: str, default: Any = None) -> Any:
        self._asked.add(key)
        return self._raw.get(key, default)

    def text(self, key: str, default: str | None = None) -> str:
        value = self.get(key, default)
        if not isinstance(value, str):
            raise self.refuse("must be text", key)
        return value

    def choice(self, key: str, choices: Iterable[str], default: str | None = None) -> str:
        value = self.get(key, default)
        if not isinstance(value, str) or value not in choices:
            raise self.refuse(f"{value!r} is not supported", key, choices=sorted(choices))
        return value

    def flag(self, key: str) -> bool:
        value = self.get(key, False)
        if not isinstance(value, bool):
            raise self.refuse("is true or false", key)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.get(key)
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not listed or not all(isinstance(one, str) for one in listed):
            raise self.refuse("is a list of texts", key)
        return tuple(listed)

    def mapping(self, key: str) -> Mapping[str, tuple[str, ...]]:
        """A mapping from text to a text or to a list of texts."""
        value = self.get(key)
        if not isinstance(value, dict) or not value:
            raise self.refuse("is a mapping from text to text", key)
        inner = Settings(self.document, value, (*self.path, key))
        return {name: inner.texts(name) for name in value}

    def scalar(self, key: str) -> str | int | float | bool | None:
        value = self.get(key)
        if isinstance(value, str | int | float | bool | None):
            return value
        raise self.refuse("is text, a number, true, false or null", key)

    def entries(self, key: str) -> list[Settings]:
        value = self.get(key, [])
        if not isinstance(value, list):
            raise self.refuse("is a list", key)
        return [Settings(self.document, one, (*self.path, key, at)) for at, one in enumerate(value)]

    def finish(self) -> None:
        """Refuse a key that nobody has asked for."""
        for key in self._raw:
            if key not in self._asked:
                raise self.refuse(f"{key!r} is not supported here", key, choices=sorted(self._asked))
