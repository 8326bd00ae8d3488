"""Where threatmatrix keeps what it learns: one folder, ``.threatmatrix`` unless told otherwise."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from threatmatrix.model.errors import StoreError
from threatmatrix.store import Store, open_store

__all__ = ["Home"]


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

    def open_store(self) -> Store:
        """The user's store, created and migrated where need be. Raises StoreError."""
        return open_store(self.store or self.ensure().root / "store.db")

    def secret(self) -> bytes:
        """The secret that this installation's keyed hashes derive from: 32 bytes, made once, mode 0600."""
        path = self.ensure().root / "secret.key"
        if not path.exists():
            # written aside and linked, so that whoever races us reads 32 bytes or no file, never half of one
            draft = path.with_name(f".secret-{secrets.token_hex(8)}")
            try:
                draft.touch(mode=0o600)
                draft.write_bytes(secrets.token_bytes(32))
                with suppress(FileExistsError):
                    path.hardlink_to(draft)
            except OSError as error:
                raise StoreError(f"{path}: cannot be written ({error.strerror})", hint="Name another --home") from error
            finally:
                draft.unlink(missing_ok=True)
        return path.read_bytes()

    def new_workspace(self, case: str, seed: int) -> Path:
        """A fresh folder for one replay: ``replays/<case>-seed<seed>-<n>``; races are settled by mkdir."""
        self.ensure()
        self.replays.mkdir(exist_ok=True)
        n = 1
        while True:
            path = self.replays / f"{case}-seed{seed}-{n}"
            try:
                path.mkdir()
            except FileExistsError:
                n += 1
            else:
                return path
