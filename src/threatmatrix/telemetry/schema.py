"""The JSON Schema of a line of the gateway's log, which the library's samples are written in.

``python -m threatmatrix.telemetry.schema FILE`` writes it; the library's copy is ``library/schemas/sample.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from threatmatrix.model.event import CATEGORIES, EVENT_COLUMNS

__all__ = ["sample_schema"]

_TYPES: dict[str, dict[str, Any]] = {
    "VARCHAR": {"type": "string"},
    "BIGINT": {"type": "integer"},
    "DOUBLE": {"type": "number"},
    "BLOB": {"type": "string", "contentEncoding": "base64"},
    "DOUBLE[]": {"type": "array", "items": {"type": "number"}},
}


def sample_schema() -> str:
    """The text of the schema's file: every field of an event but ``source``, which the reader fills in."""
    properties: dict[str, Any] = {"v": {"const": 1}}
    properties |= {name: _TYPES[kind] for name, kind in EVENT_COLUMNS.items() if name != "source"}
    properties["category"] = {"enum": list(CATEGORIES)}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:threatmatrix:schema:sample",
        "title": "threatmatrix sample: one line of samples/attack.jsonl or benign.jsonl",
        "type": "object",
        "additionalProperties": False,
        "required": ["v", "time", "event_id", "category"],
        "properties": properties,
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(sample_schema(), encoding="utf-8")
