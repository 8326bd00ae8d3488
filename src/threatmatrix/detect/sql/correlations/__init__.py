"""A correlation → SQL over its occurrences at rest: where it fires, and the episodes that this makes."""

from __future__ import annotations

from threatmatrix.detect.sql.correlations.episodes import episodes
from threatmatrix.detect.sql.correlations.firing import firing
from threatmatrix.detect.sql.correlations.possible import may_fire, worth_sorting

__all__ = ["episodes", "firing", "may_fire", "worth_sorting"]
