"""Who asks: an API key → the account's name, without ever keeping the key."""

from __future__ import annotations

import hashlib
import hmac

from threatmatrix.gateway.config import ANONYMOUS, UNKNOWN_PREFIX, GatewayConfig, Headers
from threatmatrix.telemetry.inputs.keys import derive_key

__all__ = ["Principals"]

_SHOWN = 12


class Principals:
    """Tells the principal of a request; the application or a proxy has to check that the key is valid."""

    def __init__(self, config: GatewayConfig) -> None:
        self._header = config.principal_header.lower().encode("latin-1")
        self._accounts = dict(config.accounts)
        self._key = derive_key(config.secret, "principal")
        previous = config.previous_secret
        self._previous_key = None if previous is None else derive_key(previous, "principal")
        self._until = config.previous_until

    def of(self, headers: Headers, time: int) -> tuple[str, bool]:
        """(principal, whether the request may give two different keys) of a request at ``time`` (µs).

        Such a request must be refused: the application might look at the other key than the gateway.
        An ``authorization`` header is a key, or a scheme and a key; a third part could be either's.
        """
        keys = [value.strip() for name, value in headers if name == self._header]
        if not keys or not keys[0]:
            return ANONYMOUS, any(keys)
        key = keys[0]
        conflict = len(keys) > 1 and any(other != key for other in keys)
        if self._header == b"authorization":
            parts = key.split()
            conflict = conflict or len(parts) > 2
            key = parts[-1]  # "Bearer x", "bearer  x" and "x" are one principal
        name = self._accounts.get(hashlib.sha256(key).hexdigest())
        if name is None:
            # while two secrets overlap the old names stay, and with them the blocks on those names
            named_by = self._previous_key if self._previous_key is not None and time < self._until else self._key
            name = UNKNOWN_PREFIX + hmac.digest(named_by, key, "sha256").hex()[:_SHOWN]
        return name, conflict
