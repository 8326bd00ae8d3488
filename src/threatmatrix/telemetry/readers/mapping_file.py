"""Mapping files: where in somebody's own log the fields of an event stand.

A mapping file is YAML, written by an operator, and still held to limits: 64 KiB, no anchors, no tags, a depth of 6.
docs/sources/logs.md shows every key. A mistake is named with file, line, key and the valid choices.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from threatmatrix.model.errors import FormatError, InputError
from threatmatrix.model.event import CATEGORIES, EVENT_COLUMNS, Category

__all__ = [
    "FORMATS",
    "MAPPED",
    "UNITS",
    "WORDS",
    "FieldMapping",
    "InputMapping",
    "Place",
    "load_mapping",
    "parse_mapping",
]

MAX_FILE = 64 * 1024
MAX_DEPTH = 6
MAX_STEPS = 16

FORMATS = ("jsonl", "csv", "parquet")
UNITS: Mapping[str, float] = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
DATATYPES = ("FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_MADE = ("event_id", "time", "source", "category", "input_fp", "input_vec", "vec_scale", "vec_key", "input_raw")
MAPPED = tuple(name for name in EVENT_COLUMNS if name not in _MADE and not name.endswith("_prev"))
"""The fields that ``fields`` and ``constants`` may name; the others are made from ``time``, ``id`` and ``inputs``."""

WORDS: Mapping[str, tuple[str, ...]] = {"outcome": ("success", "failure"), "decision": ("allow", "deny")}
"""Fields that are one of a few words."""

_KEYS = ("format", "delimiter", "columns", "category", "time", "id", "fields", "constants", "model", "inputs")
_STEP = re.compile(r"\.?((?:[^.\[\]\\]|\\.)+)|\[(\d{1,4})\]")

Place = tuple[str | int, ...]
"""The steps from a record to a value: keys of objects, indexes of arrays."""


@dataclass(frozen=True, slots=True)
class Source:
    """One field's value: ``place``; numbers are multiplied by ``scale``; ``values`` turns words into others."""

    place: Place
    scale: float | None = None
    values: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class InputMapping:
    """Where the model's input stands: ``numeric`` (one or more places, each a number or a list) or ``text``."""

    numeric: tuple[Place, ...] = ()
    text: Place | None = None
    datatype: str = "FP64"


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """A checked mapping file. ``unit`` is one of UNITS, or ``iso``. ``kinds``: where the category is told by a word of
    the record, which category each word means; ``category`` is then None.
    """

    file: str
    category: Category | None
    time: Place
    unit: str
    kind: Place = ()
    kinds: Mapping[str, Category] = field(default_factory=dict)
    format: str = "jsonl"
    delimiter: str = ","
    columns: tuple[str, ...] = ()
    id: Place | None = None
    fields: Mapping[str, Source] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    inputs: InputMapping | None = None


