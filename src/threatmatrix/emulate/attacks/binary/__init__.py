"""Files that a scanner lets pass: what is appended, and what an own copy of the scanner tells."""

from __future__ import annotations

from threatmatrix.emulate.attacks.binary.append import AppendParams, append_overlay
from threatmatrix.emulate.attacks.binary.own_copy import OwnCopyParams, read_own_copy
from threatmatrix.emulate.attacks.binary.universal import UniversalParams, universal_text
from threatmatrix.emulate.attacks.kinds import AttackKind

__all__ = ["KINDS"]

KINDS = (
    AttackKind(
        use="read_own_copy",
        title="Reading what an own copy logs",
        family="binary",
        access="file",
        modality="binary",
        cost="none",
        source="Skylight Cyber 2019",
        params=OwnCopyParams,
        whole=read_own_copy,
    ),
    AttackKind(
        use="universal_text",
        title="Search for a universal text on an own copy",
        family="binary",
        access="file",
        modality="binary",
        cost="none",
        source="Skylight Cyber 2019; Demetrio et al. 2021",
        params=UniversalParams,
        whole=universal_text,
    ),
    AttackKind(
        use="append_overlay",
        title="Appending bytes to every file",
        family="binary",
        access="label",
        modality="binary",
        cost="1 for each file",
        source="Kolosnjaji et al. 2018; Skylight Cyber 2019",
        params=AppendParams,
        whole=append_overlay,
    ),
)
