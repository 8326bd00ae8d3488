"""What a target tells to whoever asks."""

from __future__ import annotations

from threatmatrix.emulate.attacks.kinds import AttackKind
from threatmatrix.emulate.attacks.recon.enumerate_labels import EnumerateLabelsParams, enumerate_labels
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
    AttackKind(
        use="enumerate_labels",
        title="Enumerate the labels",
        family="recon",
        access="label",
        modality="any",
        cost="2 for each thing that there are examples of",
        source="AML.T0013",
        params=EnumerateLabelsParams,
        whole=enumerate_labels,
    ),
)
