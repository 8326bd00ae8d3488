"""A target's file (``--target template:FILE.yaml``): any HTTP endpoint, described as data.

Secrets stay out of the file: ``${NAME}`` in a header or in the body is the environment variable of that name, and no
message repeats what it holds. docs/targets.md shows a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from threatmatrix.emulate.targets import ModelForm, TargetSpec, TemplateSpec, parse_target
from threatmatrix.knowledge.check import check
from threatmatrix.knowledge.schema_types import Line, Number, StrictModel, Url
from threatmatrix.knowledge.yamlfile import Document, load_yaml
from threatmatrix.model.errors import UsageError

__all__ = ["TargetFile", "load_template", "read_target"]

_HINT = "docs/targets.md shows a file"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LEAST_SECRET = 4
"""Characters; a shorter value is no secret worth hiding, and hiding it would garble every message."""

Pointer = Annotated[str, StringConstraints(pattern=r"^(/.*)?$", max_length=300)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=100)]


class InputEntry(StrictModel):
    """What one row is."""

    kind: Literal["numbers", "text", "file"]
    shape: list[Annotated[int, Field(ge=1)]] = Field(default_factory=list)
    bounds: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = None


class AnswerEntry(StrictModel):
    """Where the answer's JSON holds what; with ``rows``, the other pointers start at each of its entries."""

    rows: Pointer | None = None
    label: Pointer | None = None
    scores: Pointer | None = None
    text: Pointer | None = None
    scale: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = None


class TargetFile(StrictModel):
    """A target over HTTP."""

    model: Line
    url: Url
    method: Literal["GET", "POST", "PUT"] = "POST"
    headers: dict[HeaderName, Annotated[str, StringConstraints(max_length=4000)]] = Field(default_factory=dict)
    body: Any = None
    encoding: Literal["json", "form"] = "json"
    input: InputEntry
    classes: Annotated[int, Field(ge=1)] | Annotated[list[Line], Field(min_length=1)]
    answer: AnswerEntry


def read_target(text: str) -> tuple[TargetSpec, TemplateSpec | None]:
    """A ``--target`` with its file's content, where it names one. Raises as parse_target and load_template do."""
    spec = parse_target(text)
    if spec.kind != "template":
        return spec, None
    template = load_template(Path(spec.file))
    return spec.described_by(template), template


def load_template(path: Path, environment: Mapping[str, str] | None = None) -> TemplateSpec:
    """Read a target's file. Raises InputError, FormatError; UsageError for a variable that is not set.

    ``environment``: where ``${NAME}`` is looked up; the process's by default.
    """
    document = load_yaml(path)
    content = check(document, TargetFile, hint=_HINT)
    _consistent(document, content)
    found = _Secrets(document.file, os.environ if environment is None else environment)
    names = tuple(content.classes) if isinstance(content.classes, list) else ()
    answer = content.answer
    return TemplateSpec(
        url=content.url,
        model=content.model,
        method=content.method,
        form=ModelForm(
            input_shape=tuple(content.input.shape),
            classes=len(names) or int(str(content.classes)),
            class_names=names,
            bounds=_pair(content.input.bounds),
            gives_text=answer.text is not None,
        ),
        headers=tuple((name, found.fill(value)) for name, value in content.headers.items()),
        body=found.fill_all(content.body),
        encoding=content.encoding,
        rows_at=answer.rows or "",
        label_at=answer.label,
        scores_at=answer.scores,
        text_at=answer.text,
        scale=_pair(answer.scale),
        secrets=tuple(found.secrets),
    )


def _pair(values: Sequence[float] | None) -> tuple[float, float]:
    return (0.0, 1.0) if values is None else (float(values[0]), float(values[1]))


def _consistent(document: Document, content: TargetFile) -> None:
    """What no single key can say."""
    if content.input.kind != "numbers" and content.input.shape:
        raise document.error(("input", "shape"), f"a {content.input.kind} has no shape", hint=_HINT)
    if content.input.kind == "numbers" and not content.input.shape:
        raise document.error(("input",), "numbers need a shape, such as [64]", hint=_HINT)
    for where, pair in ((("input", "bounds"), content.input.bounds), (("answer", "scale"), content.answer.scale)):
        if pair is not None and pair[0] >= pair[1]:
            raise document.error(where, "the first number must be below the second", hint=_HINT)
    if all(at is None for at in (content.answer.label, content.answer.scores, content.answer.text)):
        raise document.error(("answer",), "one of label, scores and text must be given", hint=_HINT)
    if content.encoding == "form" and not isinstance(content.body, dict):
        raise document.error(("body",), "a form is a mapping (name: value)", hint=_HINT)
    if _VARIABLE.search(content.url):
        raise document.error(("url",), "an environment variable cannot stand in the URL: logs keep URLs", hint=_HINT)


@dataclass(slots=True)
class _Secrets:
    """Fills in environment variables, and remembers what must not be shown."""

    file: str
    environment: Mapping[str, str]
    secrets: list[str] = field(default_factory=list)

    def fill(self, text: str) -> str:
        return _VARIABLE.sub(self._look_up, text)

    def fill_all(self, body: Any) -> Any:
        if isinstance(body, str):
            return self.fill(body)
        if isinstance(body, dict):
            return {key: self.fill_all(value) for key, value in body.items()}
        return [self.fill_all(value) for value in body] if isinstance(body, list) else body

    def _look_up(self, found: re.Match[str]) -> str:
        value = self.environment.get(found[1])
        if value is None:
            raise UsageError(
                f"{self.file}: the environment variable {found[1]} is not set", hint=f"export {found[1]}=…"
            )
        if len(value) >= _LEAST_SECRET and value not in self.secrets:
            self.secrets.append(value)
        return value
