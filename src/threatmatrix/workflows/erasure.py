"""One principal is erased everywhere; what must keep the name is listed, with the reason."""

from __future__ import annotations

import hmac
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from threatmatrix.model.errors import InputError, UsageError
from threatmatrix.telemetry.inputs.keys import derive_key
from threatmatrix.telemetry.lake import EraseReport
from threatmatrix.telemetry.lake.erased import Name, clean
from threatmatrix.workflows.home import Home
from threatmatrix.workflows.watch.durable import only_one
from threatmatrix.workflows.watch.journal import Journal
from threatmatrix.workflows.watch.snapshot import load_snapshot, save_snapshot

__all__ = ["ErasureReport", "Left", "erase"]

SNAPSHOT = "snapshot.npz"
_TEXT = b'"text": "'  # the last field of a letter
_ALWAYS_LEFT = (
    ("logs", "the logs that events were read from are not ours to change"),
    ("systems.yaml", "a readable name given there is yours to remove"),
)


@dataclass(frozen=True, slots=True)
class Left:
    """A place that still has the name: how many records (0: not looked into), and why it stays."""

    where: str
    count: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureReport:
    """What an erasure changed. ``alias`` is the same for the same principal as long as the key is."""

    alias: str
    lake: EraseReport
    findings: int
    incidents: int
    journal_events: int  # of watches that are not running
    snapshots: int
    dead_letters: int  # places in dead-letter files that were masked
    left: tuple[Left, ...]


def erase(home: Home, principal: str, *, on_day: Callable[[str, int], None] | None = None) -> ErasureReport:
    """Erase a principal from lake, findings, incidents, journals and snapshots of watches, and dead letters.

    In the lake their events go; elsewhere the name becomes ``erased-<16 hex digits>``, a hash under this
    installation's key: an incident still shows that it was one account. Each place is changed as a whole or not at
    all; where one fails, the error says so, and erasing again goes on. Raises InputError, StoreError.
    """
    if not principal:
        raise InputError("principal", "is empty", hint="Give the name as the lake has it")
    alias = _alias(home, principal)
    left: list[Left] = []
    journal_events, snapshots = _erase_watches(home, principal, alias, left)
    letters = sum(mask_letters(path, principal) for path in _letter_files(home))
    with closing(home.open_lake()) as lake:
        if lake.root.exists():
            in_lake = lake.erase(principal, alias=alias, on_day=on_day)
        else:
            in_lake = EraseReport((), 0, 0, 0, ())
    findings, incidents = _erase_store(home, principal, alias, left)
    if in_lake.unread:
        left.append(Left("lake", len(in_lake.unread), "damaged parts, set aside, cannot be looked into: remove them"))
    return ErasureReport(
        alias=alias,
        lake=in_lake,
        findings=findings,
        incidents=incidents,
        journal_events=journal_events,
        snapshots=snapshots,
        dead_letters=letters,
        left=(*left, *(Left(where, 0, why) for where, why in _ALWAYS_LEFT)),
    )


def _alias(home: Home, principal: str) -> str:
    key = derive_key(home.keyring().current.secret, "erasure")
    return f"erased-{hmac.digest(key, principal.encode('utf-8', 'surrogatepass'), 'sha256').hex()[:16]}"


def _erase_store(home: Home, principal: str, alias: str, left: list[Left]) -> tuple[int, int]:
    if not home.has_store():
        return 0, 0
    from threatmatrix.store.erasure import erase_principal

    with home.open_store() as store:
        done = erase_principal(store, principal, alias)
    for where, count, why in (
        ("policy", done.policy_active, "entries in force name whom they hold back; withdraw them, or let them end"),
        ("policy", done.policy_past, "entries that have ended belong to the record of what was enforced"),
        ("ledger", done.ledger, "the record of what was done to whom, and by whose decision, is not rewritten"),
        ("evidence", done.evidence, "records are chained by digests: changing one would break the chain"),
    ):
        if count:
            left.append(Left(where, count, why))
    return done.findings, done.incidents


