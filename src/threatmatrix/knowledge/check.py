"""Plain data against a schema: one error, in one line, with file, key, line and the valid choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from threatmatrix.knowledge.schemas import keys_of
from threatmatrix.knowledge.yamlfile import Document
from threatmatrix.model.errors import FormatError

__all__ = ["check"]

Checked = TypeVar("Checked", bound=BaseModel)
Step = str | int


def check(document: Document, schema: type[Checked], *, hint: str = "") -> Checked:
    """Check a document's data. Raises :class:`FormatError` for the first thing that is wrong."""
    if document.data is None:
        raise FormatError(document.file, "the file is empty", choices=keys_of(schema), hint=hint)
    try:
        return schema.model_validate(document.data)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        raise _explain(document, schema, problems, hint) from error


def _explain(document: Document, schema: type[BaseModel], problems: Sequence[ErrorDetails], hint: str) -> FormatError:
    first = min(problems, key=lambda problem: _rank(document, problem))
    where = _real_path(document.data, first)
    text, choices = _words(schema, where, first)
    more = len({tuple(_real_path(document.data, p)) for p in problems}) - 1
    if more > 0:
        text += f"; {more} more after it"
    return document.error(where, text, choices=choices, hint=hint)


def _rank(document: Document, problem: ErrorDetails) -> tuple[int, int]:
    """Unknown keys first: a misspelt key is also reported as a missing one. Then by line."""
    line = document.line(_real_path(document.data, problem)) or 0
    return (0 if problem["type"] == "extra_forbidden" else 1, line)


def _real_path(data: Any, problem: ErrorDetails) -> list[Step]:
    """Pydantic's location without the names of union branches, which are no keys of the file."""
    path: list[Step] = []
    here = data
    loc = problem["loc"]
    for position, step in enumerate(loc):
        in_list = isinstance(here, list) and isinstance(step, int) and step < len(here)
        if in_list or (isinstance(here, dict) and step in here):
            path.append(step)
            here = here[step]
        elif problem["type"] == "missing" and position == len(loc) - 1:
            path.append(step)
    return path


def _words(schema: type[BaseModel], where: Sequence[Step], problem: ErrorDetails) -> tuple[str, tuple[str, ...]]:
    kind = problem["type"]
    context: dict[str, Any] = problem.get("ctx") or {}
    if kind == "extra_forbidden":
        inner = _model_at(schema, where[:-1], problem["loc"])
        return "unknown key", keys_of(inner) if inner else ()
    if kind == "literal_error":
        return f"{problem['input']!r} is not valid", _listed(str(context.get("expected", "")))
    if kind == "union_tag_invalid":
        return "unknown kind", _listed(str(context.get("expected_tags", "")))
    message = problem["msg"]
    own = {
        "missing": "this key is missing",
        "union_tag_not_found": "the key 'kind' is missing",
        "string_pattern_mismatch": f"{problem['input']!r} does not have the form {context.get('pattern', '')}",
        "model_type": "a mapping (key: value) belongs here",
        "dict_type": "a mapping (key: value) belongs here",
    }
    return own.get(kind, message[0].lower() + message[1:]), ()


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip(" '\"") for part in text.replace(" or ", ",").split(",") if part.strip(" '\""))


def _model_at(schema: type[BaseModel], where: Sequence[Step], loc: Sequence[Step]) -> type[BaseModel] | None:
    """The model that describes the mapping at ``where``; ``loc`` names the branch of a union."""
    branches = {str(step) for step in loc}
    model: Any = schema
    if "root" in schema.model_fields:
        model = schema.model_fields["root"].annotation
    for step in where:
        if isinstance(step, str) and isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(step)
            model = field.annotation if field else None
        elif isinstance(step, int):
            model = next(iter(get_args(model)), None)
        model = _pick(model, branches)
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def _pick(annotation: Any, branches: set[str]) -> Any:
    """One model out of a union: the branch whose ``kind`` stands in the location, else the first."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation
    models = [part for part in get_args(annotation) if isinstance(part, type) and issubclass(part, BaseModel)]
    if len(models) <= 1 and getattr(annotation, "__origin__", None) in (list, dict):
        return annotation
    for model in models:
        field = model.model_fields.get("kind")
        if field and branches & {str(value) for value in get_args(field.annotation)}:
            return model
    return models[0] if models else annotation
