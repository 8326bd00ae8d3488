"""The keys that inputs are fingerprinted under: what there is, a new one, and the end of an old one.

No function here returns, prints or raises a secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from threatmatrix.model.errors import UsageError
from threatmatrix.telemetry.inputs.keyfile import KeptKey, locked, new_key, read_keys, write_keys
from threatmatrix.workflows.home import Home

__all__ = ["DEFAULT_OVERLAP", "KeyInfo", "KeyStatus", "prune", "rotate", "status"]

DEFAULT_OVERLAP = 7 * 86_400_000_000
"""µs: the monitors' window (a day) several times over, and time to calibrate for the new key."""

State = Literal["current", "overlapping", "ended"]


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """One key without its secret. ``until`` (µs of event time): when a replaced key stops counting."""

    id: str
    created: int  # µs
    age: int  # µs
    state: State
    until: int | None = None


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """The keys of an installation, the current one first; none before the first use."""

    path: Path
    keys: tuple[KeyInfo, ...] = ()
    pruned: tuple[str, ...] = ()  # ids of the keys that this call has removed


def status(home: Home, *, now: int) -> KeyStatus:
    """What keys there are at ``now`` (µs); makes none. Raises InputError, FormatError for a damaged file."""
    return _status(home, read_keys(home.keys), now) if home.has_keys() else KeyStatus(home.keys)


def rotate(home: Home, *, now: int, overlap: int = DEFAULT_OVERLAP) -> KeyStatus:
    """Make a new key the current one; events before ``now + overlap`` (µs) are fingerprinted under the old one too.

    During the overlap, run ``calibrate`` on traffic that is fingerprinted under both: the monitors' thresholds belong
    to a key. Without an overlap (0), nothing that came before can be compared with anything that comes after. Keys
    whose overlap has ended are removed, as :func:`prune` does. Raises UsageError while an overlap lasts.
    """
    if overlap < 0:
        raise UsageError("the overlap of two keys cannot be negative", hint="Give 0 for none")
    home.keyring()  # makes the first key, or moves the old file
    with locked(home.keys):
        kept, gone = _parted(read_keys(home.keys), now)
        lasting = [each for each in kept if each.until is not None]
        if lasting:
            raise UsageError(
                f"keys {kept[0].key.id} and {lasting[0].key.id} still overlap: a third cannot join them",
                hint="Wait until the overlap has ended, or end it: threatmatrix keys prune --end",
            )
        current = kept[0]
        number = max(int(each.key.id) if each.key.id.isdecimal() else 0 for each in (*kept, *gone)) + 1
        keys = (KeptKey(new_key(number, now)), KeptKey(current.key, now + overlap))
        write_keys(home.keys, keys)
    return _status(home, keys, now, gone)


def prune(home: Home, *, now: int, end: bool = False) -> KeyStatus:
    """Remove the keys whose overlap has ended; with ``end``, the one that still overlaps as well.

    What was fingerprinted under a removed key stays in the lake, but can no longer be linked: not with new events,
    not with an input that somebody wants to look up, by nobody. That is the point of it.
    """
    if not home.has_keys():
        return KeyStatus(home.keys)
    home.keyring()
    with locked(home.keys):
        kept, gone = _parted(read_keys(home.keys), 2**63 if end else now)
        if gone:
            write_keys(home.keys, kept)
    return _status(home, kept, now, gone)


def _parted(keys: tuple[KeptKey, ...], now: int) -> tuple[tuple[KeptKey, ...], tuple[KeptKey, ...]]:
    """Keys that still count at ``now``, and those that do not."""
    ended = tuple(each for each in keys if each.until is not None and each.until <= now)
    return tuple(each for each in keys if each not in ended), ended


def _status(home: Home, keys: tuple[KeptKey, ...], now: int, gone: tuple[KeptKey, ...] = ()) -> KeyStatus:
    return KeyStatus(home.keys, tuple(_info(each, now) for each in keys), tuple(each.key.id for each in gone))


def _info(kept: KeptKey, now: int) -> KeyInfo:
    state: State = "current" if kept.until is None else "overlapping" if now < kept.until else "ended"
    return KeyInfo(kept.key.id, kept.key.created, max(0, now - kept.key.created), state, kept.until)