def _erase_watches(home: Home, principal: str, alias: str, left: list[Left]) -> tuple[int, int]:
    events = snapshots = 0
    for folder in sorted(path for path in home.watches.glob("*") if path.is_dir() and not path.is_symlink()):
        try:
            with only_one(folder, f"a watch named {folder.name}"):
                events += _erase_journal(Journal(folder), Name(principal, None, alias))
                changed, still = _erase_snapshot(folder / SNAPSHOT, principal, alias)
        except UsageError as error:
            if not isinstance(error, InputError) and "running" in error.message:
                why = "it is running and holds events in memory; stop it, then erase again"
                left.append(Left(f"watch {folder.name}", 0, why))
                continue
            raise
        snapshots += changed
        if still:
            why = "its snapshot has the name inside packed data; remove the watch's folder to be rid of it"
            left.append(Left(f"watch {folder.name}", still, why))
    return events, snapshots


def _erase_journal(journal: Journal, name: Name) -> int:
    """Batches keep their numbers and positions; returns how many events went or were renamed."""
    count = 0
    for batch in journal.read(-1):
        events = clean(list(batch.events), [name])
        if events != list(batch.events):
            kept = {id(event) for event in events}
            count += sum(id(event) not in kept for event in batch.events)
            journal.write(replace(batch, events=events))
    return count


def _erase_snapshot(path: Path, principal: str, alias: str) -> tuple[int, int]:
    """(1 where it was changed, how often the name is still in it, inside packed data)."""
    state = load_snapshot(path)
    if state is None:
        return 0, 0
    walk = _Walk(principal, alias)
    renamed = walk.value(state)
    if walk.changed:
        save_snapshot(path, renamed)
    return int(walk.changed > 0), walk.packed


class _Walk:
    """A snapshot with a name replaced wherever it is a whole value or key, in arrays of text too."""

    def __init__(self, old: str, new: str) -> None:
        self._old, self._new = old, new
        self._raw = old.encode("utf-8", "surrogatepass")
        self.changed = self.packed = 0

    def value(self, value: Any) -> Any:
        if isinstance(value, str):
            self.changed += value == self._old
            return self._new if value == self._old else value
        if isinstance(value, dict):
            return {self.value(key): self.value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, np.ndarray) and value.dtype.kind == "U":
            return np.array(self.value(value.ravel().tolist()), dtype=np.str_).reshape(value.shape)
        if isinstance(value, bytes | np.ndarray):
            raw = value if isinstance(value, bytes) else value.tobytes()
            self.packed += raw.count(self._raw)
        return value


def _letter_files(home: Home) -> Iterator[Path]:
    yield home.dead_letters
    yield from sorted(home.watches.glob("*/dead-letters.jsonl"))


def mask_letters(path: Path, principal: str) -> int:
    """Write x over the name in a file of dead letters, in place: it keeps its length, and whoever appends goes on.

    Only what the letters quote is changed. Returns in how many places. Raises InputError.
    """
    pattern = _name_in_json(principal)
    count = 0
    try:
        with path.open("r+b") as file:
            start = 0
            for line in file:
                text = line.find(_TEXT)
                for found in pattern.finditer(line, text + len(_TEXT)) if text >= 0 else ():
                    if found[1]:
                        os.pwrite(file.fileno(), b"x" * len(found[1]), start + found.start())
                        count += 1
                start += len(line)
            if count:
                os.fsync(file.fileno())
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise InputError(path, f"cannot be changed: {error.strerror}", hint="Ask for write permission on it") from error
    return count


def _name_in_json(name: str) -> re.Pattern[bytes]:
    """Group 1: the name as JSON has it, once or twice escaped; else a whole escape, so that none is cut in two."""
    once = json.dumps(name)[1:-1]
    forms = b"|".join(re.escape(form.encode("ascii")) for form in (json.dumps(once)[1:-1], once))
    return re.compile(rb"(%b)|\\(?:u[0-9a-f]{4}|.)" % forms)
