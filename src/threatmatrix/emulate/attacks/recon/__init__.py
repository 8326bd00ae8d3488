"""What a target tells to whoever asks."""

from __future__ import annotations

from threatmatrix.emulate.attacks.kinds import AttackKind
from threatmatrix.emulate.attacks.recon.read_metadata import ReadMetadataParams, read_metadata

__all__ = ["KINDS"]

KINDS = (
    AttackKind(
        use="read_metadata",
        title="Read the metadata",
        family="recon",
        access="none",
        modality="any",
        cost="3 reads",
        source="Open Inference Protocol v2 (KServe), server and model metadata",
        params=ReadMetadataParams,
        whole=read_metadata,
    ),
)
