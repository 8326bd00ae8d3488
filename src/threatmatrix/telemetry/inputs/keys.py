"""The keys under which inputs are fingerprinted: the current one and, for an overlap, the one before it."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

__all__ = ["Key", "Keyring", "derive_key"]


def derive_key(secret: bytes, label: str) -> bytes:
    """32 bytes for one purpose: HMAC-SHA256 of the purpose's label under the secret (the expand step of RFC 5869)."""
    return hmac.digest(secret, b"threatmatrix/gateway/1/" + label.encode() + b"\x01", "sha256")


@dataclass(frozen=True, slots=True)
class Key:
    """One secret of an installation, 32 bytes; ``created`` in µs. ``id`` names it without telling anything of it."""

    id: str
    secret: bytes = field(repr=False)
    created: int = 0


@dataclass(frozen=True, slots=True)
class Keyring:
    """``current`` fingerprints; an event before ``until`` (µs of its own time) is fingerprinted by ``previous`` too.

    Without that overlap a monitor would see two halves of an attack that runs while the key changes.
    """

    current: Key
    previous: Key | None = None
    until: int = 0

    def overlapping(self, time: int) -> Key | None:
        """The previous key, where it still counts for an event at ``time`` (µs)."""
        return self.previous if self.previous is not None and time < self.until else None
