"""A pool of accounts that an attacker holds, and which one sends next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["AccountPool"]


@dataclass(slots=True)
class _Hand:
    """The accounts for one sample, which of them is next, and which were refused."""

    keys: Sequence[str]
    at: int = 0
    refused: set[int] = field(default_factory=set)

    def advance(self) -> None:
        for step in range(1, len(self.keys) + 1):
            at = (self.at + step) % len(self.keys)
            if at not in self.refused:
                self.at = at
                return
        self.at = (self.at + 1) % len(self.keys)


@dataclass(slots=True)
class AccountPool:
    """Keys in order of use. An account that was refused is left for the next one that was not.

    ``round_robin`` sends every request from the account after the last one's. ``per_sample`` gives every sample so
    many accounts of its own, in order (0: all samples share all): then each sample is attacked for real, however
    many accounts were refused before it. Once all are refused, ``current`` goes on cycling: a block has an end, and
    one query finds out.
    """

    keys: Sequence[str] = ("",)
    round_robin: bool = False
    per_sample: int = 0
    _hands: dict[int, _Hand] = field(default_factory=dict)
    _hand: _Hand = field(init=False)

    def __post_init__(self) -> None:
        if not self.keys:
            raise ValueError("an account pool needs at least one key ('' sends none)")
        if self.per_sample < 0 or self.per_sample > len(self.keys):
            raise ValueError(f"{self.per_sample} accounts for each sample of {len(self.keys)} in all")
        self._hand = _Hand(self.keys)
        self.turn_to(0)

    @property
    def current(self) -> str:
        return self._hand.keys[self._hand.at]

    @property
    def all_refused(self) -> bool:
        return len(self._hand.refused) == len(self._hand.keys)

    def turn_to(self, sample: int) -> None:
        """The next requests are for this sample. Raises ValueError where the accounts do not reach that far."""
        if not self.per_sample:
            return
        if sample not in self._hands:
            start = sample * self.per_sample
            if start + self.per_sample > len(self.keys):
                raise ValueError(f"no accounts are left for sample {sample}")
            self._hands[sample] = _Hand(self.keys[start : start + self.per_sample])
        self._hand = self._hands[sample]

    def before_request(self) -> str:
        """The key for the next request."""
        if self.round_robin:
            self._hand.advance()
        return self.current

    def accepted(self) -> None:
        """The current account was served: it is not refused (any more)."""
        self._hand.refused.discard(self._hand.at)

    def refused(self) -> bool:
        """The current account was refused: move on; False where every account has been."""
        self._hand.refused.add(self._hand.at)
        self._hand.advance()
        return not self.all_refused
