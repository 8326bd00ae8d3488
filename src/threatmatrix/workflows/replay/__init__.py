"""Replay a case study: attack a real model over real HTTP, see it, stop it, attack again, keep the evidence."""

from __future__ import annotations

from threatmatrix.workflows.replay.cases import Plan, Replayed, plan, replay, replayable
from threatmatrix.workflows.replay.progress import ProgressLike
from threatmatrix.workflows.replay.row import CaseRow

__all__ = ["CaseRow", "Plan", "ProgressLike", "Replayed", "plan", "replay", "replayable"]
