"""The accounts of a replay: keys that derive from its seed, so that every process knows them and no file holds them."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from threatmatrix.emulate.accounts import AccountPool

__all__ = ["Accounts"]


@dataclass(frozen=True, slots=True)
class Accounts:
    """Names of accounts → their API keys. ``secret`` is also what the gateway's hashes derive from."""

    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, seed: int) -> Accounts:
        """Those of one replay."""
        return cls(hashlib.sha256(f"threatmatrix replay, seed {seed}".encode()).digest())

    def key(self, account: str) -> str:
        """What a client sends, and the gateway knows by its hash only."""
        return "tmk_" + hmac.new(self.secret, f"account:{account}".encode(), hashlib.sha256).hexdigest()[:40]

    def pool(self, names: Sequence[str], *, round_robin: bool = False, per_sample: int = 0) -> AccountPool:
        """Accounts in order of use; ``per_sample`` of them for each sample alone (0: all for all)."""
        return AccountPool([self.key(name) for name in names], round_robin=round_robin, per_sample=per_sample)

    def directory(self, names: Sequence[str]) -> dict[str, str]:
        """SHA-256 of each key → the account's name, as the gateway wants it."""
        return {hashlib.sha256(self.key(name).encode()).hexdigest(): name for name in names}

    def correlation(self, purpose: str = "correlation") -> str:
        """A UUID that joins what a replay sends to what is logged."""
        return str(uuid.UUID(bytes=hashlib.sha256(self.secret + purpose.encode()).digest()[:16], version=4))
