"""Records inside records: an object within an object, and one document that holds many records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.readers.base import Where, reject
from threatmatrix.telemetry.readers.paths import clean_path

__all__ = ["Gathering", "PartlyRead", "checked", "first_text", "listed", "part", "path_of"]

_MOST_REFUSED = 1000  # records of a document that are named one by one; a document of rubbish costs no more than these
_LONGEST_PATH = 8192  # characters, more than servers take: an application may log what no server would


class PartlyRead(FormatError):
    """Of a document with many records some could not be read.

    ``events`` are those of the others; ``refused`` has the first records that failed (one or more), each with its own
    error, and ``more`` says how many there were besides.
    Whoever does not know this class sees a :class:`FormatError` for the whole document, so that nothing is passed over
    in silence.
    """

    def __init__(
        self, where: Where, events: Sequence[Event], refused: Sequence[tuple[Any, FormatError]], more: int = 0
    ) -> None:
        first = refused[0][1].message.removeprefix(f"{where.file}:{where.line}: ")
        super().__init__(where.file, f"{len(refused) + more} of its records cannot be read: {first}", line=where.line)
        self.events = tuple(events)
        self.refused = tuple(refused)
        self.more = more


class Gathering:
    """The events of a document that holds many records; one that fails does not hide the others."""

    def __init__(self, where: Where) -> None:
        self._where = where
        self._events: list[Event] = []
        self._refused: list[tuple[Any, FormatError]] = []
        self._more = 0  # that were refused beyond those kept

    @contextmanager
    def record(self, place: str, record: Any) -> Iterator[list[Event]]:
        """Take the events of one record, which stands at ``place``; an error is kept under that place."""
        found: list[Event] = []
        try:
            yield found
        except FormatError as error:
            problem = error.message.removeprefix(f"{error.file}:{error.line}: ").removeprefix(f"{error.key}: ")
            self._refuse(f"{place}.{error.key}" if error.key else place, record, problem)
        except RecursionError:
            self._refuse(place, record, "nested too deeply")
        else:
            self._events += found

    def events(self) -> Sequence[Event]:
        """All of them. Raises :class:`PartlyRead` where some records failed."""
        if self._refused:
            raise PartlyRead(self._where, self._events, self._refused, self._more)
        return self._events

    def _refuse(self, key: str, record: Any, problem: str) -> None:
        if len(self._refused) < _MOST_REFUSED:
            self._refused.append((record, reject(self._where, key, problem)))
        else:
            self._more += 1


def part(obj: Mapping[str, Any], where: Where, key: str) -> Mapping[str, Any]:
    """The object under ``key``; empty where there is none. Raises FormatError for anything else."""
    value = obj.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise reject(where, key, "must be an object")
    return value


def listed(obj: Mapping[str, Any], where: Where, key: str) -> Iterable[tuple[str, Any]]:
    """What the list under ``key`` holds, each with its place; nothing where there is no such key.

    Raises FormatError where it is no list. What it holds is not looked at: see :func:`checked`.
    """
    value = obj.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise reject(where, key, "must be a list")
    return ((f"{key}[{index}]", item) for index, item in enumerate(value))


def checked(record: object, where: Where) -> Mapping[str, Any]:
    """A record that is an object. Raises FormatError for anything else."""
    if not isinstance(record, dict):
        raise reject(where, "", "must be an object")
    return record


def first_text(obj: object, *keys: str) -> str | None:
    """The first of ``keys`` that is a text and says something, where a wrong type is no reason to refuse a record."""
    if isinstance(obj, dict):
        for key in keys:
            value = obj.get(key)
            if isinstance(value, str) and value not in ("", "-"):
                return value
    return None


def path_of(target: str | None) -> str | None:
    """The clean path of a request target that an application wrote; one that is longer than any server takes is cut."""
    return None if target is None else clean_path(target[:_LONGEST_PATH])
