"""Who did what, to what, and why: append-only."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, Identity, Index, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from models.base import Instant, metadata

audit_events = Table(
    "audit_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", JSONB, nullable=False),
    Column("job_id", Uuid),
    Column("at", Instant, nullable=False),
    Index(None, "tenant", "subject", "id"),
)


def record(
    session: Session,
    *,
    tenant: str,
    actor: str,
    action: str,
    subject: str,
    reason: str,
    now: datetime,
    detail: Mapping[str, Any] | None = None,
    job_id: UUID | None = None,
) -> None:
    """Write one audit event in the caller's transaction, so that it stands or falls with the act."""
    session.execute(
        audit_events.insert().values(
            tenant=tenant,
            actor=actor,
            action=action,
            subject=subject,
            reason=reason,
            detail=dict(detail or {}),
            job_id=job_id,
            at=now,
        )
    )
