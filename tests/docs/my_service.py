"""The application that docs/guides/ml-engineer.md calls ``my_service``: any server of the Open Inference Protocol."""

from __future__ import annotations

import numpy as np

from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.reference.serving import oip_app

app = oip_app("digits", MLP.of([np.eye(64, 10)], [np.zeros(10)]))
