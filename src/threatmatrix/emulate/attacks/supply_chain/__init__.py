"""What reaches a model by the files that it is made of."""

from __future__ import annotations

from threatmatrix.emulate.attacks.kinds import AttackKind
from threatmatrix.emulate.attacks.supply_chain.plant import (
    PlantPickleParams,
    SwapWeightsParams,
    plant_pickle,
    swap_weights,
)

__all__ = ["KINDS"]

KINDS = (
    AttackKind(
        use="plant_pickle",
        title="Store model files with an inert payload",
        family="supply_chain",
        access="none",
        modality="any",
        cost="3 calls of the store for each variant",
        source="MITRE ATLAS AML.T0018.002, AML.T0011.000",
        params=PlantPickleParams,
        whole=plant_pickle,
    ),
    AttackKind(
        use="swap_weights",
        title="Replace the weights by some with one unit rewritten",
        family="supply_chain",
        access="train",
        modality="vector",
        cost="4 calls of the store and one for each file that is looked at",
        source="Hong, Carlini, Kurakin 2022; MITRE ATLAS AML.T0018",
        params=SwapWeightsParams,
        whole=swap_weights,
    ),
)
