"""Any HTTP endpoint, by a template: what is sent, and where in the JSON answer the label, scores or text stand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Unpack
from urllib.parse import quote, urlencode, urlsplit

from threatmatrix.emulate.target import Answer, Rows
from threatmatrix.emulate.targets.endpoint import HTTPTarget
from threatmatrix.emulate.targets.form import ModelForm, Reading, in_json
from threatmatrix.emulate.targets.http import Conduct
from threatmatrix.model.errors import UsageError
from threatmatrix.model.system import Scope

__all__ = ["ROW", "ROWS", "TemplateClient", "TemplateSpec", "at_pointer"]

ROW = "{{row}}"
ROWS = "{{rows}}"
RESERVED = frozenset(
    ("connection", "content-length", "host", "transfer-encoding", "user-agent", "x-event-time", "x-forwarded-for")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSpec:
    """A request with placeholders, and pointers (RFC 6901) into its answer.

    ``{{row}}`` alone as a value is one row (numbers, a text, a file in base64): one request for each. Within a longer
    text, and in the URL's path or query, it stands for the text. ``{{rows}}`` is the list of all: one request for all.
    ``rows_at``: where the list of results stands, then; the other pointers go on from there. ``scale``: what the score
    of class 1 goes from and to, where one number is the score. ``headers`` may hold secrets: ``secrets`` lists them,
    and no message repeats one.
    """

    url: str
    model: str
    form: ModelForm
    method: Literal["GET", "POST", "PUT"] = "POST"
    headers: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()
    body: Any = None
    encoding: Literal["json", "form"] = "json"
    rows_at: str = ""
    label_at: str | None = None
    scores_at: str | None = None
    text_at: str | None = None
    scale: tuple[float, float] = (0.0, 1.0)

    def __repr__(self) -> str:
        return f"TemplateSpec({self.method} {self.url}, model={self.model!r})"

    @property
    def together(self) -> bool:
        """Whether all rows go in one request. Raises UsageError for a template that sends no row, or both kinds."""
        one, all_ = _holds(self.body, ROW) or ROW in self.url, _holds(self.body, ROWS)
        if one == all_:
            raise UsageError(f"the template of {self.model} must hold either {ROW} or {ROWS}")
        return all_


class TemplateClient(HTTPTarget):
    """A :class:`~threatmatrix.emulate.target.Target` as a :class:`TemplateSpec` describes it."""

    def __init__(self, spec: TemplateSpec, scope: Scope, technique: str, **conduct: Unpack[Conduct]) -> None:
        parts = urlsplit(spec.url)
        if "{" in parts.netloc or "{" in parts.scheme:
            raise UsageError(f"the template of {spec.model} has a placeholder in its host")
        if all(at is None for at in (spec.label_at, spec.scores_at, spec.text_at)):
            raise UsageError(f"the template of {spec.model} says nowhere to find a label, scores or a text")
        if reserved := sorted({name.lower() for name, _ in spec.headers} & RESERVED):
            raise UsageError(f"the template of {spec.model} sets {', '.join(reserved)}, which the client sets itself")
        form = spec.form
        super().__init__(
            f"{parts.scheme}://{parts.netloc}", spec.model, scope, technique,
            input_shape=form.input_shape, classes=form.classes, bounds=form.bounds, **conduct,
        )  # fmt: skip
        self.spec = spec
        self._together = spec.together
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._reading = Reading(form.classes, form.class_names, form.gives_text)

    def secrets(self) -> tuple[str, ...]:
        return (*super().secrets(), *self.spec.secrets)

    def ask(self, x: Rows, *, want_scores: bool = False) -> Answer:
        rows = in_json(x, self.input_shape)
        if self._together:
            results = self._results(self._exchange(None, rows), len(rows))
        else:
            self.afford(len(rows))
            results = [self._exchange(row, None) for row in rows]
        with self.answer_of("the template"):
            return self._reading.together([self._one(result) for result in results], want_scores=want_scores)

    def read_metadata(self) -> dict[str, object]:
        """A template knows no metadata."""
        return {}

    def _exchange(self, row: Any, rows: list[Any] | None) -> Any:
        spec = self.spec
        path = self._path.replace(ROW, quote(_in_text(row), safe="")) if rows is None else self._path
        body, headers = None, dict(spec.headers)
        if spec.body is not None:
            content = _filled(spec.body, row, rows)
            if spec.encoding == "form":
                headers["content-type"] = "application/x-www-form-urlencoded"
                body = urlencode({name: _in_text(value) for name, value in content.items()}).encode()
            else:
                body = json.dumps(content).encode()
        answer = self.send(spec.method, path, body, 1 if rows is None else len(rows), headers=headers)
        with self.answer_of("the template"):
            return json.loads(answer.body)

    def _results(self, content: Any, rows: int) -> list[Any]:
        with self.answer_of("the template"):
            results = at_pointer(content, self.spec.rows_at)
            if not isinstance(results, list) or len(results) != rows:
                raise ValueError(f"there is not one result for each of {rows} rows")
            return results

    def _one(self, result: Any) -> tuple[int | None, Any, str | None]:
        spec, reading = self.spec, self._reading
        label = None if spec.label_at is None else reading.label(at_pointer(result, spec.label_at))
        scores = None
        if spec.scores_at is not None:
            value = at_pointer(result, spec.scores_at)
            if isinstance(value, int | float) and not isinstance(value, bool):
                low, high = spec.scale
                value = (float(value) - low) / (high - low)
            scores = reading.vector(value)
        text = None if spec.text_at is None else at_pointer(result, spec.text_at)
        if text is not None and not isinstance(text, str):
            raise ValueError("the text is no text")
        return label, scores, text


def at_pointer(content: Any, pointer: str) -> Any:
    """What a JSON pointer (RFC 6901) points at; raises ValueError where there is nothing."""
    if pointer and not pointer.startswith("/"):
        raise ValueError(f"{pointer!r} is no JSON pointer: it begins with /")
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(content, Mapping) and key in content:
            content = content[key]
        elif isinstance(content, list) and key.isascii() and key.isdigit() and int(key) < len(content):
            content = content[int(key)]
        else:
            raise ValueError(f"the answer has nothing at {pointer}")
    return content


def _holds(body: Any, placeholder: str) -> bool:
    if isinstance(body, str):
        return placeholder in body
    if isinstance(body, Mapping):
        return any(_holds(value, placeholder) for value in body.values())
    return isinstance(body, list | tuple) and any(_holds(value, placeholder) for value in body)


def _filled(body: Any, row: Any, rows: list[Any] | None) -> Any:
    """The body with its placeholders filled; what was filled in is not looked at again."""
    if isinstance(body, str):
        if body == ROW and rows is None:
            return row
        if body == ROWS and rows is not None:
            return rows
        return body.replace(ROW, _in_text(row)) if rows is None else body
    if isinstance(body, Mapping):
        return {key: _filled(value, row, rows) for key, value in body.items()}
    if isinstance(body, list | tuple):
        return [_filled(value, row, rows) for value in body]
    return body


def _in_text(value: Any) -> str:
    """A row within a text: numbers in JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