def load_mapping(path: Path) -> FieldMapping:
    """Read and check a mapping file. Raises InputError (missing, too large, no text) and FormatError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        hint = "Name a mapping file; docs/sources/logs.md shows one"
        raise InputError(path, f"cannot be read: {error.strerror}", hint=hint) from None
    if len(data) > MAX_FILE:
        raise InputError(path, f"is larger than {MAX_FILE // 1024} KiB", hint="This is no mapping file")
    try:
        return parse_mapping(data.decode("utf-8"), str(path))
    except UnicodeDecodeError:
        raise InputError(path, "is no UTF-8 text", hint="Save it as UTF-8") from None


def parse_mapping(text: str, file: str) -> FieldMapping:
    """Check the text of a mapping file. Raises FormatError: file, line, key and the valid choices."""
    return _Checker(file, _compose(text, file)).mapping()


def _compose(text: str, file: str) -> yaml.MappingNode:
    try:
        depth = 0
        for token in yaml.parse(text, Loader=yaml.SafeLoader):
            line = token.start_mark.line + 1 if token.start_mark else None
            if isinstance(token, yaml.AliasEvent) or getattr(token, "anchor", None):
                raise FormatError(file, "anchors and aliases are not allowed", line=line)
            depth += isinstance(token, yaml.CollectionStartEvent) - isinstance(token, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise FormatError(file, f"is nested more than {MAX_DEPTH} deep", line=line)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise FormatError(file, f"not YAML: {error.problem}", line=mark.line + 1 if mark else None) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise FormatError(file, "not YAML: a character that YAML does not allow") from None
    if not isinstance(node, yaml.MappingNode):
        raise FormatError(file, "must be a mapping", choices=_KEYS)
    return node


class _Checker:
    """Walks the nodes of the file, which know their lines."""

    def __init__(self, file: str, root: yaml.MappingNode) -> None:
        self._file = file
        self._root = root

    def error(self, node: yaml.Node, key: str, problem: str, choices: tuple[str, ...] = ()) -> FormatError:
        return FormatError(self._file, problem, key=key, line=node.start_mark.line + 1, choices=choices)

    def mapping(self) -> FieldMapping:
        keys = self.object(self._root, "", _KEYS)
        for needed in ("category", "time"):
            if needed not in keys:
                raise self.error(self._root, needed, "missing", CATEGORIES if needed == "category" else ())
        category, kind, kinds = self.category(keys["category"])
        time, unit = self.time(keys["time"])
        fields = {name: self.source(node, f"fields.{name}") for name, node in self.section(keys, "fields").items()}
        constants = {name: self.constant(name, node) for name, node in self.section(keys, "constants").items()}
        if "model" in keys:
            constants["model"] = self.text(keys["model"], "model")
        for name in constants.keys() & fields.keys():
            raise self.error(self._root, f"fields.{name}", "is a constant as well: only one of them can count")
        delimiter = self.text(keys["delimiter"], "delimiter") if "delimiter" in keys else ","
        if len(delimiter) != 1 or delimiter in '"\r\n':
            raise self.error(keys["delimiter"], "delimiter", "must be one character")
        return FieldMapping(
            file=self._file,
            category=category,
            kind=kind,
            kinds=kinds,
            time=time,
            unit=unit,
            format=self.choice(keys["format"], "format", FORMATS) if "format" in keys else "jsonl",
            delimiter=delimiter,
            columns=self.columns(keys.get("columns")),
            id=self.place(keys["id"], "id") if "id" in keys else None,
            fields=fields,
            constants=constants,
            inputs=self.inputs(keys["inputs"]) if "inputs" in keys else None,
        )

    def object(self, node: yaml.Node, key: str, choices: tuple[str, ...] = ()) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self.error(node, key, "must be a mapping", choices)
        found: dict[str, yaml.Node] = {}
        for name_node, value in node.value:
            name = self.text(name_node, key)
            path = f"{key}.{name}" if key else name
            if choices and name not in choices:
                raise self.error(name_node, path, "unknown key", choices)
            if name in found:
                raise self.error(name_node, path, "stands there twice")
            found[name] = value
        return found

    def section(self, keys: Mapping[str, yaml.Node], name: str) -> dict[str, yaml.Node]:
        return self.object(keys[name], name, MAPPED) if name in keys else {}

    def text(self, node: yaml.Node, key: str) -> str:
        if not isinstance(node, yaml.ScalarNode) or not node.value:
            raise self.error(node, key, "must be a text")
        return str(node.value)

    def choice(self, node: yaml.Node, key: str, choices: tuple[str, ...]) -> str:
        value = self.text(node, key)
        if value not in choices:
            raise self.error(node, key, "unknown", choices)
        return value

    def category(self, node: yaml.Node) -> tuple[Category | None, Place, dict[str, Category]]:
        """One category, or a field and what its words mean."""
        if not isinstance(node, yaml.MappingNode):
            return cast(Category, self.choice(node, "category", CATEGORIES)), (), {}
        keys = self.object(node, "category", ("field", "values"))
        for needed in ("field", "values"):
            if needed not in keys:
                raise self.error(node, f"category.{needed}", "missing")
        words = self.object(keys["values"], "category.values")
        kinds = {word: self.choice(to, f"category.values.{word}", CATEGORIES) for word, to in words.items()}
        return None, self.place(keys["field"], "category.field"), cast(dict[str, Category], kinds)

    def columns(self, node: yaml.Node | None) -> tuple[str, ...]:
        if node is None:
            return ()
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise self.error(node, "columns", "must be a list of names")
        names = tuple(self.text(item, "columns") for item in node.value)
        if len(set(names)) != len(names):
            raise self.error(node, "columns", "names one twice")
        return names

    def place(self, node: yaml.Node, key: str) -> Place:
        r"""``user.id``, ``messages[0].content``; a dot within a key is written ``\.``."""
        if isinstance(node, yaml.SequenceNode) and node.value:
            return tuple(self.text(item, key) for item in node.value)
        text = self.text(node, key)
        steps: list[str | int] = []
        at = 0
        while at < len(text):
            step = _STEP.match(text, at)
            if step is None or (not at and text[0] == "."):
                raise self.error(node, key, "must be a path such as user.id or messages[0].content")
            steps.append(re.sub(r"\\(.)", r"\1", step[1]) if step[1] is not None else int(step[2]))
            at = step.end()
        if len(steps) > MAX_STEPS:
            raise self.error(node, key, f"has more than {MAX_STEPS} steps")
        return tuple(steps)

    def time(self, node: yaml.Node) -> tuple[Place, str]:
        keys = self.object(node, "time", ("field", "unit"))
        if "field" not in keys:
            raise self.error(node, "time.field", "missing")
        unit = self.choice(keys["unit"], "time.unit", (*UNITS, "iso")) if "unit" in keys else "iso"
        return self.place(keys["field"], "time.field"), unit

    def source(self, node: yaml.Node, key: str) -> Source:
        if not isinstance(node, yaml.MappingNode):
            return Source(self.place(node, key))
        keys = self.object(node, key, ("field", "scale", "values"))
        if "field" not in keys:
            raise self.error(node, f"{key}.field", "missing")
        values = None
        if "values" in keys:
            words = self.object(keys["values"], f"{key}.values")
            values = {word: self.word(to, key, f"{key}.values.{word}") for word, to in words.items()}
        scale = self.number(keys["scale"], f"{key}.scale") if "scale" in keys else None
        return Source(self.place(keys["field"], f"{key}.field"), scale, values)

    def number(self, node: yaml.Node, key: str) -> float:
        try:
            value = float(self.text(node, key))
        except ValueError:
            value = 0.0
        if not 0 < abs(value) < 1e18:
            raise self.error(node, key, "must be a number other than 0")
        return value

    def constant(self, name: str, node: yaml.Node) -> Any:
        kind = EVENT_COLUMNS[name]
        if kind == "VARCHAR":
            return self.word(node, f"constants.{name}", f"constants.{name}")
        if kind not in ("BIGINT", "DOUBLE"):
            raise self.error(node, f"constants.{name}", "cannot be a constant")
        value = self.number(node, f"constants.{name}")
        if kind == "BIGINT" and (value < 0 or value != int(value)):
            raise self.error(node, f"constants.{name}", "must be a whole number above 0")
        return int(value) if kind == "BIGINT" else value

    def word(self, node: yaml.Node, field: str, key: str) -> str:
        """A text that the field may have."""
        words = WORDS.get(field.partition(".")[2])
        return self.choice(node, key, words) if words else self.text(node, key)

    def inputs(self, node: yaml.Node) -> InputMapping:
        keys = self.object(node, "inputs", ("numeric", "text", "datatype"))
        if ("numeric" in keys) == ("text" in keys):
            raise self.error(node, "inputs", "needs one of two keys", ("numeric", "text"))
        if "text" in keys:
            return InputMapping(text=self.place(keys["text"], "inputs.text"))
        numeric = keys["numeric"]
        if not isinstance(numeric, yaml.SequenceNode) or not numeric.value:
            raise self.error(numeric, "inputs.numeric", "must be a list of fields")
        datatype = self.choice(keys["datatype"], "inputs.datatype", DATATYPES) if "datatype" in keys else "FP64"
        return InputMapping(tuple(self.place(item, "inputs.numeric") for item in numeric.value), None, datatype)
