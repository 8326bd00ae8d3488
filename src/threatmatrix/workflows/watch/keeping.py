"""The folder of one watch: its journal, its snapshot, its dead letters."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from threatmatrix.model.errors import FormatError, StoreError, UsageError
from threatmatrix.telemetry.following.base import Position
from threatmatrix.workflows.home import Home
from threatmatrix.workflows.watch.durable import write_whole
from threatmatrix.workflows.watch.journal import Batch, Journal
from threatmatrix.workflows.watch.letters import Letters
from threatmatrix.workflows.watch.snapshot import load_snapshot, save_snapshot

__all__ = ["Keeper"]

VERSION = 1
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)


class Keeper:
    """What outlives the process. ``number`` is of the newest batch, ``saved`` of the one that the snapshot is after."""

    def __init__(self, home: Home, name: str) -> None:
        """Raises UsageError for a name that cannot be one, StoreError where the folder cannot be made."""
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} cannot name a watch", hint="Use small letters, digits and -, at most 40")
        home.ensure()
        self.folder = home.watches / name
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"{self.folder}: cannot be made ({error.strerror})", hint="Name another folder with --home"
            ) from error
        self.origin = _origin(self.folder / "origin")
        self.journal = Journal(self.folder)
        self.letters = Letters(self.folder / "dead-letters.jsonl")
        self.number = self.saved = 0
        self.letters_size = 0
        self.positions: dict[str, dict[str, Any]] = {}

    def load(self) -> Mapping[str, Any] | None:
        """The state of the newest snapshot, or None where there is none yet. Raises FormatError."""
        kept = load_snapshot(self._snapshot)
        if kept is None:
            return None
        if kept.get("v") != VERSION:
            raise FormatError(self._snapshot, "is of another version", hint="Use the version that wrote it")
        self.number = self.saved = kept["number"]
        self.letters_size = kept["letters"]
        self.positions = json.loads(kept["positions"])
        state: Mapping[str, Any] = kept["state"]
        return state

    def unsaved(self) -> Iterator[Batch]:
        """The batches that came after the snapshot, oldest first. Raises FormatError."""
        for batch in self.journal.read(self.saved):
            if batch.number != self.number + 1:
                raise FormatError(self.folder, f"batch {self.number + 1} is missing", hint="Restore it from a backup")
            self.take(batch)
            yield batch

    def take(self, batch: Batch) -> None:
        """A batch that is in the journal."""
        self.number = batch.number
        self.letters_size = batch.letters
        for source, moved in batch.positions.items():
            self.positions.setdefault(source, {}).update(moved)

    def save(self, state: Mapping[str, Any]) -> int:
        """Write the snapshot after the newest batch; gives its size. Raises OSError."""
        size = save_snapshot(
            self._snapshot,
            {
                "v": VERSION,
                "number": self.number,
                "letters": self.letters_size,
                "positions": json.dumps(self.positions),  # keys are paths, and may begin with anything
                "state": state,
            },
        )
        self.saved = self.number
        return size

    def trim(self) -> None:
        """Remove the batches that the snapshot holds. Raises OSError."""
        self.journal.trim(self.saved)

    def position(self, source: str) -> Position:
        return self.positions.get(source, {})

    def close(self) -> None:
        self.letters.close()

    @property
    def _snapshot(self) -> Path:
        return self.folder / "snapshot.npz"


def _origin(path: Path) -> str:
    """Eight characters that tell this journal from one of the same name that was removed: its parts are others."""
    try:
        if not path.exists():
            write_whole(path, (secrets.token_hex(4).encode("ascii"),))
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: cannot be read or made", hint="Free some space, or name another --home") from error
