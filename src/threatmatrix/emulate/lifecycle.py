"""The life cycle of an emulation: warm-up → detonate → revert → clean-up, in a folder that outlives the process.

::

    with Lifecycle.open(folder, procedure="flip-labels-in-storage", target=url) as life:
        with life.warm_up():                       # optional
            …
        with life.detonation(idempotent=False) as journal:
            hands = Hands(store=RecordedStore(client, journal), teacher=RecordedTeacher(client, journal))
            run_procedure(…, hands=hands)
        life.revert(undoers(store=connect))        # back to where the warm-up left it: it may detonate again
        life.clean_up(undoers(store=connect))      # back to where it all began

    with Lifecycle.open(folder) as life:           # after a kill, in another process
        life.state                                 # "detonating"
        life.clean_up(undoers(store=connect, teacher=connect_teacher))

======================  =====================================  ==========================
from                    by                                     to
======================  =====================================  ==========================
clean                   ``warm_up``                            warming, then warm
clean, warm, reverted   ``detonation``                         detonating, then detonated
detonated               ``detonation``, where idempotent or    detonating, then detonated
                        where nothing is left to revert
any but clean           ``revert``                             reverting, then reverted
any                     ``clean_up``                           cleaning, then clean
======================  =====================================  ==========================

A phase that ended by an error stays as it is (``detonating``): it is open, and a second detonation is refused until it
is reverted or cleaned up. The state is one small file, replaced as a whole; a lock that dies with its process keeps a
second one out. What was changed stands in the journal (:mod:`threatmatrix.emulate.journal`), so that the state may
even be lost: clean-up goes by the journal.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, get_args

from threatmatrix.emulate.durable import replace_file
from threatmatrix.emulate.journal import Change, Journal
from threatmatrix.emulate.undo import Undoer
from threatmatrix.model.errors import FormatError, InputError, RunError, ThreatmatrixError, UsageError

__all__ = ["CleanUp", "Lifecycle", "State"]

State = Literal["clean", "warming", "warm", "detonating", "detonated", "reverting", "reverted", "cleaning"]

_FILE, _LOCK = "state.json", "lock"
_FORMAT = 1
_TRIES, _BETWEEN = 5, 0.02
"""How often the lock is asked for, and the seconds in between: who only looks holds it for less."""
_MAY_DETONATE = ("clean", "warm", "reverted")


@dataclass(frozen=True, slots=True)
class CleanUp:
    """What came of undoing: numbers of changes, and a sentence for each that a person should look at."""

    undone: int = 0
    nothing: int = 0
    changed: tuple[str, ...] = ()  # somebody else changed it since: left alone
    failed: tuple[str, ...] = ()  # not undone yet: do it again

    @property
    def done(self) -> bool:
        return not self.failed


@dataclass(frozen=True, slots=True)
class _Record:
    """What the state file holds."""

    state: State = "clean"
    procedure: str = ""
    target: str = ""
    runs: int = 0  # detonations since it was clean
    format: int = _FORMAT


class Lifecycle:
    """The life cycle in one folder. A context manager: while it is open, no other process opens the folder."""

    def __init__(self, folder: Path, lock: int, record: _Record) -> None:
        """By :meth:`open` only."""
        self.folder = folder
        self.journal = Journal(folder)
        self._lock = lock
        self._record = record

    @classmethod
    def open(cls, folder: Path, *, procedure: str = "", target: str = "") -> Self:
        """Open the folder, which is made where it is missing.

        ``procedure``, ``target``: what is about to run; "" for whatever is there. Raises UsageError where another
        process has it open, or where something else was left open in it; FormatError for a state that is none.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / _LOCK, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            if not _locked(lock, fcntl.LOCK_EX, tries=_TRIES):
                raise UsageError(f"{folder}: another process is emulating here", hint="Wait until it ends")
            life = cls(folder, lock, _read(folder / _FILE))
            life._claim(procedure, target)
        except BaseException:
            os.close(lock)
            raise
        return life

    @staticmethod
    def look(folder: Path) -> State | Literal["running"]:
        """The state, for somebody who only asks: nothing is opened, made or held up. Raises FormatError."""
        try:
            lock = os.open(folder / _LOCK, os.O_RDONLY)
        except FileNotFoundError:
            return _read(folder / _FILE).state
        try:
            return _read(folder / _FILE).state if _locked(lock, fcntl.LOCK_SH) else "running"
        finally:
            os.close(lock)

    def _claim(self, procedure: str, target: str) -> None:
        record = self._record
        if record.state == "clean" and not self.journal.pending():
            self._record = replace(record, procedure=procedure or record.procedure, target=target or record.target)
            return
        for asked, had in ((procedure, record.procedure), (target, record.target)):
            if asked and asked != had:
                raise UsageError(
                    f"{self.folder}: {record.procedure or 'an emulation'} against {record.target or 'a target'} is "
                    f"{record.state}",
                    hint="Clean it up first, or use another folder",
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let another process have the folder. Nothing is undone."""
        self.journal.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @property
    def state(self) -> State:
        return self._record.state

    @property
    def procedure(self) -> str:
        return self._record.procedure

    @property
    def target(self) -> str:
        return self._record.target

    @property
    def runs(self) -> int:
        """Detonations since it was clean."""
        return self._record.runs

    @contextmanager
    def warm_up(self) -> Iterator[Journal]:
        """Prepare the target: what is changed here stays through a revert and goes at clean-up."""
        if self.state != "clean" or self.journal.pending():
            raise self._refusal("warmed up")
        self.journal.phase = "warm-up"
        self._turn("warming")
        yield self.journal
        self._turn("warm")

    @contextmanager
    def detonation(self, *, idempotent: bool = False) -> Iterator[Journal]:
        """Attack. ``idempotent``: it may be done again without a revert in between."""
        again = self.state == "detonated" and (idempotent or not self.journal.pending("detonate"))
        if not (again or self.state in _MAY_DETONATE) or (self.state == "clean" and self.journal.pending()):
            raise self._refusal("detonated")
        self.journal.phase = "detonate"
        self._record = replace(self._record, runs=self._record.runs + 1)
        self._turn("detonating")
        yield self.journal
        self._turn("detonated")

    def revert(self, undoers: Mapping[str, Undoer], *, since: int = 0) -> CleanUp:
        """Take back what detonations changed. Raises UsageError where nothing has begun.

        ``since``: only the changes after that many of the journal's; what came before is somebody else's foundation.
        """
        if self.state == "clean" and not self.journal.pending():
            raise self._refusal("reverted")
        self._turn("reverting")
        done = self._undo(undoers, self.journal.pending("detonate", since=since))
        if done.done:
            self._turn("reverted")
        return done

    def clean_up(self, undoers: Mapping[str, Undoer]) -> CleanUp:
        """Take back everything, from whatever state, as often as it takes: undoing twice is undoing once.

        A change that cannot be taken back now (the target is down, it refuses) is named in ``failed``, and so is what
        lies below it; the others are taken back all the same, and the state stays ``cleaning``.
        """
        self._turn("cleaning")
        done = self._undo(undoers, self.journal.pending())
        if done.done:
            if not done.changed:  # a copy of what somebody else changed may still be wanted
                self.journal.clear()
            self._record = replace(self._record, runs=0)
            self._turn("clean")
        return done

    def _undo(self, undoers: Mapping[str, Undoer], changes: Sequence[Change]) -> CleanUp:
        counts = {"undone": 0, "nothing": 0}
        changed, failed = [], []
        stuck: set[str] = set()  # places where a newer change stays: the older ones below it have to wait
        for change in changes:
            if _place(change) in stuck:
                failed.append(f"{_named(change)}: waits for a newer change to be undone")
                continue
            try:
                undoer = undoers.get(change.kind)
                if undoer is None:
                    raise RunError(f"nobody knows how to undo a change of kind {change.kind!r}")
                came = undoer(change, self.journal)
            except (ThreatmatrixError, OSError) as error:
                failed.append(f"{_named(change)}: {error}")
                stuck.add(_place(change))
                continue
            self.journal.undone(change.number)
            if came == "changed":
                changed.append(f"{_named(change)}: somebody else changed it since, and it was left as it is")
            else:
                counts[came] += 1
        return CleanUp(counts["undone"], counts["nothing"], tuple(changed), tuple(failed))

    def _turn(self, state: State) -> None:
        self._record = replace(self._record, state=state)
        replace_file(self.folder / _FILE, json.dumps(asdict(self._record), indent=1).encode() + b"\n")

    def _refusal(self, what: str) -> UsageError:
        state = "clean, but its journal has changes that are not undone" if self.state == "clean" else self.state
        name = self.procedure or "the emulation"
        hint = "Nothing was begun" if what == "reverted" else "Clean it up first"
        return UsageError(f"{self.folder}: {name} is {state} and cannot be {what}", hint=hint)


def _locked(lock: int, how: int, *, tries: int = 1) -> bool:
    """Try more than once where somebody may only be looking."""
    for left in reversed(range(tries)):
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if left:
                time.sleep(_BETWEEN)
        else:
            return True
    return False


def _place(change: Change) -> str:
    """Changes of one place are undone in their order: in a store an account must outlive what it has to put back."""
    return "store" if change.kind in ("put", "account", "key") else f"{change.kind} {change.where.get('path', '')}"


def _named(change: Change) -> str:
    where = change.where
    place = where.get("path") or where.get("account") or "/".join(filter(None, (where.get("bucket"), where.get("key"))))
    return f"change {change.number} ({change.kind}{' ' + str(place) if place else ''})"


def _read(path: Path) -> _Record:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return _Record()
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise FormatError(path, f"is no JSON: {error}") from error
    try:
        record = _Record(**content)
    except TypeError as error:
        raise FormatError(path, "is not the state of an emulation") from error
    if record.format != _FORMAT or record.state not in get_args(State):
        raise FormatError(path, f"state {record.state!r} of format {record.format!r} is unknown")
    return record
