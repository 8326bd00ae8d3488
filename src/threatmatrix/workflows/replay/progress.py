"""What a replay reports to while it runs."""

from __future__ import annotations

from typing import Protocol

__all__ = ["ProgressLike"]


class ProgressLike(Protocol):
    """A face that shows what goes on."""

    def stage(self, text: str) -> None: ...
