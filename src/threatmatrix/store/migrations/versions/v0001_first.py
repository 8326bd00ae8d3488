"""The first schema: findings, incidents, ledger, policy, evidence; evidence is append-only by trigger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything; nothing here may change once it has been released."""
    _detection()
    _ledger()
    _policy()
    _evidence()
    for statement in _append_only(op.get_bind().dialect.name):
        op.execute(statement)


def downgrade() -> None:
    """Drop everything."""
    for table in ("evidence", "policy_entries", "policy_state", "actions", "runs", "incidents", "findings"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION IF EXISTS threatmatrix_append_only()")


def _detection() -> None:
    op.create_table(
        "findings",
        sa.Column("finding_id", sa.String(200), primary_key=True),
        sa.Column("technique", sa.String(200), nullable=False),
        sa.Column("severity", sa.Integer, nullable=False),
        sa.Column("first_time", sa.BigInteger, nullable=False),
        sa.Column("last_time", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("findings_last_time", "findings", ["last_time"])
    op.create_table(
        "incidents",
        sa.Column("incident_id", sa.String(200), primary_key=True),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("severity", sa.Integer, nullable=False),
        sa.Column("first_time", sa.BigInteger, nullable=False),
        sa.Column("last_time", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("incidents_status", "incidents", ["status", "last_time"])


def _ledger() -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(200), primary_key=True),
        sa.Column("incident_id", sa.String(200), sa.ForeignKey("incidents.incident_id"), nullable=False),
        sa.Column("playbook_id", sa.String(200), nullable=False),
        sa.Column("plan_hash", sa.String(64), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("started", sa.BigInteger, nullable=False),
        sa.Column("finished", sa.BigInteger),
        sa.Column("plan", sa.Text, nullable=False),
    )
    op.create_index("runs_incident", "runs", ["incident_id"])
    op.create_index("runs_state", "runs", ["state"])
    op.create_table(
        "actions",
        sa.Column("idempotency_key", sa.String(400), primary_key=True),
        sa.Column("run_id", sa.String(200), sa.ForeignKey("runs.run_id"), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("step_id", sa.String(200), nullable=False),
        sa.Column("action", sa.String(100), nullable=False),
        sa.Column("params", sa.Text, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("intent_at", sa.BigInteger, nullable=False),
        sa.Column("outcome_at", sa.BigInteger),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("decided_by", sa.String(200), nullable=False),
    )
    op.create_index("actions_run", "actions", ["run_id", "position"])
    op.create_index("actions_state", "actions", ["state"])


def _policy() -> None:
    state = op.create_table(
        "policy_state",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(state, [{"id": 1, "version": 0}])
    op.create_table(
        "policy_entries",
        sa.Column("entry_id", sa.String(200), primary_key=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger),
        sa.Column("withdrawn_by", sa.String(200), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("policy_entries_expires_at", "policy_entries", ["expires_at"])


def _evidence() -> None:
    op.create_table(
        "evidence",
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("evidence_id", sa.String(200), nullable=False, unique=True),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("technique", sa.String(200), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False, unique=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("body", sa.Text, nullable=False),
    )


def _append_only(dialect: str) -> list[str]:
    """Triggers that refuse to change or delete evidence (a hash chain only tells afterwards)."""
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER evidence_no_{verb} BEFORE {verb} ON evidence "
            "BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END"
            for verb in ("update", "delete")
        ]
    if dialect == "postgresql":
        function = (
            "CREATE FUNCTION threatmatrix_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'evidence is append-only'; END $$"
        )
        trigger = (
            "CREATE TRIGGER evidence_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence "
            "FOR EACH STATEMENT EXECUTE FUNCTION threatmatrix_append_only()"
        )
        return [function, trigger]
    return []
