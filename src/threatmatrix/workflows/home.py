"""Where threatmatrix keeps what it learns: one folder, ``.threatmatrix`` unless told otherwise."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from threatmatrix.model.errors import StoreError

if TYPE_CHECKING:
    from threatmatrix.store import Store
    from threatmatrix.telemetry.inputs.keys import Keyring

__all__ = ["Home"]

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one installation; every path that a workflow uses is named here, once.

    ``store`` is a database URL that replaces the folder's own SQLite file, or empty.
    """

    root: Path
    store: str = ""

    @property
    def calibration(self) -> Path:
        return self.root / "calibration.json"

    @property
    def policy(self) -> Path:
        return self.root / "policy.json"

    @property
    def dead_letters(self) -> Path:
        return self.root / "dead-letters.jsonl"

    @property
    def matrices(self) -> Path:
        """Imported matrices, a file for each version."""
        return self.root / "matrices"

    @property
    def library(self) -> Path:
        """Imported contributions: a directory laid over the built-in library."""
        return self.root / "library"

    @property
    def replays(self) -> Path:
        return self.root / "replays"

    def ensure(self) -> Home:
        """Create the folder, readable by its owner only. Raises StoreError where that fails."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"{self.root}: cannot be created ({error.strerror})", hint="Name another folder with --home"
            ) from error
        return self

    def has_store(self) -> bool:
        """Whether there is a store already; a database URL counts as one."""
        return bool(self.store) or (self.root / "store.db").exists()

    def open_store(self) -> Store:
        """The user's store, created and migrated where need be. Raises StoreError."""
        from threatmatrix.store import open_store  # half of what a command that needs no database would load

        return open_store(self.store or self.ensure().root / "store.db")

    def secret(self) -> bytes:
        """The secret that this installation's keyed hashes derive from: 32 bytes, made once, mode 0600."""
        path = self.ensure().root / "secret.key"
        if not path.exists():
            # written aside and linked, so that whoever races us reads 32 bytes or no file, never half of one
            draft = path.with_name(f".secret-{secrets.token_hex(8)}")
            try:
                draft.touch(mode=0o600)
                draft.write_bytes(secrets.token_bytes(_SECRET_BYTES))
                with suppress(FileExistsError):
                    path.hardlink_to(draft)
            except OSError as error:
                raise StoreError(f"{path}: cannot be written ({error.strerror})", hint="Name another --home") from error
            finally:
                draft.unlink(missing_ok=True)
        return _read_secret(path)

    def keyring(self) -> Keyring:
        """The keys that inputs are fingerprinted under; made where there are none."""
        from threatmatrix.telemetry.inputs.keys import Key, Keyring

        return Keyring(Key("1", self.secret()))

    def new_workspace(self, case: str, seed: int) -> Path:
        """A fresh folder for one replay: ``replays/<case>-seed<seed>-<n>``; races are settled by mkdir."""
        self.ensure()
        try:
            self.replays.mkdir(exist_ok=True)
            return self._first_free(case, seed)
        except OSError as error:
            raise StoreError(
                f"{self.replays}: cannot be written ({error.strerror})", hint="Name another --home"
            ) from error

    def _first_free(self, case: str, seed: int) -> Path:
        n = 1
        while True:
            path = self.replays / f"{case}-seed{seed}-{n}"
            try:
                path.mkdir()
            except FileExistsError:
                n += 1
            else:
                return path


def _read_secret(path: Path) -> bytes:
    """A secret that is cut short or cannot be read is never replaced in silence: old fingerprints would be lost."""
    try:
        found = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})", hint="Ask for read permission on it") from error
    if len(found) < _SECRET_BYTES:
        hint = "Restore it from a backup, or remove it: a new one is made, and new fingerprints match no old ones"
        raise StoreError(f"{path}: holds {len(found)} bytes, not {_SECRET_BYTES}", hint=hint)
    return found
