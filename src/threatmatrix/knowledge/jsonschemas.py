"""The schemas of ``knowledge.schemas`` as JSON Schema files, for editors and other tools.

``python -m threatmatrix.knowledge.jsonschemas`` writes them anew into ``library/schemas/``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from threatmatrix.knowledge.changes.schema import ChangesFile
from threatmatrix.knowledge.editions.ours_json import json_schema
from threatmatrix.knowledge.library import LIBRARY
from threatmatrix.knowledge.schemas import KINDS
from threatmatrix.knowledge.schemas_rules import pipeline_schema, rule_schema, suppression_schema

__all__ = ["json_schemas", "write_json_schemas"]


_TEXTS = {"type": "array", "items": {"type": ["string", "number"]}}
_INDEX: dict[str, Any] = {
    "description": "index/{atlas,attack}.yaml: ids and names as facts; the layout of a line stands in the head.",
    "type": "object",
    "required": ["matrix", "read", "releases", "entries"],
    "properties": {
        "matrix": {"enum": ["atlas", "attack"]},
        "read": _TEXTS,
        "changelog": _TEXTS,
        "releases": _TEXTS,
        "aliases": {"type": "object", "additionalProperties": {"type": ["string", "number"]}},
        "entries": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "additionalProperties": False,
}


def json_schemas() -> dict[str, dict[str, Any]]:
    """File name → JSON Schema (2020-12) of one kind of file."""
    made = {}
    schemas = {kind: model.model_json_schema() for kind, model in KINDS.items()}
    schemas |= {"changes": ChangesFile.model_json_schema(), "export": json_schema(), "index": _INDEX}
    schemas |= {"rule": rule_schema(), "suppression": suppression_schema(), "pipeline": pipeline_schema()}
    for kind, schema in schemas.items():
        made[f"{kind}.json"] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:threatmatrix:schema:{kind}",
            **schema,
            "title": f"threatmatrix {kind}",
        }
    return made


def as_text(schema: dict[str, Any]) -> str:
    """The text of a schema's file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write_json_schemas(directory: Path = LIBRARY / "schemas") -> list[Path]:
    """Write every schema; returns the files."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, schema in json_schemas().items():
        path = directory / name
        path.write_text(as_text(schema), encoding="utf-8")
        paths.append(path)
    return paths


if __name__ == "__main__":
    write_json_schemas()
