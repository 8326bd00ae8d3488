"""Records of one request from several sources become one event (docs/joining.md has the rules and the figures).

:func:`join` takes records at rest, :class:`Joiner` a stream; both come to the same events.
"""

from __future__ import annotations

from threatmatrix.telemetry.joining.joiner import Joined, Joiner
from threatmatrix.telemetry.joining.whole import JoinedSet, join

__all__ = ["Joined", "JoinedSet", "Joiner", "join"]
