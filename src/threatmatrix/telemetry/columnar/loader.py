"""One chunk of a log → a table of events, resolved; what failed; how many lines went which way."""

# ruff: noqa: S608 - of the log only names that plan.KEY allows stand in SQL, quoted, and lists of quoted texts

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import duckdb
import numpy as np

from threatmatrix.model.errors import RunError
from threatmatrix.model.event import EVENT_COLUMNS, DeadLetter, Event
from threatmatrix.telemetry.columnar.chunks import Chunk, for_reading
from threatmatrix.telemetry.columnar.plans import plan_for
from threatmatrix.telemetry.columnar.scratch import Scratch
from threatmatrix.telemetry.columnar.shapes import MOST_KEYS, Shapes
from threatmatrix.telemetry.columnar.sql import read_lines, typed
from threatmatrix.telemetry.columnar.told import join_told, resolve
from threatmatrix.telemetry.columns import quote_name as q
from threatmatrix.telemetry.columns import to_table
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.readers import NOTHING_ASKED, Options, Reader
from threatmatrix.telemetry.records import LineParser
from threatmatrix.telemetry.systems import Resolver

__all__ = ["ChunkLoader", "Loaded"]

_MEMORY = "192MB"
_MOST_VARIANTS = 8
_MOST_SHAPES = 1024
_WORTH_LEARNING = 500  # of so many lines one may go through the reader before its shape is looked at
_SAMPLE = 4096  # lines that are looked at for new shapes at a time
_NEWLINE = 10
_COLUMNS = ", ".join(map(q, EVENT_COLUMNS))
_DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a chunk. ``table`` is a view of the loader's connection with EVENT_COLUMNS."""

    table: str
    events: int
    by_reader: int  # of the lines: how many the reader itself had to read
    passed: int
    letters: tuple[DeadLetter, ...]
    days: tuple[int, ...]  # of the events, as numbers since 1970-01-01


