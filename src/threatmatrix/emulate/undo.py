"""Change a target only through these: each writes the change into the journal first, and knows how to take it back.

:class:`RecordedStore` and :class:`RecordedTeacher` stand in for what an attack is given as ``stage.store`` and
``stage.teacher``; :func:`write_file` is for files of the attacker's own. :func:`undoers` makes what
:meth:`~threatmatrix.emulate.lifecycle.Lifecycle.clean_up` needs, in the same process or in a later one.

An undoing compares before it acts: what is as it was stays, what somebody else changed meanwhile is not overwritten
(``changed``). Hence undoing twice is undoing once.

One limit: a request that was on its way when the process died, and that the target carries out only after clean-up has
looked, is not seen. Against a slow target, wait for its time-out before cleaning up after a kill.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol

from threatmatrix.emulate.durable import replace_file, temporary_of
from threatmatrix.emulate.journal import Change, Journal
from threatmatrix.emulate.target import IntArray, Rows, Store, StoredObject, Teachable
from threatmatrix.model.errors import UnknownNameError

__all__ = ["RecordedStore", "RecordedTeacher", "Undoable", "Undoer", "Undone", "undoers", "write_file"]

Undone = Literal["undone", "nothing", "changed"]
"""Taken back; there was nothing to take back; somebody else changed it since, and it was left alone."""

Undoer = Callable[[Change, Journal], Undone]
"""Takes one change back. Raises what its target raises."""


class Undoable(Store, Protocol):
    """A store as clean-up needs it: every change has its way back, which no budget holds back.

    ``get`` raises UnknownNameError where nothing lies.
    """

    credential: str
    """What tells the store who acts; "" for nobody. It can be set."""

    def peek(self, bucket: str, key: str) -> bytes | None:
        """What lies there; None where nothing does."""

    def restore(self, bucket: str, key: str, content: bytes | None) -> None:
        """Put back what lay there; None: remove what lies there."""

    def close_account(self, account: str, password: str) -> bool:
        """Remove an account whose password is known; False where there is none such."""

    def access_keys(self) -> tuple[str, ...]:
        """Ids of the access keys of whoever is signed in."""

    def make_key(self) -> tuple[str, str]:
        """A new access key of whoever is signed in: (id, secret)."""

    def drop_key(self, key_id: str) -> None:
        """Remove an access key; nothing where it is gone."""


class RecordedStore:
    """A store, every change of which is written into the journal before it is made."""

    def __init__(self, store: Undoable, journal: Journal) -> None:
        self._store = store
        self._journal = journal

    @property
    def account(self) -> str:
        return self._store.account

    @property
    def queries(self) -> int:
        return self._store.queries

    def sign_up(self, account: str, password: str) -> bool:
        number = self._journal.intend("account", account=account, password=password)
        made = self._store.sign_up(account, password)
        if made:
            self._journal.acted(number)
        else:
            self._journal.undone(number)  # it was not made: whose account has that name, keeps it
        return made

    def sign_in(self, account: str, password: str) -> bool:
        return self._store.sign_in(account, password)

    def use_key(self, key_id: str, secret: str) -> None:
        self._store.use_key(key_id, secret)

    def buckets(self) -> tuple[str, ...]:
        return self._store.buckets()

    def objects(self, bucket: str) -> tuple[StoredObject, ...]:
        return self._store.objects(bucket)

    def get(self, bucket: str, key: str) -> bytes:
        return self._store.get(bucket, key)

    def put(self, bucket: str, key: str, content: bytes) -> None:
        before = self._there(bucket, key)
        number = self._journal.intend(
            "put",
            bucket=bucket,
            key=key,
            credential=self._store.credential,
            before=None if before is None else self._journal.keep(before),
            after=hashlib.sha256(content).hexdigest(),
        )
        self._store.put(bucket, key, content)
        self._journal.acted(number)

    def _there(self, bucket: str, key: str) -> bytes | None:
        """What lies there: it can be put back, or it is not replaced (a refusal to read it is one to write)."""
        try:
            return self._store.get(bucket, key)
        except UnknownNameError:
            return None

    def make_key(self) -> tuple[str, str]:
        """A new access key of whoever is signed in: (id, secret)."""
        number = self._journal.intend("key", credential=self._store.credential, before=list(self._store.access_keys()))
        made = self._store.make_key()
        self._journal.acted(number)
        return made


class RecordedTeacher:
    """A teacher, every lesson of which is written into the journal first.

    Forgetting is by account: give the emulation accounts of its own, or it forgets what they taught before, too.
    """

    def __init__(self, teacher: Teachable, journal: Journal) -> None:
        self._teacher = teacher
        self._journal = journal

    def teach(self, x: Rows, labels: IntArray) -> None:
        number = self._journal.intend("teach", rows=len(x))
        self._teacher.teach(x, labels)
        self._journal.acted(number)

    def forget(self) -> int:
        return self._teacher.forget()


def write_file(journal: Journal, path: Path, content: bytes) -> None:
    """Write a file of the attacker's own; what lay there is kept."""
    before = journal.keep(path.read_bytes()) if path.exists() else None
    after = hashlib.sha256(content).hexdigest()
    number = journal.intend("file", path=str(path.absolute()), process=os.getpid(), before=before, after=after)
    replace_file(path, content)
    journal.acted(number)


