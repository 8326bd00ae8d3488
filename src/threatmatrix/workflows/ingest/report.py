"""What an ingest says of itself, while it runs and afterwards."""

from __future__ import annotations

from dataclasses import dataclass

from threatmatrix.model.errors import InputError

__all__ = ["FileReport", "IngestProgress", "IngestReport"]


@dataclass(frozen=True, slots=True)
class IngestProgress:
    """How far it has come. ``rate``: events per second, over the whole run."""

    file: str
    bytes_read: int  # of this file, as it lies on disk
    bytes_total: int | None  # None for standard input
    events: int  # these three: all files, this run
    dead_letters: int
    rate: float
    doing: str = "reading"  # or "joining"


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file. ``events`` were written; ``known`` were found to be in the lake already, ``skipped`` bytes of its text
    were not even read because an earlier run had; ``passed`` records hold nothing of interest; ``by_reader`` lines
    took the slow way.
    """

    file: str
    source: str
    events: int = 0
    known: int = 0
    skipped: int = 0
    dead_letters: int = 0
    passed: int = 0
    by_reader: int = 0

    @property
    def is_known(self) -> bool:
        """Whether all of it was in the lake already."""
        return not (self.events or self.dead_letters or self.passed) and bool(self.known or self.skipped)


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What came of an ingest.

    ``days`` (YYYY-MM-DD) are those touched; ``joined`` records went into the event of another record, ``repeats`` were
    exact repeats. ``unreadable``: a file that broke off; what stands before the break is in the lake.
    """

    files: tuple[FileReport, ...]
    days: tuple[str, ...]
    joined: int
    repeats: int
    seconds: float
    unreadable: InputError | None = None

    @property
    def events(self) -> int:
        return sum(file.events for file in self.files)

    @property
    def known(self) -> int:
        return sum(file.known for file in self.files)

    @property
    def dead_letters(self) -> int:
        return sum(file.dead_letters for file in self.files)

    @property
    def passed(self) -> int:
        return sum(file.passed for file in self.files)

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.seconds if self.seconds else 0.0
