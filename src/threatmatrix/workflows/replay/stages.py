"""One line of a replay's dry run."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PlannedStage"]


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One attack run. ``scene``: unhindered (nobody acts), a control, live, or adaptive."""

    scene: str
    procedure: str
    variant: str
    max_queries: int  # rows, confirmation included
