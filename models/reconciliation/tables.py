"""The tables of reconciliation: runs, the providers' records, what was not understood, and findings."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from models.base import Instant, metadata

FINDING_KINDS = (
    "missing_at_provider", "missing_in_ledger", "amount_mismatch", "currency_mismatch", "status_mismatch",
    "fee_mismatch", "duplicate_at_provider", "late_reversal", "unknown_event", "in_doubt_overdue",
    "invariant_broken", "duplicate_payment", "disputed_more_than_captured", "duplicate_record",
)  # fmt: skip
FINDING_STATES = ("open", "resolved", "ignored", "closed")
SEVERITIES = ("low", "medium", "high", "critical")
RUN_STATES = ("pending", "running", "done", "truncated", "failed")
ENDED_STATES = ("done", "truncated", "failed")

reconciliation_runs = Table(
    "reconciliation_runs",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'pending'")),
    Column("revision", Integer, nullable=False, server_default=text("0")),
    Column("claim_version", Integer, nullable=False, server_default=text("0")),
    Column("claimed_until", Instant),
    Column("due_at", Instant, nullable=False),
    Column("window_from", Instant),
    Column("window_to", Instant),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("records", Integer, nullable=False, server_default=text("0")),
    Column("bad_rows", Integer, nullable=False, server_default=text("0")),
    Column("matched", Integer, nullable=False, server_default=text("0")),
    Column("expected", Integer, nullable=False, server_default=text("0")),
    Column("findings_open", Integer, nullable=False, server_default=text("0")),
    Column("counts", JSONB, nullable=False, server_default=text("'{}'")),
    Column("totals", JSONB, nullable=False, server_default=text("'{}'")),
    Column("checks", JSONB, nullable=False, server_default=text("'[]'")),
    Column("report_path", Text),
    Column("last_error", Text),
    Column("concluded_from", Instant),
    Column("concluded_until", Instant),
    Column("concluded_id", BigInteger),
    Column("take_id", BigInteger),
    Column("taking_id", BigInteger),
    UniqueConstraint("tenant", "provider", "business_date"),
    CheckConstraint(f"state IN {RUN_STATES}", name="state"),
    CheckConstraint("(claimed_until IS NOT NULL) = (state = 'running')", name="claimed"),
    CheckConstraint(f"(finished_at IS NOT NULL) = (state IN {ENDED_STATES})", name="finished"),
    CheckConstraint("(last_error IS NOT NULL) = (state = 'failed')", name="failed"),
    Index(
        "reconciliation_runs_due_idx", "due_at", postgresql_where=text("state IN ('pending', 'running', 'failed')")
    ),
)  # fmt: skip
"""`concluded_...`: it has concluded on the ledger's transactions that occurred in [from, until), up to that id.
`take_id` is its last whole take, `taking_id` one that is under way or was left half-way: see `takes`."""

reconciliation_takes = Sequence("reconciliation_takes", metadata=metadata, data_type=BigInteger)

provider_records = Table(
    "provider_records",
    metadata,
    Column("take_id", BigInteger, nullable=False),
    Column("record_id", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("reference", Text),
    Column("object_id", Text),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("fee_minor", BigInteger, nullable=False),
    Column("fee_currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("occurred_at", Instant, nullable=False),
    Column("line", Integer),
    Index("provider_records_take_id_idx", "take_id", postgresql_using="brin"),
)
"""What a provider told, one row per record and take; `reference` also where only `object_id` was told and is known."""

reconciliation_pairs = Table(
    "reconciliation_pairs",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("transaction_id", BigInteger, nullable=False),
    Column("record_id", Text, nullable=False),
    Column("run_id", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "provider", "transaction_id"),
)
"""Ledger rows and the records that they were matched with, where no one window had both: it is remembered for ever."""

reconciliation_bad_rows = Table(
    "reconciliation_bad_rows",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("run_id", BigInteger, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("line", Integer),
    Column("raw", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Index(None, "run_id", "id"),
)

reconciliation_files = Table(
    "reconciliation_files",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("taken_at", Instant, nullable=False),
    Column("run_id", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "provider", "digest"),
)
"""Report files that were taken in, each known by the SHA-256 of its bytes."""

reconciliation_findings = Table(
    "reconciliation_findings",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'open'")),
    Column("amount_minor", BigInteger),
    Column("currency", Text),
    Column("detail", JSONB, nullable=False, server_default=text("'{}'")),
    Column("first_seen_at", Instant, nullable=False),
    Column("last_seen_at", Instant, nullable=False),
    Column("times_seen", Integer, nullable=False, server_default=text("1")),
    Column("closed_at", Instant),
    Column("severity", Text, nullable=False, server_default=text("'medium'")),
    Column("run_id", BigInteger),
    Column("occurred_at", Instant),
    Column("closed_by", Text),
    Column("reason", Text),
    UniqueConstraint("tenant", "fingerprint"),
    CheckConstraint(f"kind IN {FINDING_KINDS}", name="kind"),
    CheckConstraint(f"state IN {FINDING_STATES}", name="state"),
    CheckConstraint("(closed_at IS NULL) = (state = 'open')", name="closed"),
    CheckConstraint(f"severity IN {SEVERITIES}", name="severity"),
    CheckConstraint(
        "state NOT IN ('resolved', 'ignored') OR (closed_by IS NOT NULL AND reason IS NOT NULL)", name="signed"
    ),
    Index(None, "tenant", "subject"),
    Index(None, "tenant", "id"),
    Index("reconciliation_findings_open_idx", "tenant", "kind", postgresql_where=text("state = 'open'")),
)  # fmt: skip
"""`run_id` is the last run that saw it, `occurred_at` when its money moved; both only for what runs find."""
