"""What stands where in a lake, and a listing of it that is right at one moment.

::

    day=2026-01-31/
        part-<ulid>.parquet               as a writer left it
        part-id-<32 hex>.parquet          the same, written under an id: the name says which
        revision-<20 digits>-….parquet    newer versions of events; they win by event_id, near in time
        merged-<ulid>.parquet             made by a compaction; counts only where the manifest names it
        manifest.json                     which merged parts count, which files are replaced
        ids-<ulid>.txt                    the ids that merged parts hold
    erasures.json, .lock, .<ulid>.writer, .<ulid>-….tmp

A compaction flips from many parts to one with the rename of the manifest. A reader reads the manifest, lists
the folder, reads the manifest again, and starts over where it changed: what it lists stood there at one moment.
Any other name, a link, a folder where a file should be: ignored.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from threatmatrix.model.errors import InputError

__all__ = ["DAY", "DayFiles", "Manifest", "Merged", "absorbed", "day_name", "days_in", "fresh_name", "list_day"]

DAY = 86_400_000_000  # µs
MANIFEST = "manifest.json"

_DAY = re.compile(r"day=(\d{4}-\d\d-\d\d)")
_PART = re.compile(r"part-[A-Za-z0-9._-]{1,100}\.parquet")
_REVISION = re.compile(r"revision-(\d{20})-(id-[0-9a-f]{32}|[0-9A-Z]{26})\.parquet")
_MERGED = re.compile(r"merged-[0-9A-Z]{26}\.parquet")
_IDS = re.compile(r"ids-[0-9A-Z]{26}\.txt")
_ID_PART = re.compile(r"part-id-[0-9a-f]{32}\.parquet")
_OLD_SCHEMA = "part-00000000000000000000000000.parquet"  # without rows; an older version put it there
_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's, as in ULIDs: sorts like the number
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).date()
_FIRST, _LAST = (date.min - _EPOCH).days, (date.max - _EPOCH).days
_TRIES = 100


@dataclass(frozen=True, slots=True)
class Merged:
    """One part that a compaction made; times in µs, both included."""

    name: str
    events: int
    bytes: int
    first: int | None  # None: some event has no time (a foreign part)
    last: int | None
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a day's merged parts are. ``retired`` files may still lie there; they no longer count."""

    parts: tuple[Merged, ...] = ()
    retired: frozenset[str] = frozenset()
    ids: str = ""  # the file that names the ids that the parts hold
    erasures: int = 0  # how many of the lake's erasures the parts have seen
    written: int = 0  # µs, by the clock

    def text(self) -> str:
        return json.dumps({"format": 1, **asdict(self), "retired": sorted(self.retired)}, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class DayFiles:
    """One day's files that count, at one moment."""

    day: str
    folder: Path
    manifest: Manifest
    fresh: tuple[str, ...]  # parts, oldest name first
    revisions: tuple[str, ...]  # oldest first
    other: tuple[str, ...] = field(default=())  # merged parts and files of ids that the manifest does not name

    @property
    def base(self) -> list[Path]:
        """Every part but the revisions."""
        return [self.folder / name for name in (*(part.name for part in self.manifest.parts), *self.fresh)]

    @property
    def newer(self) -> list[Path]:
        """The parts with revisions."""
        return [self.folder / name for name in self.revisions]


def day_name(number: int) -> str:
    """The folder of a day, by its number since 1970-01-01; a time beyond the calendar lies in its first or last day."""
    return f"day={_EPOCH + timedelta(days=min(max(number, _FIRST), _LAST))}"


def ulid() -> str:
    """26 characters: milliseconds, then 80 random bits; names sort by the time of writing."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "".join(_BASE32[number >> shift & 31] for shift in range(125, -1, -5))


def fresh_name(part: str) -> str:
    """The name of a part; the same ``part`` id always gives the same name."""
    return f"part-{_tail(part)}.parquet"


def revision_name(sequence: int, part: str) -> str:
    return f"revision-{sequence:020}-{_tail(part)}.parquet"


def _tail(part: str) -> str:
    if not part:
        return ulid()
    return "id-" + hashlib.sha256(part.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def id_of(name: str) -> str:
    """What of a file's name stays in the list of ids: ``part-id-…``, ``revision-id-…``; empty where it had no id."""
    if _ID_PART.fullmatch(name):
        return name.removesuffix(".parquet")
    found = _REVISION.fullmatch(name)
    return f"revision-{found[2]}" if found and found[2].startswith("id-") else ""


def next_sequence(files: DayFiles | None) -> int:
    """Greater than that of every revision in the folder; the clock in ns where that is greater still."""
    last = max(
        (int(found[1]) for name in (files.revisions if files else ()) if (found := _REVISION.match(name))), default=0
    )
    return max(time.time_ns(), last + 1)


def days_in(root: Path) -> Iterator[tuple[str, Path]]:
    """(``YYYY-MM-DD``, folder) of every day, in order. A lake that is not there has none."""
    try:
        with os.scandir(root) as entries:
            found = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return
    for name in found:
        if (match := _DAY.fullmatch(name)) and _is_date(match[1]):
            yield match[1], root / name


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def list_day(day: str, folder: Path) -> DayFiles | None:
    """The files that count, or None where the folder is gone. Raises InputError for a manifest that cannot be read."""
    for _ in range(_TRIES):
        before, manifest = signature(folder), read_manifest(folder)
        try:
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            return None
        held = _held(folder, manifest, names)
        if signature(folder) == before and held is not None:
            return _sorted_out(day, folder, manifest, names, held)
    raise InputError(folder, "changes faster than it can be listed", hint="Try again when the compaction is over")


def signature(folder: Path) -> tuple[int, int, int] | None:
    """Of a day's manifest: differs after every change; None where there is none."""
    try:
        stat = (folder / MANIFEST).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def read_manifest(folder: Path) -> Manifest:
    """Raises InputError for one that cannot be read."""
    return _manifest(folder / MANIFEST, _read(folder / MANIFEST))


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _held(folder: Path, manifest: Manifest, names: Iterable[str]) -> frozenset[str] | None:
    """The ids in merged parts, read only where a file lies there that could be one; None: the list just went."""
    if not manifest.ids or not any(id_of(name) for name in names):
        return frozenset()
    return absorbed(folder, manifest)


def absorbed(folder: Path, manifest: Manifest) -> frozenset[str] | None:
    """The ids that merged parts hold; None where their list is gone (a newer manifest names another)."""
    if not manifest.ids:
        return frozenset()
    raw = _read(folder / manifest.ids)
    return None if raw is None else frozenset(raw.decode("ascii", "replace").split())


def _sorted_out(day: str, folder: Path, manifest: Manifest, names: list[str], held: frozenset[str]) -> DayFiles:
    fresh, revisions, other = [], [], []
    known = {part.name for part in manifest.parts} | {manifest.ids}
    for name in names:
        gone = name in manifest.retired or id_of(name) in held - {""}
        if _PART.fullmatch(name) and name != _OLD_SCHEMA and not gone:
            fresh.append(name)
        elif _REVISION.fullmatch(name) and not gone:
            revisions.append(name)
        elif (_MERGED.fullmatch(name) or _IDS.fullmatch(name)) and name not in known:
            other.append(name)
        elif gone and name not in manifest.retired:
            other.append(name)  # written once more by a writer that had not seen the compaction
    return DayFiles(day, folder, manifest, tuple(fresh), tuple(revisions), tuple(other))


def _manifest(path: Path, raw: bytes | None) -> Manifest:
    if raw is None:
        return Manifest()
    try:
        data = json.loads(raw)
        parts = tuple(_merged(item) for item in data["parts"])
        names = frozenset(map(str, data["retired"]))
        if data["format"] != 1 or (data["ids"] and not _IDS.fullmatch(data["ids"])):
            raise ValueError
        return Manifest(parts, names, str(data["ids"]), int(data["erasures"]), int(data["written"]))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        hint = "Restore it from a backup; without it the day's merged parts do not count"
        raise InputError(path, "is not a manifest of this version", hint=hint) from error


def _merged(item: dict[str, Any]) -> Merged:
    found = Merged(**{**item, "sources": tuple(map(str, item["sources"]))})
    if not _MERGED.fullmatch(found.name):
        raise ValueError(found.name)
    return found


def literal(path: Path) -> str:
    """The path with the signs of a glob pattern made literal: DuckDB expands those in lists, too."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(path))
