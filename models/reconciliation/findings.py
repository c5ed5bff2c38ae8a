"""Findings: what does not agree and a person should look at; seen again rather than repeated, by fingerprint."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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

FINDING_KINDS = (
    "missing_at_provider", "missing_in_ledger", "amount_mismatch", "currency_mismatch", "status_mismatch",
    "fee_mismatch", "duplicate_at_provider", "late_reversal", "unknown_event", "in_doubt_overdue",
    "invariant_broken",
)  # fmt: skip
FINDING_STATES = ("open", "resolved", "ignored", "closed")

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
    UniqueConstraint("tenant", "fingerprint"),
    CheckConstraint(f"kind IN {FINDING_KINDS}", name="kind"),
    CheckConstraint(f"state IN {FINDING_STATES}", name="state"),
    CheckConstraint("(closed_at IS NULL) = (state = 'open')", name="closed"),
    Index(None, "tenant", "subject"),
    Index("reconciliation_findings_open_idx", "tenant", "kind", postgresql_where=text("state = 'open'")),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not agree. `subject` is what it is about (`payout:<id>`); two findings of one kind about
    one subject are the same finding unless `mark` tells them apart."""

    tenant: str
    provider: str
    kind: str
    subject: str
    amount_minor: int | None = None
    currency: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    mark: str = ""

    @property
    def fingerprint(self) -> str:
        parts = json.dumps([self.provider, self.kind, self.subject, self.mark])
        return hashlib.sha256(parts.encode()).hexdigest()[:32]


# Seen again it is updated; one that had closed itself, or was resolved, opens again; what a person ignores stays so.
RECORD = text("""
    INSERT INTO reconciliation_findings (tenant, provider, kind, fingerprint, subject, amount_minor, currency, detail,
        first_seen_at, last_seen_at)
    SELECT n.tenant, n.provider, n.kind, n.fingerprint, n.subject, n.amount_minor, n.currency, n.detail, :now, :now
    FROM jsonb_to_recordset(CAST(:findings AS jsonb)) AS n (tenant text, provider text, kind text, fingerprint text,
        subject text, amount_minor bigint, currency text, detail jsonb)
    ORDER BY n.tenant, n.fingerprint
    ON CONFLICT (tenant, fingerprint) DO UPDATE SET
        last_seen_at = greatest(reconciliation_findings.last_seen_at, excluded.last_seen_at),
        times_seen = reconciliation_findings.times_seen + 1,
        amount_minor = excluded.amount_minor, currency = excluded.currency, detail = excluded.detail,
        state = CASE reconciliation_findings.state WHEN 'ignored' THEN 'ignored' ELSE 'open' END,
        closed_at = CASE reconciliation_findings.state WHEN 'ignored' THEN reconciliation_findings.closed_at END
""")


def record_findings(session: Session, findings: Sequence[Finding], *, now: datetime) -> None:
    """Write them in the caller's transaction; each fingerprint once."""
    distinct = {(one.tenant, one.fingerprint): one for one in findings}
    if distinct:
        rows = [
            {"tenant": one.tenant, "provider": one.provider, "kind": one.kind, "fingerprint": one.fingerprint,
             "subject": one.subject, "amount_minor": one.amount_minor, "currency": one.currency,
             "detail": dict(one.detail)}
            for one in distinct.values()
        ]  # fmt: skip
        session.execute(RECORD, {"findings": json.dumps(rows, default=str), "now": require_aware(now)})
