"""Run the migrations on the connection that :mod:`threatmatrix.store.migrate` hands over.

For a new revision, with a database at hand::

    alembic.command.revision(config_for(connection), "what changes", autogenerate=True)
"""

from __future__ import annotations

from alembic import context

from threatmatrix.store.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
