"""The view ``events`` over the files of a lake that count at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import duckdb

from threatmatrix.model.event import EVENT_COLUMNS
from threatmatrix.telemetry.columns import quote_name
from threatmatrix.telemetry.lake.layout import DayFiles, days_in, list_day, literal

__all__ = [
    "COLUMNS",
    "EMPTY",
    "SCHEMA",
    "from_parquet",
    "load_revisions",
    "make_view",
    "parquet",
    "quoted",
    "snapshot",
]

COLUMNS = ", ".join(map(quote_name, EVENT_COLUMNS))
FOLDER_OF = "regexp_extract(filename, 'day=([0-9-]{10})/[^/]*$', 1)"
"""The day's folder that a row of read_parquet(filename = true) came from."""

_TYPED = ", ".join(f"CAST({quote_name(name)} AS {sql}) AS {quote_name(name)}" for name, sql in EVENT_COLUMNS.items())
SCHEMA = f".schema-{sha256(repr(tuple(EVENT_COLUMNS.items())).encode()).hexdigest()[:16]}.parquet"
"""A file without rows: the columns of this version. Beside it lie those of others."""
EMPTY = f"SELECT {', '.join(f'NULL::{sql} AS {quote_name(name)}' for name, sql in EVENT_COLUMNS.items())} LIMIT 0"
NEAR = 300_000_000
"""µs: how far a newer version of an event may lie from it. A client can send its request id again later: that request
gets the same id, and a version of it must not hide this one."""
SUPERSEDED = f"SELECT 1 FROM _revisions AS r WHERE r.event_id = e.event_id AND abs(r.time - e.time) <= {NEAR}"  # noqa: S608
_REVISED = f"{SUPERSEDED} AND r._folder = e._folder"


def snapshot(root: Path) -> list[DayFiles]:
    """Every day's files that count, in the order of the days. Raises InputError for a damaged manifest."""
    found = (list_day(day, folder) for day, folder in days_in(root))
    return [files for files in found if files is not None]


def quoted(text: str) -> str:
    """A SQL string."""
    return "'" + text.replace("'", "''") + "'"


def parquet(files: Sequence[Path]) -> str:
    """``read_parquet(…)`` over the files, columns by name."""
    names = ", ".join(quoted(literal(path)) for path in files)
    return f"read_parquet([{names}], union_by_name = true, hive_partitioning = false)"


def from_parquet(root: Path, files: Sequence[Path], extra: str = "", where: str = "", *, hidden: bool = False) -> str:
    """A query for EVENT_COLUMNS in their order and types, NULL for columns that no file has.

    ``extra``: more expressions, each with a name, over the files' columns; ``where``: a condition over all of these,
    as ``e``, which the result leaves out where they are ``hidden``. The file without rows that writers leave gives the
    columns; where there is none yet, a union does, but then DuckDB cannot count rows without reading them.
    """
    shape = root / SCHEMA
    rows = f"SELECT *{', ' + extra if extra else ''} FROM {parquet([shape, *files] if shape.exists() else files)}"  # noqa: S608
    if not shape.exists():
        rows = f"({EMPTY}) UNION ALL BY NAME ({rows})"
    named = [] if hidden else [part for part in extra.split(", ") if " AS " in part]
    names = "".join(f", e.{part.rpartition(' AS ')[2]}" for part in named)
    return f"SELECT {_TYPED}{names} FROM ({rows}) AS e{' WHERE ' + where if where else ''}"  # noqa: S608 - names quoted


def load_revisions(
    con: duckdb.DuckDBPyConnection, root: Path, days: Sequence[DayFiles], table: str = "_revisions"
) -> None:
    """A temporary table of the revisions, with ``_folder`` (the day) and whether each is the ``_newest`` of its event.

    They are few. An older one still hides what it revised, however far that lies from the newest.
    """
    files = [path for day in days for path in day.newer]
    rows = from_parquet(root, files, f"{FOLDER_OF} AS _folder, filename AS _file, file_row_number AS _row")
    near = f"abs(n.time - r.time) <= {NEAR} AND (n._file, n._row) > (r._file, r._row)"
    newer = f"SELECT 1 FROM _every AS n WHERE n.event_id = r.event_id AND n._folder = r._folder AND {near}"  # noqa: S608
    con.execute(f"CREATE OR REPLACE TEMP TABLE _every AS {rows}")
    con.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT *, NOT EXISTS ({newer}) AS _newest FROM _every AS r")  # noqa: S608
    con.execute("DROP TABLE _every")


def make_view(con: duckdb.DuckDBPyConnection, root: Path, days: Sequence[DayFiles]) -> None:
    """``events`` with exactly EVENT_COLUMNS. Only days that have revisions pay for them. Opens every file."""
    plain = [path for day in days if not day.revisions for path in day.base]
    revised = [day for day in days if day.revisions]
    queries = [from_parquet(root, plain)] if plain else []
    if revised:
        load_revisions(con, root, revised)
        queries.append(f"SELECT {COLUMNS} FROM _revisions WHERE _newest")  # noqa: S608 - our own names
        if files := [path for day in revised for path in day.base]:
            kept = f"NOT EXISTS ({_REVISED})"
            queries.append(from_parquet(root, files, f"{FOLDER_OF} AS _folder", kept, hidden=True))
    con.execute(f"CREATE VIEW events AS {' UNION ALL '.join(queries) or EMPTY}")
