"""Findings: what does not agree and a person should look at; seen again rather than repeated, by fingerprint."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base import require_aware

SMALL_MINOR = 100
LARGE_MINOR = 100_000

# How much it matters, by kind, and one step more or less by the amount at stake. `{kind}` and `{amount}` are columns.
SEVERITY = f"""
    (ARRAY['low', 'medium', 'high', 'critical'])[greatest(1, least(4,
        CASE WHEN {{kind}} IN ('invariant_broken', 'in_doubt_overdue') THEN 4
            WHEN {{kind}} IN ('missing_in_ledger', 'missing_at_provider', 'duplicate_at_provider', 'status_mismatch',
                'currency_mismatch', 'duplicate_payment', 'disputed_more_than_captured') THEN 3
            WHEN {{kind}} = 'fee_mismatch' THEN 1
            ELSE 2 END
        + CASE WHEN abs({{amount}}) >= {LARGE_MINOR} THEN 1
            WHEN abs({{amount}}) < {SMALL_MINOR} THEN -1
            ELSE 0 END))]
"""


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
SEEN_AGAIN = """
    ON CONFLICT (tenant, fingerprint) DO UPDATE SET
        last_seen_at = greatest(reconciliation_findings.last_seen_at, excluded.last_seen_at),
        times_seen = reconciliation_findings.times_seen + 1,
        amount_minor = excluded.amount_minor, currency = excluded.currency, detail = excluded.detail,
        severity = excluded.severity, run_id = coalesce(excluded.run_id, reconciliation_findings.run_id),
        occurred_at = coalesce(excluded.occurred_at, reconciliation_findings.occurred_at),
        state = CASE reconciliation_findings.state WHEN 'ignored' THEN 'ignored' ELSE 'open' END,
        closed_at = CASE reconciliation_findings.state WHEN 'ignored' THEN reconciliation_findings.closed_at END,
        closed_by = CASE reconciliation_findings.state WHEN 'ignored' THEN reconciliation_findings.closed_by END,
        reason = CASE reconciliation_findings.state WHEN 'ignored' THEN reconciliation_findings.reason END
"""

RECORD = text(f"""
    INSERT INTO reconciliation_findings (tenant, provider, kind, fingerprint, subject, amount_minor, currency, detail,
        severity, run_id, first_seen_at, last_seen_at)
    SELECT n.tenant, n.provider, n.kind, n.fingerprint, n.subject, n.amount_minor, n.currency, n.detail,
        {SEVERITY.format(kind="n.kind", amount="n.amount_minor")}, CAST(:run_id AS bigint), :now, :now
    FROM jsonb_to_recordset(CAST(:findings AS jsonb)) AS n (tenant text, provider text, kind text, fingerprint text,
        subject text, amount_minor bigint, currency text, detail jsonb)
    ORDER BY n.tenant, n.fingerprint
    {SEEN_AGAIN}
""")  # noqa: S608 - put together from constants of this room


def record_findings(
    session: Session, findings: Sequence[Finding], *, now: datetime, run_id: int | None = None
) -> None:
    """Write them in the caller's transaction; each fingerprint once. `run_id` is the run that saw them, if one did."""
    distinct = {(one.tenant, one.fingerprint): one for one in findings}
    if distinct:
        rows = [
            {"tenant": one.tenant, "provider": one.provider, "kind": one.kind, "fingerprint": one.fingerprint,
             "subject": one.subject, "amount_minor": one.amount_minor, "currency": one.currency,
             "detail": dict(one.detail)}
            for one in distinct.values()
        ]  # fmt: skip
        values = {
            "findings": json.dumps(rows, default=str),
            "run_id": run_id,
            "now": require_aware(now),
        }
        session.execute(RECORD, values)


# By fingerprint, in the order in which people who close them lock them.
CLOSE = text("""
    UPDATE reconciliation_findings f SET state = 'closed', closed_at = :now, closed_by = :closed_by, reason = :reason
    FROM (
        SELECT id FROM reconciliation_findings
        WHERE state = 'open' AND (tenant, fingerprint) IN (
            SELECT tenant, fingerprint FROM jsonb_to_recordset(CAST(:findings AS jsonb))
                AS n (tenant text, fingerprint text))
        ORDER BY id FOR UPDATE) gone
    WHERE f.id = gone.id
""")


def close_findings(
    session: Session, findings: Sequence[Finding], *, closed_by: str, reason: str, now: datetime
) -> None:
    """Close those of them that stand open, in the caller's transaction: what they are about is in order again."""
    if findings:
        rows = [{"tenant": one.tenant, "fingerprint": one.fingerprint} for one in findings]
        values = {"closed_by": closed_by, "reason": reason, "now": require_aware(now)}
        session.execute(CLOSE, values | {"findings": json.dumps(rows)})
