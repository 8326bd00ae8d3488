"""What a gateway needs to know, and how every key is derived from its one secret."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from threatmatrix.model.errors import UsageError

__all__ = [
    "ANONYMOUS",
    "UNKNOWN_PREFIX",
    "Clock",
    "GatewayConfig",
    "Headers",
    "header_clock",
    "wall_clock",
]

Headers = Iterable[tuple[bytes, bytes]]
"""ASGI headers: (lower-case name, value) pairs."""

Clock = Callable[[Headers], int]
"""Request headers → event time, µs since 1970-01-01 UTC."""

ANONYMOUS = "anonymous"
UNKNOWN_PREFIX = "key_"
_MIN_SECRET = 16
_LATEST = 253_402_300_799_999_999  # the last µs of year 9999: what a timestamp column can still hold


def wall_clock(_headers: Headers) -> int:
    """Event time from this machine's clock."""
    return time.time_ns() // 1000


def header_clock(headers: Headers) -> int:
    """Event time from the ``x-event-time`` header (µs), for replays only: any client could lie.

    A missing or unreadable header falls back to the wall clock.
    """
    for name, value in headers:
        if name == b"x-event-time":
            if value.isdigit() and len(value) <= len(str(_LATEST)):
                return min(int(value), _LATEST)
            break
    return wall_clock(headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """Settings of one gateway. Raises ``UsageError`` for values that cannot work.

    ``accounts`` maps the SHA-256 (hex) of an API key to the account's name; the key itself is never kept.
    ``policy_path`` None means that no policy is enforced. ``vec_scale`` is the size of one int8 step in
    input units; None takes the measured default for the width of ``input_range`` (see ``fingerprint``).
    ``input_range`` bounds noisy inputs and centres the projection; None: no bounds, centre as for (0, 1).
    ``previous_secret`` is the secret before a rotation: until ``previous_until`` (µs of event time) inputs are
    fingerprinted under it too, and clients that are no accounts keep the names that it gives them.
    ``request_id_header`` names a header in which a proxy hands on its own request id, for the joiner; only where the
    proxy overwrites what the client sent. Empty: ids are made here.
    ``inputs`` maps a model's name to {name of an input tensor: numbers per row, or 0 for texts}; a request to such a
    model must have exactly these inputs, in JSON. Recommended: what a model ignores would blind the monitors.
    """

    system: str
    log_path: Path
    secret: bytes = field(repr=False)
    policy_path: Path | None = None
    principal_header: str = "x-api-key"
    accounts: Mapping[str, str] = field(default_factory=dict, repr=False)
    session_header: str = "x-session-id"
    request_id_header: str = ""
    clock: Clock = wall_clock
    seed: int | None = None  # None: ids and noise from the operating system's entropy
    policy_poll_seconds: float = 0.0  # 0: look at the file's stat before every request
    tenant: str | None = None
    previous_secret: bytes | None = field(default=None, repr=False)
    previous_until: int = 0
    vec_dims: int = 64
    vec_scale: float | None = None
    input_range: tuple[float, float] | None = None
    inputs: Mapping[str, Mapping[str, int]] | None = None
    max_body_bytes: int = 8 * 1024 * 1024
    max_answer_bytes: int = 32 * 1024 * 1024
    max_rows: int = 4096  # each row is a log line: bounds what one request can write
    label_output: str = "label"
    scores_output: str = "scores"

    def __post_init__(self) -> None:
        """Check what would otherwise fail at the first request."""
        self._check_secrets()
        for digest, name in self.accounts.items():
            if len(digest) != hashlib.sha256().digest_size * 2 or digest.strip("0123456789abcdef"):
                raise UsageError(
                    f"gateway: accounts: the entry for {name!r} is not a lower-case SHA-256 in hex",
                    hint="Give the digest of the key, never the key itself",
                )
            if name == ANONYMOUS or name.startswith(UNKNOWN_PREFIX):
                raise UsageError(
                    f"gateway: accounts: the name {name!r} is kept for clients that are not accounts",
                    hint="Choose another name",
                )
        if self.input_range is not None and not (
            all(map(math.isfinite, self.input_range)) and self.input_range[0] < self.input_range[1]
        ):
            raise UsageError(f"gateway: input_range: {self.input_range} is not (low, high) with low < high")
        if self.vec_scale is not None and not (math.isfinite(self.vec_scale) and self.vec_scale > 0):
            raise UsageError(f"gateway: vec_scale: {self.vec_scale} is not a positive number")
        self._check_inputs()
        for name in ("vec_dims", "max_body_bytes", "max_answer_bytes", "max_rows"):
            if getattr(self, name) < 1:
                raise UsageError(f"gateway: {name}: must be at least 1")

    def _check_secrets(self) -> None:
        for name, secret in (("secret", self.secret), ("previous_secret", self.previous_secret)):
            if secret is not None and len(secret) < _MIN_SECRET:
                raise UsageError(
                    f"gateway: the {name} has {len(secret)} bytes, at least {_MIN_SECRET} are needed",
                    hint="Make one with: python -c 'import secrets; print(secrets.token_hex(32))'",
                )
        if self.previous_secret == self.secret:
            raise UsageError("gateway: secret and previous_secret are the same", hint="Leave previous_secret out")
        if (self.previous_secret is None) is not (self.previous_until == 0) or self.previous_until < 0:
            raise UsageError(
                "gateway: previous_secret and previous_until belong together",
                hint="Give both while two secrets overlap, and neither afterwards",
            )

    def _check_inputs(self) -> None:
        for model, tensors in (self.inputs or {}).items():
            if not tensors or any(type(width) is not int or width < 0 for width in tensors.values()):
                raise UsageError(
                    f"gateway: inputs: {model!r} needs its input tensors, each with its numbers per row, 0 for texts",
                    hint='For 8x8 images: inputs={"digits": {"input": 64}}',
                )
