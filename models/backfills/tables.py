"""The tables of backfills: runs, the rows they set aside, and what a dry run has worked out so far."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from models.base import Instant, metadata

KINDS = ("postings", "opening_balances", "provider_events", "wallet_recalc")
STATES = ("pending", "running", "paused", "done", "cancelled", "failed")
FINAL_STATES = ("done", "cancelled")
PAUSE_CODES = ("asked", "cap_reached", "source_changed", "source_failed", "batch_failed")
STOPS = ("pause", "cancel")
PHASES = ("read", "second_look")
QUARANTINE_STATES = ("open", "waiting", "posted", "corrected", "dismissed")
CLOSED_STATES = ("corrected", "dismissed")
BATCH_ROWS_MAX = 20_000

backfills = Table(
    "backfills",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("source", JSONB, nullable=False),
    Column("source_digest", Text),
    Column("namespace", Text, nullable=False),
    Column("options", JSONB, nullable=False, server_default=text("'{}'")),
    Column("dry_run", Boolean, nullable=False),
    Column("batch_rows", Integer, nullable=False),
    Column("max_amount_minor", BigInteger),
    Column("state", Text, nullable=False, server_default=text("'pending'")),
    Column("pause_code", Text),
    Column("stop_asked", Text),
    Column("last_error", Text),
    Column("phase", Text, nullable=False, server_default=text("'read'")),
    Column("cursor", JSONB),
    Column("rows_read", BigInteger, nullable=False, server_default=text("0")),
    Column("posted", BigInteger, nullable=False, server_default=text("0")),
    Column("replayed", BigInteger, nullable=False, server_default=text("0")),
    Column("unchanged", BigInteger, nullable=False, server_default=text("0")),
    Column("quarantined", BigInteger, nullable=False, server_default=text("0")),
    Column("waiting", BigInteger, nullable=False, server_default=text("0")),
    Column("bytes_read", BigInteger, nullable=False, server_default=text("0")),
    Column("bytes_total", BigInteger),
    Column("rows_total", BigInteger),
    Column("money", JSONB, nullable=False, server_default=text("'{}'")),
    Column("reasons", JSONB, nullable=False, server_default=text("'{}'")),
    Column("batches", Integer, nullable=False, server_default=text("0")),
    Column("rows_last", Integer),
    Column("claim_version", Integer, nullable=False, server_default=text("0")),
    Column("claimed_until", Instant),
    Column("next_batch_at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("job_id", Uuid),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("last_batch_at", Instant),
    Column("last_batch_seconds", Double),
    Column("others_waited_at", Instant),
    Column("worked_seconds", Double, nullable=False, server_default=text("0")),
    Column("finished_at", Instant),
    CheckConstraint(f"kind IN {KINDS}", name="kind"),
    CheckConstraint(f"state IN {STATES}", name="state"),
    CheckConstraint("(pause_code IS NOT NULL) = (state = 'paused')", name="paused"),
    CheckConstraint(f"(finished_at IS NOT NULL) = (state IN {FINAL_STATES})", name="finished"),
    CheckConstraint(f"stop_asked IN {STOPS}", name="stop_asked"),
    CheckConstraint(f"phase IN {PHASES}", name="phase"),
    CheckConstraint(f"batch_rows BETWEEN 1 AND {BATCH_ROWS_MAX}", name="batch_rows"),
    CheckConstraint("max_amount_minor >= 0", name="max_amount_minor"),
    CheckConstraint("rows_read = posted + replayed + unchanged + quarantined + waiting", name="rows_read"),
    Index(None, "tenant", "created_at"),
    Index("backfills_due_idx", "next_batch_at", postgresql_where=text("state IN ('pending', 'running')")),
    Index("backfills_job_id_idx", "job_id", unique=True, postgresql_where=text("job_id IS NOT NULL")),
)
"""`money` is {currency: {"posted" | "replayed": minor}}, sums of absolute amounts; `reasons` {code: rows}, of the rows
that are set aside. Every row that was read is counted once: posted, replayed (stood already), unchanged (nothing to
do), quarantined or waiting. The last batch was of at most `rows_last` rows and held its locks for `last_batch_seconds`;
`others_waited_at` is when a batch was about to end for which other sessions waited;
`worked_seconds` is the time spent in batches, for the rate."""

backfill_quarantine = Table(
    "backfill_quarantine",
    metadata,
    Column("backfill_id", Uuid, nullable=False),
    Column("place", Text, nullable=False),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("line", BigInteger),
    Column("row_id", Text),
    Column("raw", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'open'")),
    Column("fields", JSONB),
    Column("at", Instant, nullable=False),
    Column("closed_at", Instant),
    Column("closed_by", Text),
    Column("closed_reason", Text),
    PrimaryKeyConstraint("backfill_id", "place"),
    CheckConstraint(f"state IN {QUARANTINE_STATES}", name="state"),
    CheckConstraint("state <> 'waiting' OR fields IS NOT NULL", name="waiting"),
    CheckConstraint(f"(closed_at IS NOT NULL) = (state IN {CLOSED_STATES})", name="closed"),
    CheckConstraint("(closed_by IS NOT NULL) = (closed_at IS NOT NULL)", name="closed_by"),
    CheckConstraint("(closed_reason IS NOT NULL) = (state = 'dismissed')", name="closed_reason"),
    Index(None, "backfill_id", "id"),
    Index(
        "backfill_quarantine_open_idx", "backfill_id", postgresql_where=text("state IN ('open', 'waiting')")
    ),
    Index(
        "backfill_quarantine_correctable_idx",
        "backfill_id",
        "row_id",
        postgresql_where=text("state = 'open' AND row_id IS NOT NULL AND code <> 'conflict'"),
    ),
)
"""Rows set aside: `place` is where the row stood (a line, or a key), `fields` what is needed to look at it again.

`posted`: waited, and the same run posted it. `corrected`: another run has brought the row of this id; `closed_by` says
which. `dismissed`: a person has closed it, for a reason. See models.backfills.closing."""

backfill_rehearsed_accounts = Table(
    "backfill_rehearsed_accounts",
    metadata,
    Column("backfill_id", Uuid, nullable=False),
    Column("code", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("balance_minor", BigInteger, nullable=False),
    PrimaryKeyConstraint("backfill_id", "code", "currency"),
)
"""Balances as a dry run would have left them."""

backfill_rehearsed_keys = Table(
    "backfill_rehearsed_keys",
    metadata,
    Column("backfill_id", Uuid, nullable=False),
    Column("key", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    PrimaryKeyConstraint("backfill_id", "key"),
)
"""What a dry run would have posted."""
