"""Where threatmatrix keeps what it learns: one folder, ``.threatmatrix`` unless told otherwise."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from threatmatrix.model.errors import StoreError

if TYPE_CHECKING:
    from threatmatrix.store import Store
    from threatmatrix.telemetry.inputs.keys import Keyring
    from threatmatrix.telemetry.lake import Lake

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
    def matrices(self) -> Path:
        """Imported matrices, a file for each version."""
        return self.root / "matrices"

    @property
    def library(self) -> Path:
        """Imported contributions: a directory laid over the built-in library."""
        return self.root / "library"

    @property
    def lake(self) -> Path:
        """Events at rest."""
        return self.root / "lake"

    @property
    def watches(self) -> Path:
        """The journals and snapshots of `watch`, a folder for each."""
        return self.root / "watch"

    @property
    def replays(self) -> Path:
        return self.root / "replays"

    @property
    def emulations(self) -> Path:
        return self.root / "emulations"

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

    def open_lake(self) -> Lake:
        """The lake of this installation; its folder is made with the first event."""
        from threatmatrix.telemetry.lake import Lake

        return Lake(self.lake)

    @property
    def keys(self) -> Path:
        """The keys that inputs are fingerprinted under (``workflows.keys``)."""
        return self.root / "keys.json"

    @property
    def _old_secret(self) -> Path:
        """Where releases before key rotation kept their only key."""
        return self.root / "secret.key"

    def has_keys(self) -> bool:
        """Whether there is a key already, in the file of today or of an older release."""
        return self.keys.exists() or self._old_secret.exists()

    def keyring(self) -> Keyring:
        """The keys that inputs are fingerprinted under; one is made where there is none, the old file is taken over.

        Raises InputError for a file that cannot be read or that others may use, FormatError for a damaged one: a key
        is never replaced in silence, for what was fingerprinted under it could not be compared any more.
        """
        from threatmatrix.telemetry.inputs.keyfile import (
            KeptKey,
            create_keys,
            keyring_of,
            new_key,
            read_keys,
            read_old_secret,
        )

        if not self.keys.exists():
            self.ensure()
            old = self._old_secret
            first = read_old_secret(old) if old.exists() else new_key(1, time.time_ns() // 1000)
            create_keys(self.keys, (KeptKey(first),))
            old.unlink(missing_ok=True)
        return keyring_of(read_keys(self.keys))

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
