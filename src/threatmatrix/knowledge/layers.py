"""The shipped library and an overlay directory, seen as one tree of files.

An overlay has the library's layout. Its file stands in for the library's file of the same path;
``technique.yaml``, ``case.yaml`` and ``matrix.yaml`` replace only the keys that they give, and
``controls.yaml`` only the controls whose id they give. ``disabled: true`` takes a thing away.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threatmatrix.knowledge.yamlfile import Document, load_yaml, read_text
from threatmatrix.model.errors import FormatError, InputError
from threatmatrix.model.matrix import RuleSource

__all__ = ["Layers", "is_disabled"]

_IGNORED = {"README.md", "LICENSE", "NOTICE", "__pycache__"}
_OVERLAID = ("matrix.yaml", "techniques", "cases", "mitigations", "vulnerabilities", "pipelines", "suppressions")
_SHIPPED = ("index", "templates", "schemas")


@dataclass(frozen=True, slots=True)
class Layers:
    """Two directories as one. ``overlay`` None: the library alone."""

    root: Path
    overlay: Path | None = None

    def __post_init__(self) -> None:
        if not (self.root / "matrix.yaml").is_file():
            raise InputError(self.root, "no matrix.yaml here: not a library", hint="Reinstall threatmatrix")
        if self.overlay is None:
            return
        if not self.overlay.is_dir():
            raise InputError(self.overlay, "no such directory", hint="--library takes a directory: docs/library.md")
        for path in self.overlay.iterdir():
            if path.name in _SHIPPED:
                raise FormatError(path, "only the built-in library has this", choices=_OVERLAID)
        self.entries(allowed=(*_OVERLAID, *_SHIPPED))

    def entries(self, *parts: str, allowed: Sequence[str] = ()) -> dict[str, Path]:
        """Name → path of what a directory holds in either layer, the overlay's winning, sorted.

        Hidden files and READMEs are passed over. A name outside ``allowed`` is a FormatError, so
        that a misspelt file is never just without effect.
        """
        found: dict[str, Path] = {}
        for layer in (self.root, self.overlay):
            folder = layer.joinpath(*parts) if layer else None
            if folder is None or not folder.is_dir():
                continue
            for path in folder.iterdir():
                name = path.name
                if name.startswith(".") or name in _IGNORED:
                    continue
                if allowed and name not in allowed:
                    raise FormatError(path, "nothing of this name belongs here", choices=allowed)
                found[name] = path
        return dict(sorted(found.items()))

    def files(self, *parts: str, suffix: str | Sequence[str]) -> dict[str, Path]:
        """Like :meth:`entries`, for a directory that holds only files with one of these suffixes."""
        suffixes = (suffix,) if isinstance(suffix, str) else tuple(suffix)
        found = self.entries(*parts)
        for path in found.values():
            if path.suffix not in suffixes:
                raise FormatError(path, "a file of this kind does not belong here", choices=suffixes)
        return found

    def sources(self, *parts: str, technique: str = "") -> tuple[RuleSource, ...]:
        """The Sigma files of a directory as text, without those that the overlay disables."""
        paths = self.files(*parts, suffix=(".yml", ".yaml")).values()
        kept = [path for path in paths if not (self.is_overlaid(path) and is_disabled(path))]
        return tuple(RuleSource(str(path), read_text(path), technique) for path in kept)

    def slugs(self, folder: str) -> list[str]:
        """The slugs of a directory that holds one YAML file for each thing."""
        return [path.stem for path in self.files(folder, suffix=".yaml").values()]

    def is_overlaid(self, path: Path) -> bool:
        """Whether a path that :meth:`entries` gave comes from the overlay."""
        return self.overlay is not None and path.is_relative_to(self.overlay)

    def mapping(self, *parts: str) -> Document | None:
        """A YAML mapping, the overlay's keys over the library's. None where it is disabled.

        Raises InputError where neither layer has the file.
        """
        base = self.root.joinpath(*parts)
        over = self.overlay.joinpath(*parts) if self.overlay else None
        if over is None or not over.exists():
            return load_yaml(base)
        upper = load_yaml(over)
        if not isinstance(upper.data, dict):
            return upper
        if _take_disabled(upper):
            return None
        return _merged(load_yaml(base), upper) if base.exists() else upper

    def listing(self, *parts: str) -> Document | None:
        """A YAML list of mappings with an ``id``, merged by id. None where neither layer has it."""
        documents = [
            load_yaml(layer.joinpath(*parts))
            for layer in (self.root, self.overlay)
            if layer and layer.joinpath(*parts).exists()
        ]
        if not documents:
            return None
        if len(documents) == 1 and (self.overlay is None or not self.overlay.joinpath(*parts).exists()):
            return documents[0]
        return _by_id(documents)


def is_disabled(path: Path) -> bool:
    """Whether an overlay's file says nothing but ``disabled: true`` (JSON: ``{"disabled": true}``)."""
    text = read_text(path)
    if path.suffix == ".json":
        try:
            return bool(json.loads(text) == {"disabled": True})
        except ValueError:
            return False
    lines = [line.split("#", 1)[0].strip() for line in text.splitlines()]
    return [line for line in lines if line] == ["disabled: true"]


def _take_disabled(document: Document) -> bool:
    value = document.data.pop("disabled", False)
    if not isinstance(value, bool):
        raise document.error(("disabled",), f"{value!r} is not valid", choices=("true", "false"))
    return value


def _merged(base: Document, upper: Document) -> Document:
    """The overlay's keys over the library's; only its lines stay, for any error is in the overlay."""
    lower: Mapping[str, Any] = base.data if isinstance(base.data, dict) else {}
    return Document(upper.file, {**lower, **upper.data}, upper.lines)


def _by_id(documents: Sequence[Document]) -> Document:
    items: dict[Any, Any] = {}
    for document in documents:
        if not isinstance(document.data, list):
            return document  # the schema says what is wrong with it
        seen: set[str] = set()
        for position, item in enumerate(document.data):
            if not isinstance(item, dict) or not isinstance(item.get("id"), str):
                raise document.error((position,), "each entry needs an id")
            if item["id"] in seen:
                raise document.error((position, "id"), f"the control {item['id']} stands twice")
            seen.add(item["id"])
            if item.get("disabled") is True:
                items.pop(item["id"], None)
            else:
                items[item["id"]] = item
    return Document(documents[-1].file, list(items.values()), {})