def undoers(
    *,
    store: Callable[[], Undoable] | None = None,
    teacher: Callable[[], Teachable] | None = None,
    credential: str | None = None,
) -> Mapping[str, Undoer]:
    """How to take back each kind of change.

    ``store``, ``teacher``: connect to the target, called at the first change that needs it; whoever gives them closes
    them. ``teacher`` must act for the accounts that taught. ``credential``: of the store's owner, where those that the
    emulation used are blocked.
    """
    found: dict[str, Undoer] = {"file": _undo_file}
    if store is not None:
        back = _StoreUndo(store, credential)
        found |= {"put": back.put, "account": back.account, "key": back.key}
    if teacher is not None:
        found["teach"] = _TeachUndo(teacher).teach
    return found


def _digest(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()


def _undo_file(change: Change, journal: Journal) -> Undone:
    path = Path(change.where["path"])
    temporary_of(path, change.where["process"]).unlink(missing_ok=True)
    there = _digest(path.read_bytes() if path.exists() else None)
    before = change.where["before"]
    if there == before:
        return "nothing"
    if there != change.where["after"]:
        return "changed"
    if before is None:
        path.unlink()
    else:
        replace_file(path, journal.kept(before))
    return "undone"


class _StoreUndo:
    def __init__(self, connect: Callable[[], Undoable], credential: str | None) -> None:
        self._connect = connect
        self._credential = credential
        self._open: Undoable | None = None

    def _as(self, change: Change) -> Undoable:
        if self._open is None:
            self._open = self._connect()
        self._open.credential = self._credential or change.where.get("credential", "")
        return self._open

    def put(self, change: Change, journal: Journal) -> Undone:
        store, where = self._as(change), change.where
        there = _digest(store.peek(where["bucket"], where["key"]))
        if there == where["before"]:
            return "nothing"
        if there != where["after"]:
            return "changed"
        content = None if where["before"] is None else journal.kept(where["before"])
        store.restore(where["bucket"], where["key"], content)
        return "undone"

    def account(self, change: Change, journal: Journal) -> Undone:
        del journal
        closed = self._as(change).close_account(change.where["account"], change.where["password"])
        return "undone" if closed else "nothing"

    def key(self, change: Change, journal: Journal) -> Undone:
        del journal
        store = self._as(change)
        new = [key for key in store.access_keys() if key not in change.where["before"]]
        for key in new:
            store.drop_key(key)
        return "undone" if new else "nothing"


class _TeachUndo:
    def __init__(self, connect: Callable[[], Teachable]) -> None:
        self._connect = connect
        self._forgotten = False

    def teach(self, change: Change, journal: Journal) -> Undone:
        """The first one forgets all that was taught; nothing is left for the others."""
        del change, journal
        if self._forgotten:
            return "nothing"
        forgotten = self._connect().forget()
        self._forgotten = True
        return "undone" if forgotten else "nothing"
