"""A day in pieces that fit into memory, cut by time, whatever order its parts are in.

DuckDB's own sort of wide rows does not stay within a small memory limit (measured: 10M events at 256 MB fail), so a
day is read piece by piece. Parquet's row groups say which times they hold; a part whose rows are in no order would be
read again for every piece, so such parts are first written out once as sorted runs (an external merge sort).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from threatmatrix.telemetry.lake.layout import literal
from threatmatrix.telemetry.lake.reading import from_parquet, quoted
from threatmatrix.telemetry.lake.staging import Staging
from threatmatrix.telemetry.lake.writing import copy_out, floor_div

__all__ = ["Group", "Slice", "cut", "groups_of", "overlapping", "rows_per_slice", "seconds", "sorted_runs"]

_SECOND = 1_000_000
_MOST_ROWS = 250_000
_LEAST_ROWS = 1_000
_BYTES = 48 * 1024 * 1024  # of a slice, as Parquet counts them before compression; in memory it is a few times that
_READ_TIMES = 3  # a part that would be decoded more often than this is sorted first
_GROUP = 2048  # rows: the smallest row group that DuckDB writes


@dataclass(frozen=True, slots=True)
class Group:
    """One row group: times in µs, None where it does not say."""

    file: Path
    rows: int
    bytes: int
    first: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class Slice:
    """Events of ``start`` ≤ time < ``end``; of one crowded second, those whose id falls into ``share`` of ``of``."""

    start: int | None  # None: events without a time
    end: int | None
    share: int = 0
    of: int = 1

    @property
    def condition(self) -> str:
        time = "time IS NULL" if self.start is None else f"time >= {self.start} AND time < {self.end}"
        return time if self.of == 1 else f"{time} AND hash(event_id) % {self.of} = {self.share}"

    def touches(self, group: Group) -> bool:
        if self.start is None or self.end is None or group.first is None or group.last is None:
            return True
        return group.first < self.end and group.last >= self.start


def groups_of(con: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> list[Group]:
    """The row groups of some parts, as their footers have them."""
    if not files:
        return []
    names = {str(path): path for path in files}
    listed = ", ".join(quoted(literal(path)) for path in files)
    value = "max(CASE WHEN path_in_schema = 'time' THEN try_cast(coalesce(stats_{0}_value, stats_{0}) AS BIGINT) END)"
    rows = con.execute(
        f"SELECT file_name, any_value(row_group_num_rows), sum(total_uncompressed_size), {value.format('min')}, "  # noqa: S608
        f"{value.format('max')}, max(CASE WHEN path_in_schema = 'time' THEN stats_null_count END) "
        f"FROM parquet_metadata([{listed}]) GROUP BY file_name, row_group_id ORDER BY file_name, row_group_id"
    ).fetchall()
    return [
        Group(names[name], int(count or 0), int(size or 0), *((None, None) if nulls else (first, last)))
        for name, count, size, first, last, nulls in rows
    ]


def rows_per_slice(groups: Sequence[Group]) -> int:
    """How many rows fit: fewer where rows are wide."""
    rows, size = sum(group.rows for group in groups), sum(group.bytes for group in groups)
    return max(_LEAST_ROWS, min(_MOST_ROWS, _BYTES * rows // max(size, 1))) if rows else _MOST_ROWS


def seconds(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple[int | None, int]]:
    """(second since 1970, events) in order; None for those without a time."""
    number = floor_div("time", _SECOND)
    return con.execute(f"SELECT {number} AS s, count(*) FROM ({query}) GROUP BY s ORDER BY s NULLS FIRST").fetchall()  # noqa: S608


def cut(counts: Sequence[tuple[int | None, int]], most: int, edges: Sequence[int]) -> Iterator[Slice]:
    """Slices of at most ``most`` events (but for one second's worth of share), none of which crosses an edge (µs)."""
    start: int | None = None
    end = held = 0
    for second, count in counts:
        if second is None or count > most:
            if start is not None:
                yield Slice(start, end)
                start, held = None, 0
            of = -(-count // most)
            from_, to = (None, None) if second is None else (second * _SECOND, (second + 1) * _SECOND)
            yield from (Slice(from_, to, share, of) for share in range(of))
            continue
        at = second * _SECOND
        if start is not None and (held + count > most or _edge_between(edges, end, at)):
            yield Slice(start, end)
            start, held = None, 0
        start, end, held = at if start is None else start, at + _SECOND, held + count
    if start is not None:
        yield Slice(start, end)


def _edge_between(edges: Sequence[int], after: int, until: int) -> bool:
    return bisect_right(edges, until) > bisect_left(edges, after - _SECOND)


def overlapping(groups: Sequence[Group], piece: Slice) -> list[Path]:
    """The parts that a slice must be read from."""
    return list(dict.fromkeys(group.file for group in groups if piece.touches(group)))


def sorted_runs(
    con: duckdb.DuckDBPyConnection, staging: Staging, groups: Sequence[Group], slices: Sequence[Slice], most: int
) -> tuple[list[Group], list[Path]]:
    """The groups to read slices from, and the temporary files among their parts."""
    read = dict.fromkeys((group.file for group in groups), 0)
    rows = dict.fromkeys(read, 0)
    bounds = [piece for piece in slices if piece.start is not None and piece.share == 0]
    starts, ends = [piece.start or 0 for piece in bounds], [piece.end or 0 for piece in bounds]
    for group in groups:
        low = 0 if group.first is None else bisect_right(ends, group.first)
        high = len(starts) if group.last is None else bisect_right(starts, group.last)
        read[group.file] += group.rows * max(high - low, 1)
        rows[group.file] += group.rows
    wild = [file for file in rows if read[file] > _READ_TIMES * rows[file]]
    if not wild:
        return list(groups), []
    size = max(_GROUP, most // max(len(slices), 1) // _GROUP * _GROUP)
    runs: list[Path] = []
    for chosen in _batches(wild, rows, most):
        runs.append(staging.path())
        copy_out(con, f"{_chunk(staging.root, chosen)} ORDER BY time", runs[-1], group=size)
    return [group for group in groups if group.file not in set(wild)] + groups_of(con, runs), runs


def _batches(files: Sequence[Path], rows: dict[Path, int], most: int) -> Iterator[tuple[list[Path], int, int]]:
    """(files, first row, end row): small files together, a large one in chunks."""
    waiting: list[Path] = []
    held = 0
    for file in files:
        if rows[file] > most:
            yield from (([file], low, low + most) for low in range(0, rows[file], most))
        else:
            if waiting and held + rows[file] > most:
                yield waiting, 0, held
                waiting, held = [], 0
            waiting.append(file)
            held += rows[file]
    if waiting:
        yield waiting, 0, held


def _chunk(root: Path, chosen: tuple[list[Path], int, int]) -> str:
    files, low, high = chosen
    if len(files) > 1:
        return from_parquet(root, files)
    return from_parquet(root, files, "file_row_number AS _row", f"e._row >= {low} AND e._row < {high}", hidden=True)
