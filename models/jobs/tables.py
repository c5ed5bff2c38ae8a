"""`jobs`: the durable intake, the schedule, the parking lot, the dead-letter office and the history."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from models.base import Instant, metadata

STATES = ("queued", "running", "done", "refused", "cooling", "parked", "dead", "cancelled")
FINISHED_STATES = ("done", "refused", "dead", "cancelled")
PAYOUT_COMMANDS = ("payouts.approve", "payouts.reject", "payouts.cancel", "payouts.retry", "payouts.mark_paid",
                   "payouts.mark_failed")  # fmt: skip
"""What people ask of a payout that stands; each names it in `payout_id`."""
ORIGINS = ("app", "provider", "schedule", "operator")

jobs = Table(
    "jobs",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=text("time_ordered_uuid()")),
    Column("seq", BigInteger, Identity(always=False), nullable=False),
    Column("tenant", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("args", JSONB, nullable=False),
    Column("delivery_id", BigInteger),
    Column("state", Text, nullable=False, server_default=text("'queued'")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due_at", Instant, nullable=False),
    Column("last_error", Text),
    Column("result", JSONB),
    Column("wait_keys", ARRAY(Text)),
    Column("accepted_at", Instant, nullable=False),
    Column("finished_at", Instant),
    UniqueConstraint("tenant", "origin", "idempotency_key"),
    CheckConstraint(f"state IN {STATES}", name="state"),
    CheckConstraint(f"origin IN {ORIGINS}", name="origin"),
    CheckConstraint(f"(finished_at IS NOT NULL) = (state IN {FINISHED_STATES})", name="finished"),
    CheckConstraint("jsonb_typeof(args) = 'object'", name="args"),
    Index("jobs_queued_idx", "tenant", "seq", postgresql_where=text("state = 'queued'")),
    Index("jobs_waiting_idx", "due_at", postgresql_where=text("state IN ('cooling', 'parked')")),
    Index("jobs_parked_idx", "wait_keys", postgresql_using="gin", postgresql_where=text("state = 'parked'")),
    Index("jobs_dead_idx", "tenant", "seq", postgresql_where=text("state = 'dead'")),
    Index(
        "jobs_payout_commands_idx",
        text("(args ->> 'payout_id')"),
        postgresql_where=text(f"name IN {PAYOUT_COMMANDS}"),
    ),
    postgresql_with={"fillfactor": "85"},
)

job_outcomes = Table(
    "job_outcomes",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("tenant", "name", "outcome", "reason"),
)
"""Durable counters for the metrics, written in the drain's transaction by the lane's only drainer."""
