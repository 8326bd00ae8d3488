"""A correlation → SQL over its occurrences at rest: where it fires, and the episodes that this makes."""

from __future__ import annotations

from threatmatrix.detect.sql.correlations.episodes import episodes
from threatmatrix.detect.sql.correlations.firing import firing

__all__ = ["episodes", "firing"]
