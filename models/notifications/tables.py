"""The outbox and its lanes.

One notification per subject and version, so that the receiver can order them and drop what it has. One lane per
tenant: what is known of its receiver, and until when a worker has the lane.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from models.base import Instant, metadata

STATES = ("pending", "delivered", "gave_up")

notifications = Table(
    "notifications",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("data", JSONB, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'pending'")),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("next_try_at", Instant),
    Column("last_error", Text),
    Column("created_at", Instant, nullable=False),
    Column("delivered_at", Instant),
    UniqueConstraint("tenant", "subject", "version"),
    CheckConstraint(f"state IN {STATES}", name="state"),
    CheckConstraint("(next_try_at IS NOT NULL) = (state = 'pending')", name="next_try"),
    Index("notifications_pending_idx", "tenant", "next_try_at", postgresql_where=text("state = 'pending'")),
    Index("notifications_gave_up_idx", "tenant", postgresql_where=text("state = 'gave_up'")),
    Index(None, "tenant", "id"),
)

notification_lanes = Table(
    "notification_lanes",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("endpoint", Text, nullable=False),
    Column("failures_in_a_row", Integer, nullable=False, server_default=text("0")),
    Column("quiet_until", Instant),
    Column("gone_at", Instant),
    Column("dispatched_at", Instant),
    Column("dispatched_until", Instant),
    CheckConstraint("failures_in_a_row >= 0", name="failures"),
)
