"""`payouts`, their attempts and their history; what the database refuses whatever the code believes.

One attempt of a payout may be alive at a time (`payout_attempts_alive_idx`): there is never a second key while the
first may have paid. A state is reached only by a move that `payout_moves` lists.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from models.base import Instant, metadata
from models.payouts.states import (
    ASKED_STATES,
    ATTEMPT_OUTCOMES,
    DUE_STATES,
    LIVE_OUTCOMES,
    OPEN_STATES,
    STATES,
)

payouts = Table(
    "payouts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False, server_default=text("1")),
    Column("requested_by", Text, nullable=False),
    Column("approved_by", Text),
    Column("attempts_made", Integer, nullable=False, server_default=text("0")),
    Column("next_attempt_at", Instant),
    Column("cooldown_until", Instant),
    Column("approval_expires_at", Instant),
    Column("provider_reference", Text),
    Column("failure_code", Text),
    Column("claim_version", Integer, nullable=False, server_default=text("0")),
    Column("claimed_until", Instant),
    Column("dispatched_until", Instant),
    Column("in_doubt_since", Instant),
    Column("lookups_made", Integer, nullable=False, server_default=text("0")),
    Column("next_lookup_at", Instant),
    Column("sequence", BigInteger),
    Column("business_date", Date, nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    CheckConstraint(f"state IN {STATES}", name="state"),
    CheckConstraint("amount_minor > 0", name="amount"),
    CheckConstraint("attempts_made >= 0 AND lookups_made >= 0 AND claim_version >= 0", name="counts"),
    CheckConstraint(f"(next_attempt_at IS NOT NULL) = (state IN {DUE_STATES})", name="next_attempt"),
    CheckConstraint("(claimed_until IS NOT NULL) = (state = 'sending')", name="claimed"),
    CheckConstraint("(in_doubt_since IS NOT NULL) = (state = 'in_doubt')", name="in_doubt"),
    CheckConstraint(
        f"(next_lookup_at IS NULL OR state IN {ASKED_STATES}) AND (next_lookup_at IS NOT NULL OR state <> 'in_doubt')",
        name="lookup",
    ),
    CheckConstraint("state NOT IN ('failed', 'returned') OR failure_code IS NOT NULL", name="failure"),
    CheckConstraint("approved_by IS DISTINCT FROM requested_by", name="four_eyes"),
    Index("payouts_due_idx", "tenant", "provider", "next_attempt_at", postgresql_where=text(f"state IN {DUE_STATES}")),
    Index(
        "payouts_dispatched_idx",
        "tenant",
        "provider",
        "dispatched_until",
        postgresql_where=text("dispatched_until IS NOT NULL"),
    ),
    Index("payouts_open_idx", "tenant", "provider", "state", postgresql_where=text(f"state IN {OPEN_STATES}")),
    Index("payouts_claimed_idx", "claimed_until", postgresql_where=text("state = 'sending'")),
    Index("payouts_lookup_idx", "next_lookup_at", postgresql_where=text(f"state IN {ASKED_STATES}")),
    Index(
        "payouts_approval_idx",
        "approval_expires_at",
        postgresql_where=text("state = 'awaiting_approval' AND approval_expires_at IS NOT NULL"),
    ),
    Index(None, "tenant", "owner", "id"),
    Index(None, "tenant", "requested_at"),
    postgresql_with={"fillfactor": "80"},
)  # fmt: skip

payout_attempts = Table(
    "payout_attempts",
    metadata,
    Column("payout_id", Uuid, nullable=False),
    Column("attempt_no", Integer, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("provider_key", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("claim_version", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("error_code", Text),
    Column("object_id", Text),
    Column("sends", Integer, nullable=False, server_default=text("1")),
    Column("started_at", Instant, nullable=False),
    Column("first_used_at", Instant, nullable=False),
    Column("key_valid_until", Instant, nullable=False),
    Column("finished_at", Instant),
    PrimaryKeyConstraint("payout_id", "attempt_no"),
    UniqueConstraint("provider_key"),
    UniqueConstraint("tenant", "provider", "reference"),
    CheckConstraint(f"outcome IN {ATTEMPT_OUTCOMES}", name="outcome"),
    CheckConstraint("attempt_no > 0 AND sends > 0", name="counts"),
    CheckConstraint("(finished_at IS NULL) = (outcome IN ('sending', 'not_sent', 'in_doubt'))", name="finished"),
    Index(
        "payout_attempts_alive_idx", "payout_id", unique=True, postgresql_where=text(f"outcome IN {LIVE_OUTCOMES}")
    ),
    Index("payout_attempts_finished_idx", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
    Index(
        "payout_attempts_object_idx",
        "tenant",
        "provider",
        "object_id",
        postgresql_where=text("object_id IS NOT NULL"),
    ),
)  # fmt: skip

payout_events = Table(
    "payout_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("payout_id", Uuid, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("cause", Text, nullable=False),
    Column("from_state", Text),
    Column("to_state", Text),
    Column("version", Integer, nullable=False),
    Column("attempt_no", Integer),
    Column("code", Text),
    Column("actor", Text),
    Column("reason", Text),
    Column("job_id", Uuid),
    Column("transaction_id", BigInteger),
    Column("detail", JSONB, nullable=False, server_default=text("'{}'")),
    CheckConstraint("(from_state IS NULL) OR (to_state IS NOT NULL)", name="move"),
    Index(None, "payout_id", "id"),
)
"""What happened to a payout, in order; without a `to_state` it was noted and changed nothing."""

payout_moves = Table(
    "payout_moves",
    metadata,
    Column("from_state", Text, nullable=False),
    Column("to_state", Text, nullable=False),
    PrimaryKeyConstraint("from_state", "to_state"),
)
"""states.MOVES, for the trigger that guards `payouts.state`."""