class _Letters(DeadLetterFile):
    """Keeps dead letters until the chunk's turn comes."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[DeadLetter] = []

    def add(self, letter: DeadLetter) -> None:
        self.kept.append(letter)


class ChunkLoader:
    """Loads chunks of one log format. Has its own DuckDB, one thread of it: not to be shared between threads.

    ``options`` are those that the reader was told.
    """

    def __init__(self, reader: Reader, resolver: Resolver | None = None, options: Options = NOTHING_ASKED) -> None:
        self._reader = reader
        self._resolver = resolver
        plan = plan_for(reader, options)
        self._shapes = Shapes(plan) if plan is not None else None
        self._main: frozenset[str] | None = None  # the variant of most lines, as the first chunk had it
        self._checking = False
        self._scratch = Scratch()
        self.con = duckdb.connect(config={"threads": 1, "memory_limit": _MEMORY})
        self.con.execute("SET enable_progress_bar = false")  # it would print

    def close(self) -> None:
        """Free the memory of the last chunk."""
        self.con.close()
        self._scratch.close()

    def load(self, chunk: Chunk, file: str, *, torn: bool = False) -> Loaded:
        """Read a chunk of ``file``. ``torn``: its last line is cut off by damage and becomes a dead letter.

        Raises RunError, which quotes nothing, where DuckDB or the machine fails.
        """
        try:
            return self._load(chunk, file, torn=torn)
        except (duckdb.Error, OSError) as error:
            hint = "Is memory short? What was written stays; run it again with fewer workers"
            raise RunError(f"{file}: from line {chunk.first}: {type(error).__name__}", hint=hint) from error

    def _load(self, chunk: Chunk, file: str, *, torn: bool) -> Loaded:
        others: Sequence[int] = range(1, chunk.lines + 1)
        if self._shapes is not None:
            with suppress(duckdb.Error):  # whatever it was, the reader can read every line
                others = self._fast(chunk)
        letters = _Letters()
        parser = LineParser(self._reader, file, letters)
        events: list[Event] = []
        for number, raw in _lines(chunk.data, others):
            if torn and number == chunk.lines:
                parser.letter(raw, chunk.first + number - 1, "cut off: the file ends in the middle of this line")
            else:
                parser.line(raw, chunk.first + number - 1, events)
        if self._resolver is not None:
            events = [self._resolver.resolve(event) for event in events]
        self.con.execute("DROP TABLE IF EXISTS by_reader")
        to_table(self.con, "by_reader", events)
        self._unite(len(others) < chunk.lines, bool(events))
        days = self.con.execute(f"SELECT DISTINCT time // {_DAY} FROM part").fetchall()
        count = chunk.lines - len(others) + len(events)
        found = tuple(sorted(day for (day,) in days))
        return Loaded("part", count, len(others), parser.passed, tuple(letters.kept), found)

    def _unite(self, fast: bool, by_reader: bool) -> None:
        """The view ``part`` over what came both ways."""
        queries = []
        if fast:
            source = "sure" if self._resolver is None else resolve(self.con, "sure", self._resolver)
            queries.append(f"SELECT {_COLUMNS} FROM {source}")
        if by_reader or not fast:
            queries.append(f"SELECT {_COLUMNS} FROM by_reader")
        self.con.execute(f"CREATE OR REPLACE TEMP VIEW part AS {' UNION ALL '.join(queries)}")

    def _fast(self, chunk: Chunk) -> Sequence[int]:
        """Fill ``sure``; returns the numbers of the lines that are not in it."""
        assert self._shapes is not None
        self._forget()
        data = for_reading(chunk.data)
        self._scratch.put([data])
        everything = range(1, chunk.lines + 1)
        size = len(data) + 1
        if self._main is None:
            self._learn(self._shapes, size, "true")
        if self._main is None:
            return everything
        self._type(self._shapes, self._main, size)
        lines, doubtful = self._row("SELECT count(*), count(*) FILTER (NOT _ok) FROM fast")
        if lines != chunk.lines:
            return everything  # not seen to happen; the reader is right in any case
        if doubtful > chunk.lines // _WORTH_LEARNING:
            self._learn(self._shapes, size, "_n IN (SELECT _n FROM fast WHERE NOT _ok)")
        join_told(self.con, self._shapes.plan)
        missing = f"SELECT _n FROM range(1, {chunk.lines + 1}) AS every(_n) ANTI JOIN sure USING (_n) ORDER BY _n"
        return [number for (number,) in self.con.execute(missing).fetchall()]

    def _type(self, shapes: Shapes, variant: frozenset[str], size: int) -> None:
        """All lines → ``fast``. That they are JSON is checked beforehand only once a line has turned out not to be."""
        for checked in (True,) if self._checking else (False, True):
            lines = read_lines(self._scratch.path, size, checked=checked)
            try:
                self.con.execute(f"CREATE OR REPLACE TEMP TABLE fast AS {typed(shapes, variant, f'({lines})')}")
                return
            except duckdb.InvalidInputException:
                self._checking = True
        raise AssertionError("checked lines are JSON")

    def _learn(self, shapes: Shapes, size: int, which: str) -> None:
        """Look at the shapes of some lines; where there is ``fast`` already, add those that have become certain."""
        lines = read_lines(self._scratch.path, size, checked=True)
        self.con.execute(
            f"CREATE OR REPLACE TEMP TABLE rest AS SELECT * FROM ({lines}) WHERE line IS NOT NULL AND {which}"
        )
        found = self.con.execute(
            "SELECT _keys, _types, count(*) AS _count FROM (SELECT json_keys(line) AS _keys, "
            f"json_type(line, '$.*') AS _types FROM (SELECT line FROM rest LIMIT {_SAMPLE})) "
            f"WHERE len(_keys) <= {MOST_KEYS} GROUP BY ALL ORDER BY _count DESC, _keys, _types LIMIT {_MOST_SHAPES}"
        ).fetchall()
        known = {variant: len(listed) for variant, listed in shapes.certain.items()}
        variants = dict.fromkeys(shapes.learn(keys, types) for keys, types, _ in found)
        certain = [variant for variant in variants if variant is not None][:_MOST_VARIANTS]
        if self._main is None:
            self._main = certain[0] if certain else None
            return
        for variant in certain:
            if variant != self._main or len(shapes.certain[variant]) > known.get(variant, 0):
                self.con.execute(f"INSERT INTO fast {typed(shapes, variant, 'rest')}")

    def _forget(self) -> None:
        """Free what the last chunk needed."""
        for view in ("part", "resolved", "at_place"):
            self.con.execute(f"DROP VIEW IF EXISTS {view}")
        told = bool(self._shapes and self._shapes.plan.told)
        self.con.execute(f"DROP {'TABLE' if told else 'VIEW'} IF EXISTS sure")
        self.con.execute("DROP TABLE IF EXISTS fast")

    def _row(self, query: str) -> tuple[int, int]:
        first, second = self.con.execute(query).fetchall()[0]
        return int(first), int(second)


def _lines(data: bytes, numbers: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Some lines, by their numbers from 1, without their newlines."""
    if not numbers:
        return
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == _NEWLINE)
    for number in numbers:
        start = int(ends[number - 2]) + 1 if number > 1 else 0
        yield number, data[start : int(ends[number - 1]) if number <= len(ends) else len(data)]
