"""A tenant's accounts at its providers: which exist, which a person has paused, and what their breakers say."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from models.base import Instant, metadata

BREAKER_STATES = ("closed", "open", "half_open")

provider_accounts = Table(
    "provider_accounts",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("adapter", Text, nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("paused_at", Instant),
    Column("paused_by", Text),
    Column("breaker", Text, nullable=False, server_default=text("'closed'")),
    Column("failures_in_a_row", Integer, nullable=False, server_default=text("0")),
    Column("opens_in_a_row", Integer, nullable=False, server_default=text("0")),
    Column("breaker_code", Text),
    Column("probe_at", Instant),
    Column("max_in_flight", Integer, nullable=False, server_default=text("16")),
    Column("per_second", Double),
    Column("allowance", Double, nullable=False, server_default=text("0")),
    Column("allowance_at", Instant),
    PrimaryKeyConstraint("tenant", "provider"),
    CheckConstraint(f"breaker IN {BREAKER_STATES}", name="breaker"),
    CheckConstraint("(probe_at IS NOT NULL) = (breaker <> 'closed')", name="probe"),
    CheckConstraint("max_in_flight > 0 AND (per_second IS NULL OR per_second > 0)", name="limits"),
)
