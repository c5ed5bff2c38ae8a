"""News for a tenant's own systems: written with the effect (outbox), delivered by tasks.notifications.

One row per subject and version, so that the receiver can order them and drop what it has: a subject's news goes out
in the order of its versions.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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
from sqlalchemy.orm import Session

from models.base import Instant, metadata, require_aware

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
    Index("notifications_pending_idx", "next_try_at", postgresql_where=text("state = 'pending'")),
)


@dataclass(frozen=True, slots=True)
class News:
    """What happened to `subject` (`payout:<id>`) as its version `version`; `data` is JSON-ready and has ids only."""

    tenant: str
    type: str
    subject: str
    version: int
    data: Mapping[str, Any]


# Only for tenants that have somewhere to be told.
ANNOUNCE = text("""
    INSERT INTO notifications (tenant, type, subject, version, data, created_at, next_try_at)
    SELECT n.tenant, n.type, n.subject, n.version, n.data, :now, :now
    FROM jsonb_to_recordset(CAST(:news AS jsonb)) AS n (tenant text, type text, subject text, version int, data jsonb)
    JOIN tenants t ON t.tenant = n.tenant AND t.notified
    ON CONFLICT (tenant, subject, version) DO NOTHING
""")


def announce(session: Session, news: Sequence[News], *, now: datetime) -> None:
    """Write the news in the caller's transaction; a version that stands already is not told twice."""
    if news:
        rows = [
            {"tenant": one.tenant, "type": one.type, "subject": one.subject, "version": one.version,
             "data": dict(one.data)}
            for one in news
        ]  # fmt: skip
        session.execute(ANNOUNCE, {"news": json.dumps(rows), "now": require_aware(now)})
