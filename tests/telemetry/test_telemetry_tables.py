"""CSV and Parquet through a mapping file, whole and broken."""

from __future__ import annotations

import gzip
from pathlib import Path

import duckdb
import pytest

from threatmatrix.model.errors import InputError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.dead_letters import DeadLetterFile
from threatmatrix.telemetry.readers import Options
from threatmatrix.telemetry.readers.mapping_file import parse_mapping
from threatmatrix.telemetry.reading import read_events
from threatmatrix.telemetry.records import MAX_LINE


def read(files: list[Path], mapping: str, letters: DeadLetterFile | None = None) -> list[Event]:
    chosen = Options(mapping=parse_mapping(mapping, "mapping.yaml"))
    return [event for batch in read_events(files, "mapping", letters, options=chosen) for event in batch]


TABLE = """\
format: csv
category: inference
time: {field: ts, unit: iso}
id: id
fields: {principal: who, output_scores: p}
"""


def csv(path: Path, *rows: str, header: str = "id,ts,who,p") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8", newline="")
    return path


def test_csv(tmp_path: Path) -> None:
    log = csv(
        tmp_path / "log.csv",
        '1,2026-01-01T00:00:00Z,ana,"[0.5, 0.5]"',
        "",
        '2,2026-01-01T00:00:01Z,"a ""quoted"", name\nover two lines",',
        "3,2026-01-01T00:00:02Z,li,0.5",
    )
    events = read([log], TABLE)
    assert [event.principal for event in events] == ["ana", 'a "quoted", name\nover two lines', "li"]
    assert [event.output_scores for event in events] == [(0.5, 0.5), None, (0.5,)]
    packed = tmp_path / "log.csv.gz"
    packed.write_bytes(gzip.compress(log.read_bytes().replace(b"\n", b"\r\n")))
    assert [event.event_id for event in read([packed], TABLE)] == ["mapping:1", "mapping:2", "mapping:3"]


def test_batches_of_tables(tmp_path: Path) -> None:
    rows = [f"{n},2026-01-01T00:00:00Z,ana,0.5" for n in range(25)]
    table = parquet(
        tmp_path / "log.parquet", "SELECT i AS id, '2026-01-01' AS ts, 'x' AS who, 1 AS p FROM range(2500) t(i)"
    )
    for log, size in ((csv(tmp_path / "log.csv", *rows), 25), (table, 2500)):
        chosen = Options(mapping=parse_mapping(TABLE, "mapping.yaml"))
        batches = list(read_events([log], batch_size=10, options=chosen))
        assert [len(batch) for batch in batches] == [10] * (size // 10) + [5] * (size % 10 > 0)
        assert [event.event_id for batch in batches for event in batch] == [f"mapping:{n}" for n in range(size)]


def test_csv_that_is_broken_loses_only_what_is_broken(tmp_path: Path) -> None:
    log = csv(
        tmp_path / "log.csv",
        '1,2026-01-01T00:00:00Z,"never closed,',
        "2,2026-01-01T00:00:01Z,ana,",
        "3,2026-01-01T00:00:01Z,ana,,,",
        '4,2026-01-01T00:00:01Z,"a"na,',
        "5,soon,ana,",
        "6,2026-01-01T00:00:02Z,li,",
    )
    letters = DeadLetterFile()
    assert [event.event_id for event in read([log], TABLE, letters)] == ["mapping:2", "mapping:6"]
    assert letters.count == 4


def test_a_quote_that_never_closes_costs_no_memory_and_no_time(tmp_path: Path) -> None:
    rows = ['a","'] * 20_000  # opens a field when it starts a row, and closes and opens one within it
    letters = DeadLetterFile()
    log = csv(tmp_path / "log.csv", *rows, "7,2026-01-01T00:00:02Z,li,")
    assert [event.event_id for event in read([log], TABLE, letters)] == ["mapping:7"]
    assert letters.count == len(rows)


def test_a_row_that_is_too_long(tmp_path: Path) -> None:
    letters = DeadLetterFile()
    log = csv(
        tmp_path / "log.csv", "1,2026-01-01T00:00:00Z," + "x" * (MAX_LINE + 9) + ",", "2,2026-01-01T00:00:00Z,li,"
    )
    assert [event.event_id for event in read([log], TABLE, letters)] == ["mapping:2"]
    assert list(letters.reasons) == ["longer than 10 MiB"]


def test_csv_without_names_of_columns_and_with_another_delimiter(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("2026-01-01T00:00:00Z;ana\n")
    mapping = (
        "format: csv\ndelimiter: ';'\ncolumns: [ts, who]\ncategory: http\ntime: {field: ts}\nfields: {principal: who}\n"
    )
    assert [event.principal for event in read([log], mapping)] == ["ana"]


@pytest.mark.parametrize(
    ("header", "problem"),
    [("id,ts,p", "has no column 'who'"), ("id,ts,who,who", "a name stands there twice"), ('"id', "does not name")],
)
def test_a_header_that_does_not_fit_is_refused(tmp_path: Path, header: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read([csv(tmp_path / "log.csv", "1", header=header)], TABLE)


def parquet(path: Path, query: str) -> Path:
    with duckdb.connect() as con:
        con.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return path


def test_parquet(tmp_path: Path) -> None:
    log = parquet(
        tmp_path / "log.parquet",
        "SELECT i AS id, TIMESTAMPTZ '2026-01-01 00:00:00+00' + to_seconds(i) AS ts, 'ana' AS who, "
        "CASE WHEN i = 1 THEN 'NaN'::DOUBLE ELSE 0.5 END AS p, 1.5::DECIMAL(9,2) AS d FROM range(2500) t(i)",
    )
    mapping = TABLE.replace("csv", "parquet")
    letters = DeadLetterFile()
    events = read([log], mapping, letters)
    assert len(events) == 2500
    assert [event.time for event in events[:2]] == [1_767_225_600_000_000, 1_767_225_601_000_000]
    assert [event.output_scores for event in events[:2]] == [(0.5,), None]
    assert letters.count == 0
    with pytest.raises(InputError, match="only the source 'mapping'"):
        list(read_events([log], "nginx"))


def test_damaged_parquet_is_never_clean(tmp_path: Path) -> None:
    log = parquet(tmp_path / "log.parquet", "SELECT 1 AS id, '2026-01-01' AS ts, 'x' AS who, 0.5 AS p")
    log.write_bytes(log.read_bytes()[:-20])
    with pytest.raises(InputError, match="damaged Parquet"):
        read([log], TABLE)
    packed = tmp_path / "log.parquet.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    with pytest.raises(InputError, match="only be read from a plain file"):
        read([packed], TABLE)
