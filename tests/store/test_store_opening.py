"""Opening: a new store, an old one, and what is no store of ours."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from threatmatrix.model.errors import StoreError
from threatmatrix.store import open_store
from threatmatrix.store.migrate import config_for
from threatmatrix.store.schema import REVISION, VERSION_TABLE, metadata


def open_and_close(path: Path) -> None:
    open_store(path).close()


def test_a_new_store_is_durable_and_has_every_table(tmp_path: Path) -> None:
    with open_store(tmp_path / "100 % new" / "deep" / "store.db") as store:

        def pragmas(connection: object) -> list[object]:
            return [connection.exec_driver_sql(f"PRAGMA {p}").scalar() for p in wanted]  # type: ignore[attr-defined]

        wanted = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        assert store.database.read(pragmas) == ["wal", 2, 1, 10000]
        tables = store.database.read(lambda connection: set(inspect(connection).get_table_names()))
        assert tables == {*metadata.tables, VERSION_TABLE}


def test_the_migrations_lead_to_the_schema_in_the_code(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    with open_store(tmp_path / "store.db") as store, store.database.engine.connect() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
        assert ScriptDirectory.from_config(config_for(connection)).get_heads() == [REVISION]


def test_an_existing_store_opens_without_alembic(tmp_path: Path) -> None:
    open_and_close(tmp_path / "store.db")
    program = (
        "import sys; from threatmatrix.store import open_store; open_store(sys.argv[1]).close();"
        "sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path / "store.db")], check=False).returncode == 0


def test_processes_that_open_a_new_store_at_once_agree(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["threatmatrix.store", "alembic.command"])
    crowd = [context.Process(target=open_and_close, args=(tmp_path / "store.db",)) for _ in range(6)]
    for process in crowd:
        process.start()
    for process in crowd:
        process.join(30)
    assert [process.exitcode for process in crowd] == [0] * 6


def problem_with(path: Path | str) -> str:
    with pytest.raises(StoreError) as caught:
        open_store(path)
    assert caught.value.hint
    return str(caught.value)


def test_what_is_no_store_is_refused_with_its_path_and_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("this is certainly not a database, not even a small one" * 20)
    message = problem_with(tmp_path / "notes.txt")
    assert "notes.txt: is not a SQLite database" in message

    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE customers (id INTEGER)")
    other.close()
    assert "other.db: holds the tables of something else (customers)" in problem_with(tmp_path / "other.db")

    assert "is a directory" in problem_with(tmp_path)
    assert "notes.txt/store.db: cannot be created" in problem_with(tmp_path / "notes.txt" / "store.db")
    assert "not a database URL" in problem_with("://nothing")
    assert "Give a file path or a postgresql:// URL" in problem_with("nosuch://host/db")


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    with open_store(tmp_path / "store.db") as store:
        change = text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
        store.database.write(lambda connection: connection.execute(change))
    message = problem_with(tmp_path / "store.db")
    assert "written by a newer threatmatrix (schema 9999; this one knows up to" in message
    assert "Upgrade threatmatrix" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    message = problem_with(folder / "store.db")
    assert f"{folder}/store.db" in message
    assert "may write there" in message


def test_a_password_in_a_url_never_shows() -> None:
    message = problem_with("postgresql://user:secret@127.0.0.1:1/nothing")
    assert "secret" not in message
    assert "127.0.0.1" in message


def test_a_store_that_another_process_holds_says_so(tmp_path: Path) -> None:
    with open_store(tmp_path / "store.db") as store:
        with store.database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout=1")
        holder = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="has been locked"):
            store.policy.withdraw("nothing")
        holder.close()
