"""The JSON Schema of a playbook as it runs here, for editors and other tools.

``python -m threatmatrix.respond.schema FILE`` writes it; the library's copy is ``library/schemas/playbook.json``. A
schema sees each value by itself: that the steps form a graph which closes is checked by ``load_playbook``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from threatmatrix.respond.cacao import Playbook

__all__ = ["playbook_schema"]


def playbook_schema() -> str:
    """The text of the schema's file."""
    schema = Playbook.model_json_schema()
    schema["properties"].pop("file", None)  # ours, filled in by the loader
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:threatmatrix:schema:playbook",
    }
    return json.dumps({**head, **schema, "title": "threatmatrix playbook"}, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(playbook_schema(), encoding="utf-8")
