"""Rule text → YAML documents, guarded: rule files are hostile input.

Limits: 256 KiB of text, 32 levels, 100 documents; no anchors or aliases (an alias bomb expands without bound), no
duplicate keys, no explicit tags (``!!timestamp foo`` is not what it looks like). What passes is plain ``dict``,
``list`` and scalars, with the line of every key.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

from threatmatrix.model.errors import RuleError
from threatmatrix.model.matrix import RuleSource

__all__ = ["MAX_BYTES", "Document", "read_documents"]

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_DOCUMENTS = 100

Path = tuple[str | int, ...]
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN_INT = re.compile(r"-?(0|[1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document of a rule file, with the line (1-based) of every key and list item."""

    source: RuleSource
    raw: dict[str, Any]
    lines: dict[Path, int] = field(default_factory=dict)
    spelt: dict[Path, str] = field(default_factory=dict)  # numbers that the rule writes otherwise than Python does

    def refuse(self, problem: str, *path: str | int, choices: Iterable[str] = (), hint: str = "") -> RuleError:
        """A RuleError that names this file, the line of ``path`` and the construct."""
        line = next((self.lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in self.lines), None)
        key = ".".join(str(part) for part in path)
        return RuleError(self.source.file, problem, key=key, line=line, choices=choices, hint=hint)


def read_documents(source: RuleSource) -> tuple[list[Document], list[RuleError]]:
    """The documents of one rule file, and a refusal for each one that is not a plain mapping.

    Raises RuleError where the file as a whole cannot be read.
    """
    text = source.text
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise RuleError(source.file, "the rule is not UTF-8 text") from error
    if size > MAX_BYTES:
        raise RuleError(source.file, f"the rule is larger than {MAX_BYTES // 1024} KiB", hint="Split it into files")
    try:
        _check_stream(source)
        nodes = [node for node in yaml.compose_all(text, Loader=_LOADER) if node is not None]
    except yaml.YAMLError as error:
        raise _yaml_error(source, error) from error
    documents: list[Document] = []
    refused: list[RuleError] = []
    for node in nodes:
        try:
            document = _document(source, node)
        except RuleError as error:
            refused.append(error)
        else:
            if document is not None:
                documents.append(document)
    if not documents and not refused:
        raise RuleError(source.file, "the file holds no rule")
    return documents, refused


def _check_stream(source: RuleSource) -> None:
    """Depth, aliases and number of documents, over parser events: nothing is built yet."""
    depth = documents = 0
    for event in yaml.parse(source.text, Loader=_LOADER):
        line = event.start_mark.line + 1 if event.start_mark else None
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise RuleError(source.file, "YAML anchors and aliases are refused", line=line, hint="Write the value out")
        tag = getattr(event, "tag", None)
        if tag is not None:
            hint = "Write the plain value; put it in quotes if it is text"
            raise RuleError(source.file, f"the YAML tag {str(tag)[:60]!r} is refused", line=line, hint=hint)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if depth > MAX_DEPTH:
            raise RuleError(source.file, f"nested deeper than {MAX_DEPTH} levels", line=line)
        if documents > MAX_DOCUMENTS:
            raise RuleError(source.file, f"more than {MAX_DOCUMENTS} documents in one file", line=line)


def _yaml_error(source: RuleSource, error: yaml.YAMLError) -> RuleError:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or error).splitlines()[0]
    return RuleError(source.file, f"not valid YAML: {problem}", line=mark.line + 1 if mark else None)


def _document(source: RuleSource, node: yaml.Node) -> Document | None:
    line = node.start_mark.line + 1
    lines: dict[Path, int] = {(): line}
    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
        return None  # an empty document, such as after a trailing ---
    if not isinstance(node, yaml.MappingNode):
        raise RuleError(source.file, "a rule is a mapping of keys to values", line=line)
    document = Document(source, {}, lines)
    _walk(document, node, ())
    try:
        # A loader of its own: the composing one is gone, and constructing needs no text.
        loader = yaml.SafeLoader("")
        document.raw.update(loader.construct_document(node))
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        if isinstance(error, yaml.YAMLError):
            raise _yaml_error(source, error) from error
        raise RuleError(source.file, f"a value cannot be read: {error}", line=line) from error
    return document


def _walk(document: Document, node: yaml.Node, path: Path) -> None:
    """Note lines; refuse duplicate or non-text keys, and scalars that YAML would quietly change."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            document.lines[(*path, key.value if isinstance(key, yaml.ScalarNode) else "?")] = key.start_mark.line + 1
            if key.tag != "tag:yaml.org,2002:str":
                raise document.refuse("a key must be text", *path, str(key.value)[:40], hint="Put it in quotes")
            if key.value in seen:
                raise document.refuse("the key stands twice", *path, key.value)
            seen.add(key.value)
            _walk(document, value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            document.lines[(*path, index)] = item.start_mark.line + 1
            _walk(document, item, (*path, index))
    elif path[:1] in {("detection",), ("correlation",)}:
        _check_scalar(document, node, path)


def _check_scalar(document: Document, node: yaml.Node, path: Path) -> None:
    kind = node.tag.rpartition(":")[2]
    if kind == "timestamp":
        raise document.refuse(f"{node.value!r} is a date to YAML", *path, hint="Put it in quotes to compare text")
    if kind == "int" and not _PLAIN_INT.fullmatch(node.value):
        raise document.refuse(
            f"{node.value!r} is not a plain decimal number", *path, hint="Put it in quotes to compare text"
        )
    if kind == "float" and node.value != repr(_float(node.value)):
        document.spelt[path] = node.value
    if kind == "str" and not _is_plain_text(node.value):
        raise document.refuse("a value holds a NUL or a lone surrogate character", *path)


def _float(written: str) -> float:
    try:
        return float(written)
    except ValueError:  # .inf, 1:30.5: never as Python writes it
        return math.nan


def _is_plain_text(value: str) -> bool:
    return "\x00" not in value and not any("\ud800" <= char <= "\udfff" for char in value)
