"""The keys of an installation at rest: one JSON file, readable by its owner only, replaced whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threatmatrix.model.errors import FormatError, InputError
from threatmatrix.telemetry.inputs.keys import Key, Keyring

__all__ = [
    "KeptKey",
    "create_keys",
    "keyring_of",
    "locked",
    "new_key",
    "read_keys",
    "read_old_secret",
    "write_keys",
]

VERSION = 1
SECRET_BYTES = 32
_KIND = "threatmatrix keys"
_RESTORE = "Restore it from a backup, or remove it: a new key is made then, and new fingerprints match no old ones"


@dataclass(frozen=True, slots=True)
class KeptKey:
    """A key and how long it counts: ``until`` (µs of event time) for one that was replaced, None for the current."""

    key: Key
    until: int | None = None


def new_key(number: int, now: int) -> Key:
    """A key from the operating system's entropy; ``now`` in µs."""
    return Key(str(number), secrets.token_bytes(SECRET_BYTES), now)


def keyring_of(keys: tuple[KeptKey, ...]) -> Keyring:
    """The current key, and the one before it as long as it counts."""
    current = next(kept.key for kept in keys if kept.until is None)
    replaced = [kept for kept in keys if kept.until is not None]
    if not replaced:
        return Keyring(current)
    last = max(replaced, key=lambda kept: (kept.until or 0, kept.key.created))
    return Keyring(current, last.key, last.until or 0)


def read_keys(path: Path) -> tuple[KeptKey, ...]:
    """The keys of the file, the current one first.

    Raises InputError where it cannot be read or others can, FormatError for anything but keys; never quotes one.
    """
    try:
        value = json.loads(_read_private(path))
    except (ValueError, RecursionError):
        raise FormatError(path, "is not a file of keys (not JSON)", hint=_RESTORE) from None
    if not isinstance(value, dict) or value.get("kind") != _KIND:
        raise FormatError(path, "is not a file of keys", key="kind", hint=_RESTORE)
    if value.get("version") != VERSION:
        hint = f"This release reads version {VERSION}; use the release that wrote it"
        raise FormatError(path, "is of another version", key="version", hint=hint)
    entries = value.get("keys")
    if not isinstance(entries, list):
        raise FormatError(path, "must be a list", key="keys", hint=_RESTORE)
    keys = [_entry(path, place, entry) for place, entry in enumerate(entries)]
    if sum(kept.until is None for kept in keys) != 1:
        raise FormatError(path, "must hold exactly one key without `until`: the current one", key="keys", hint=_RESTORE)
    if len({kept.key.id for kept in keys}) != len(keys):
        raise FormatError(path, "two keys have the same id", key="keys", hint=_RESTORE)
    return tuple(sorted(keys, key=lambda kept: (kept.until is not None, -(kept.until or 0))))


def write_keys(path: Path, keys: tuple[KeptKey, ...]) -> None:
    """Replace the file at one stroke, mode 0600, on disk before it counts. Raises InputError."""
    with _draft(path, keys) as draft:
        draft.replace(path)


def create_keys(path: Path, keys: tuple[KeptKey, ...]) -> None:
    """Make the file unless another process has just made it; then that one's keys stand. Raises InputError."""
    with _draft(path, keys) as draft, suppress(FileExistsError):
        path.hardlink_to(draft)


def read_old_secret(path: Path) -> Key:
    """The key of an installation from before rotation: a file of 32 bytes. Raises InputError, FormatError."""
    secret = _read_private(path)
    if len(secret) < SECRET_BYTES:
        raise FormatError(path, f"holds {len(secret)} bytes, not {SECRET_BYTES}", hint=_RESTORE)
    return Key("1", secret, path.stat().st_mtime_ns // 1000)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from changing the keys meanwhile, by a lock on a file beside them. Raises InputError."""
    import fcntl  # not on Windows, where nothing else would miss it

    beside = path.with_suffix(".lock")
    try:
        lock = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InputError(beside, f"cannot be opened ({error.strerror})", hint="Check who owns the folder") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _read_private(path: Path) -> bytes:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if os.name == "posix" and mode & 0o077:
            hint = f"Run: chmod 600 {path}; and rotate the key if others may have read it"
            raise InputError(path, f"holds secrets and others may use it (mode {mode:04o})", hint=hint)
        return path.read_bytes()
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", hint="Ask for read permission on it") from error


def _entry(path: Path, place: int, entry: Any) -> KeptKey:
    key = f"keys[{place}]"
    if not isinstance(entry, dict):
        raise FormatError(path, "must be an object", key=key, hint=_RESTORE)
    name, created, until = entry.get("id"), entry.get("created"), entry.get("until")
    if not isinstance(name, str) or not 0 < len(name) <= 64:
        raise FormatError(path, "must be a text of 1 to 64 characters", key=f"{key}.id", hint=_RESTORE)
    if type(created) is not int or created < 0:
        raise FormatError(path, "must be microseconds since 1970", key=f"{key}.created", hint=_RESTORE)
    if until is not None and (type(until) is not int or until < 0):
        raise FormatError(path, "must be microseconds since 1970, or null", key=f"{key}.until", hint=_RESTORE)
    try:
        secret = bytes.fromhex(entry["secret"])
    except (KeyError, TypeError, ValueError):
        secret = b""
    if len(secret) < SECRET_BYTES:
        problem = f"must be {SECRET_BYTES} bytes in hex"
        raise FormatError(path, problem, key=f"{key}.secret", hint=_RESTORE) from None
    return KeptKey(Key(name, secret, created), until)


@contextmanager
def _draft(path: Path, keys: tuple[KeptKey, ...]) -> Iterator[Path]:
    entries = [
        {"id": kept.key.id, "secret": kept.key.secret.hex(), "created": kept.key.created, "until": kept.until}
        for kept in keys
    ]
    data = json.dumps({"kind": _KIND, "version": VERSION, "keys": entries}, indent=2).encode() + b"\n"
    draft = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        yield draft
        _sync(path.parent)
    except OSError as error:
        raise InputError(path, f"cannot be written ({error.strerror})", hint="Name another --home") from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
