"""The loop measured in full: one attack seen, stopped, tried again by who adapts; each control alone."""

from __future__ import annotations

from threatmatrix.workflows.replay.loop.plan import ReplayPlan, plan
from threatmatrix.workflows.replay.loop.report import ReplayReport
from threatmatrix.workflows.replay.loop.run import replay

__all__ = ["ReplayPlan", "ReplayReport", "plan", "replay"]
