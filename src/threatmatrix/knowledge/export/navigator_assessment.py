"""An assessment as ATT&CK Navigator layers (format 4.5): each id coloured by how well its technique can be seen.

An id stands for our technique only where the relation is exact or close; a broader or partial one is named in the
comment and not coloured, for seeing a part is not seeing the whole.
"""

from __future__ import annotations

from typing import Any

from threatmatrix.knowledge.navigator import frame
from threatmatrix.model.assessment import SIGHTS, Assessment, Sight, SightStatus
from threatmatrix.model.matrix import SAME, ExternalId, Kind

__all__ = ["write"]

_COLOURS: dict[SightStatus, str] = {
    "detected": "#41ab5d",
    "visible": "#6baed6",
    "partial": "#fdae6b",
    "blind": "#fb6a4a",
    "outside": "#bdbdbd",
}
_NOTE = "Which techniques apply to the system and how well its telemetry shows them; evidence is a layer of its own."


def write(assessment: Assessment) -> list[dict[str, Any]]:
    """Two layers, ML techniques on ATLAS's data and the grey ones on Enterprise ATT&CK, ready for ``json.dumps``."""
    return [_layer(assessment, "ml"), _layer(assessment, "enterprise")]


def _layer(assessment: Assessment, kind: Kind) -> dict[str, Any]:
    on_atlas = kind == "ml"
    what = "ML techniques (ATLAS)" if on_atlas else "enterprise techniques (ATT&CK)"
    named: dict[str, list[tuple[Sight, ExternalId]]] = {}
    for sight in assessment.sights:
        technique = sight.technique
        if technique.kind == kind:
            for external in technique.atlas if on_atlas else technique.attack:
                named.setdefault(external.id, []).append((sight, external))
    return frame(f"{assessment.system.name}: {what}", on_atlas=on_atlas, description=_NOTE) | {
        "techniques": [_entry(name, named[name]) for name in sorted(named)],
        "legendItems": [{"label": status, "color": colour} for status, colour in _COLOURS.items()],
        "metadata": [{"name": "system", "value": assessment.system.name}, {"name": "basis", "value": assessment.basis}],
    }


def _entry(name: str, pairs: list[tuple[Sight, ExternalId]]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "techniqueID": name,
        "enabled": True,
        "comment": "; ".join(f"{s.technique.name} ({external.relation}): {s.status}" for s, external in pairs),
    }
    same = [sight.status for sight, external in pairs if external.relation in SAME]
    if same:
        entry["color"] = _COLOURS[min(same, key=SIGHTS.index)]
    return entry
