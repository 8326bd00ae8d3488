"""Replay a case study: attack a real model over real HTTP, see it, stop it, attack again, keep the evidence."""

from __future__ import annotations

from threatmatrix.workflows.replay.loop.plan import PlannedStage, ReplayPlan, plan
from threatmatrix.workflows.replay.loop.report import ReplayReport
from threatmatrix.workflows.replay.loop.run import ProgressLike, replay

__all__ = ["PlannedStage", "ProgressLike", "ReplayPlan", "ReplayReport", "plan", "replay"]
