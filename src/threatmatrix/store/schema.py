"""The tables, as SQLAlchemy sees them now. ``migrations/`` says how a database got there.

Columns hold what SQL selects on; ``body`` holds the noun itself as canonical JSON text. Text that
comes from telemetry (principals, systems, models) lives in ``body`` only: JSON escapes what a
database would refuse (NUL characters on PostgreSQL, lone surrogates on SQLite).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, MetaData, String, Table, Text

__all__ = [
    "REVISION",
    "VERSION_TABLE",
    "actions",
    "evidence",
    "findings",
    "incidents",
    "metadata",
    "policy_entries",
    "policy_state",
    "runs",
]

REVISION = "0002"
"""The newest migration: a database at this revision opens without importing Alembic."""

VERSION_TABLE = "threatmatrix_schema"

metadata = MetaData()

findings = Table(
    "findings",
    metadata,
    Column("finding_id", String(200), primary_key=True),
    Column("technique", String(200), nullable=False),
    Column("severity", Integer, nullable=False),
    Column("first_time", BigInteger, nullable=False),
    Column("last_time", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("digest", String(64)),  # of the body; None where an older threatmatrix wrote the row
    Index("findings_last_time", "last_time"),
)

incidents = Table(
    "incidents",
    metadata,
    Column("incident_id", String(200), primary_key=True),
    Column("status", String(20), nullable=False),
    Column("severity", Integer, nullable=False),
    Column("first_time", BigInteger, nullable=False),
    Column("last_time", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("merged_into", String(200)),  # the incident that took this one in
    Index("incidents_status", "status", "last_time"),
    Index("incidents_merged_into", "merged_into"),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", String(200), primary_key=True),
    Column("incident_id", String(200), ForeignKey("incidents.incident_id"), nullable=False),
    Column("playbook_id", String(200), nullable=False),
    Column("plan_hash", String(64), nullable=False),
    Column("state", String(20), nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("finished", BigInteger),
    Column("plan", Text, nullable=False),
    Index("runs_incident", "incident_id"),
    Index("runs_state", "state"),
)

actions = Table(
    "actions",
    metadata,
    Column("idempotency_key", String(400), primary_key=True),
    Column("run_id", String(200), ForeignKey("runs.run_id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("step_id", String(200), nullable=False),
    Column("action", String(100), nullable=False),
    Column("params", Text, nullable=False),
    Column("state", String(20), nullable=False),
    Column("intent_at", BigInteger, nullable=False),
    Column("outcome_at", BigInteger),
    Column("outcome", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("decided_by", String(200), nullable=False),
    Index("actions_run", "run_id", "position"),
    Index("actions_state", "state"),
)

policy_state = Table(
    "policy_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
)

policy_entries = Table(
    "policy_entries",
    metadata,
    Column("entry_id", String(200), primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("withdrawn_at", BigInteger),
    Column("withdrawn_by", String(200), nullable=False),
    Column("body", Text, nullable=False),
    Index("policy_entries_expires_at", "expires_at"),
)

evidence = Table(
    "evidence",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("evidence_id", String(200), nullable=False, unique=True),
    Column("created", BigInteger, nullable=False),
    Column("technique", String(200), nullable=False),
    Column("previous", String(64), nullable=False, unique=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("body", Text, nullable=False),
)
