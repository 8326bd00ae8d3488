"""A case's whole chain of techniques, in order, on its reference target: alone, by chance, against the defence."""

from __future__ import annotations

from threatmatrix.workflows.replay.chain.plan import ChainPlan, plan
from threatmatrix.workflows.replay.chain.run import replay_chain

__all__ = ["ChainPlan", "plan", "replay_chain"]
