"""A pool of accounts that an attacker holds, and which one sends next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["AccountPool"]


@dataclass(slots=True)
class AccountPool:
    """Keys in order of use. An account that was refused is left for the next one that was not.

    ``round_robin`` sends every request from the account after the last one's. Once all are refused,
    ``current`` goes on cycling: a block has an end, and one query finds out.
    """

    keys: Sequence[str] = ("",)
    round_robin: bool = False
    _at: int = 0
    _refused: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        if not self.keys:
            raise ValueError("an account pool needs at least one key ('' sends none)")

    @property
    def current(self) -> str:
        return self.keys[self._at]

    @property
    def all_refused(self) -> bool:
        return len(self._refused) == len(self.keys)

    def before_request(self) -> str:
        """The key for the next request."""
        if self.round_robin:
            self._advance()
        return self.current

    def accepted(self) -> None:
        """The current account was served: it is not refused (any more)."""
        self._refused.discard(self._at)

    def refused(self) -> bool:
        """The current account was refused: move on; False where every account has been."""
        self._refused.add(self._at)
        self._advance()
        return not self.all_refused

    def _advance(self) -> None:
        for step in range(1, len(self.keys) + 1):
            at = (self._at + step) % len(self.keys)
            if at not in self._refused:
                self._at = at
                return
        self._at = (self._at + 1) % len(self.keys)
