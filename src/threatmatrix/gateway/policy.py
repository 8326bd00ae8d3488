"""Reading the policy snapshot: validated as hostile input, watched by ``stat``, the last good one kept."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from pathlib import Path
from typing import Any, get_args

from threatmatrix.gateway.decide import Policy
from threatmatrix.model.errors import FormatError, InputError, UsageError
from threatmatrix.model.response import PolicyEntry, PolicyKind, PolicySnapshot

__all__ = ["PolicyFile", "load_snapshot", "parse_snapshot"]

_log = logging.getLogger("threatmatrix.gateway")
_KINDS: tuple[str, ...] = get_args(PolicyKind)
_MAX_BYTES = 256 * 1024 * 1024
_MAX_DECIMALS = 15
_MAX_INT = 2**63 - 1


def load_snapshot(path: Path) -> PolicySnapshot | None:
    """Read the snapshot that the store published; None if there is no such file.

    Raises ``InputError`` if the file cannot be read, ``FormatError`` naming the key if its content is wrong.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(path, f"the policy cannot be read: {error.strerror}") from error
    if len(text) > _MAX_BYTES:
        raise InputError(path, f"the policy is larger than {_MAX_BYTES // 2**20} MiB", hint="Withdraw expired entries")
    return parse_snapshot(text, path)


def parse_snapshot(text: bytes, file: object = "policy") -> PolicySnapshot:
    """JSON text → snapshot. Unknown keys are ignored, unknown kinds are not. Raises ``FormatError``."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(file, f"not JSON: {str(error)[:200]}", hint="Publish the policy again") from None
    if not isinstance(raw, dict):
        raise FormatError(file, "must be an object with version, published_at and entries")
    entries = raw.get("entries")
    if not isinstance(entries, list):
        raise FormatError(file, "must be a list", key="entries")
    version = _integer(file, raw, "version", "")
    published_at = _integer(file, raw, "published_at", "")
    parsed = tuple([_entry(file, entry, f"entries[{index}]") for index, entry in enumerate(entries)])
    return PolicySnapshot(version=version, published_at=published_at, entries=parsed)


def _entry(file: object, raw: object, key: str) -> PolicyEntry:
    if not isinstance(raw, dict):
        raise FormatError(file, "must be an object", key=key)
    kind = raw.get("kind")
    if type(kind) is not str or kind not in _KINDS:
        raise FormatError(file, f"unknown kind {str(kind)[:80]!r}", key=f"{key}.kind", choices=_KINDS)
    params = raw.get("params", {})
    if not isinstance(params, dict):
        raise FormatError(file, "must be an object", key=f"{key}.params")
    if kind != "block":
        _check_params(file, kind, params, f"{key}.params")
    return PolicyEntry(
        entry_id=_text(file, raw, "entry_id", key),
        kind=kind,  # type: ignore[arg-type]  # checked against _KINDS above
        owner=_text(file, raw, "owner", key),
        reason=_text(file, raw, "reason", key),
        created_at=_integer(file, raw, "created_at", key),
        expires_at=_integer(file, raw, "expires_at", key),
        principal=_optional(file, raw, "principal", key),
        model=_optional(file, raw, "model", key),
        params=params,
    )


def _check_params(file: object, kind: str, params: dict[str, Any], key: str) -> None:
    if kind == "query_budget":
        _integer(file, params, "queries", key)
        _number(file, params, "window_seconds", key, above_zero=True)
    elif kind == "input_noise":
        _number(file, params, "sigma", key)
    elif kind == "round_scores" and _integer(file, params, "decimals", key) > _MAX_DECIMALS:
        raise FormatError(file, f"must be at most {_MAX_DECIMALS}", key=f"{key}.decimals")


def _integer(file: object, raw: dict[str, Any], name: str, key: str) -> int:
    value = raw.get(name)
    if type(value) is not int or not 0 <= value <= _MAX_INT:
        raise FormatError(file, "must be a whole number, 0 or more", key=f"{key}.{name}".lstrip("."))
    return value


def _number(file: object, raw: dict[str, Any], name: str, key: str, *, above_zero: bool = False) -> float:
    value = raw.get(name)
    if type(value) not in (int, float) or not 0 <= value <= _MAX_INT or (above_zero and not value):  # type: ignore[operator]
        least = "above 0" if above_zero else "0 or more"
        raise FormatError(file, f"must be a number, {least}", key=f"{key}.{name}")
    if not math.isfinite(value):  # type: ignore[arg-type]
        raise FormatError(file, "must be finite", key=f"{key}.{name}")
    return float(value)  # type: ignore[arg-type]


def _text(file: object, raw: dict[str, Any], name: str, key: str) -> str:
    value = raw.get(name)
    if type(value) is not str or (not value and name == "entry_id"):
        raise FormatError(file, "must be a text", key=f"{key}.{name}")
    return value


def _optional(file: object, raw: dict[str, Any], name: str, key: str) -> str | None:
    value = raw.get(name)
    if value is not None and type(value) is not str:
        raise FormatError(file, "must be a text or null", key=f"{key}.{name}")
    return value


class PolicyFile:
    """The policy in force, looked at again whenever the file's stat changes.

    A missing file is no policy. A broken one, or one with a lower version than the one in force (two
    publishers raced), keeps the last good policy, is logged, and counts in ``errors``; once per change of the file.
    """

    def __init__(self, path: Path | None, poll_seconds: float = 0.0) -> None:
        self.errors = 0
        self._path = path
        self._name = str(path)
        self._poll = poll_seconds
        self._next = -math.inf
        self._seen: tuple[int, int, int] | str | None = None
        self._policy = Policy()

    def current(self) -> Policy:
        """The policy to enforce now. Never raises."""
        if self._path is None:
            return self._policy
        if self._poll:
            now = time.monotonic()
            if now < self._next:
                return self._policy
            self._next = now + self._poll
        seen = self._stat(self._name)
        if seen != self._seen:
            self._seen = seen
            self._reload(self._path)
        return self._policy

    @staticmethod
    def _stat(path: str) -> tuple[int, int, int] | str | None:
        try:
            found = os.stat(path)  # noqa: PTH116  half the time of Path.stat, at every request
        except FileNotFoundError:
            return None
        except OSError as error:  # unreadable is not missing: keep what is enforced
            return f"unreadable: {error.errno}"
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _reload(self, path: Path) -> None:
        try:
            snapshot = load_snapshot(path)
            if snapshot is not None and snapshot.version < self._policy.version:
                raise FormatError(
                    path,
                    f"went back from {self._policy.version} to {snapshot.version}",
                    key="version",
                    hint="Publish again, or remove the file first if the store was set up anew",
                )
        except UsageError as error:
            self.errors += 1
            _log.error("policy not taken over, version %d stays in force: %s", self._policy.version, error)
        else:
            self._policy = Policy(snapshot)
