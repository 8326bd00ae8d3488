"""Bring a database to the newest schema. Alembic is imported only where there is something to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from threatmatrix.model.errors import StoreError
from threatmatrix.store.database import Database
from threatmatrix.store.schema import REVISION, VERSION_TABLE

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["bring_up", "config_for", "revision_of"]

_LOCK = 0x746D_7378  # any number that nobody else locks on ("tmsx")


def revision_of(connection: Connection) -> str | None:
    """The revision that the database says it has; None for a database without our version table."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    row = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).first()  # noqa: S608 (a constant)
    return str(row[0]) if row else None


def config_for(connection: Connection) -> Config:
    """Alembic's configuration for our migrations, without an ini file."""
    from alembic.config import Config

    config = Config()
    # ConfigParser reads % as the start of an interpolation.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def bring_up(database: Database) -> None:
    """Migrate to :data:`REVISION`, in one transaction; processes that open at once wait for each other.

    Raises StoreError for a database that is not ours, or that a newer threatmatrix wrote.
    """
    if database.read(revision_of) != REVISION:
        database.write(lambda connection: _upgrade(connection, database.where))


def _upgrade(connection: Connection, where: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    revision = revision_of(connection)
    if revision == REVISION:  # another process was quicker
        return
    if revision is None:
        _refuse_foreign(connection, where)
    from alembic import command
    from alembic.script import ScriptDirectory

    config = config_for(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise StoreError(
            f"{where}: written by a newer threatmatrix (schema {revision}; this one knows up to {REVISION})",
            hint="Upgrade threatmatrix, or give another store",
        )
    command.upgrade(config, "head")


def _refuse_foreign(connection: Connection, where: str) -> None:
    tables = sorted(set(inspect(connection).get_table_names()) - {VERSION_TABLE})
    if tables:
        raise StoreError(
            f"{where}: holds the tables of something else ({', '.join(tables[:3])}), not a threatmatrix store",
            hint="Give a path that does not exist yet, or a database of its own",
        )
