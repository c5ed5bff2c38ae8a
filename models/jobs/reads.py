"""What the intake holds, for people and their scripts: lists by filter, one job with all that came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.errors import NotFound
from models.jobs.stored import readable

LIST = text("""
    SELECT id, tenant, name, state, attempts, due_at, accepted_at, finished_at, last_error,
        idempotency_key, result
    FROM jobs
    WHERE (CAST(:tenant AS text) IS NULL OR tenant = :tenant)
        AND (CAST(:name AS text) IS NULL OR name = :name)
        AND (CAST(:states AS text[]) = '{}' OR state = ANY(CAST(:states AS text[])))
        AND (CAST(:accepted_before AS timestamptz) IS NULL OR accepted_at < :accepted_before)
        AND (CAST(:accepted_after AS timestamptz) IS NULL OR accepted_at >= :accepted_after)
        AND (CAST(:before AS uuid) IS NULL OR id < :before)
    ORDER BY id DESC LIMIT :rows
""")

SHOW = text("""
    SELECT j.id, j.seq, j.tenant, j.name, j.origin, j.idempotency_key, j.args::text AS args, j.delivery_id, j.state,
        j.attempts, j.due_at, j.last_error, j.result, j.wait_keys, j.accepted_at, j.finished_at,
        d.provider AS delivery_provider, d.received_at AS delivery_received_at, d.body AS delivery_body
    FROM jobs j LEFT JOIN webhook_deliveries d ON d.id = j.delivery_id
    WHERE j.id = :id
""")

ENTRIES = text("""
    SELECT t.id, t.kind, t.idempotency_key, t.occurred_at, a.code, a.currency, e.amount_minor, e.balance_after_minor
    FROM ledger_transactions t
    JOIN ledger_entries e ON e.transaction_id = t.id
    JOIN accounts a ON a.id = e.account_id
    WHERE t.job_id = :id ORDER BY e.id LIMIT 200
""")

# What was done to this job alone, and the bulk repairs that it was part of.
AUDIT = text("""
    SELECT actor, action, subject, reason, at FROM audit_events
    WHERE job_id = :id OR (tenant = :tenant AND subject = 'jobs' AND detail -> 'ids' @> to_jsonb(CAST(:id AS text)))
    ORDER BY id LIMIT 200
""")


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs; None or empty is no restriction. `before` is the id to continue after
    (older): ids grow with time, so the primary key serves the list however long the history is."""

    tenant: str | None = None
    name: str | None = None
    states: Sequence[str] = ()
    accepted_before: datetime | None = None
    accepted_after: datetime | None = None
    before: UUID | None = None


def list_jobs(session: Session, wanted: JobFilter, *, rows: int) -> list[dict[str, Any]]:
    """The newest jobs that fit, newest first."""
    parameters = {
        "tenant": wanted.tenant,
        "name": wanted.name,
        "states": list(wanted.states),
        "accepted_before": wanted.accepted_before,
        "accepted_after": wanted.accepted_after,
        "before": wanted.before,
        "rows": rows,
    }
    return [dict(row) for row in session.execute(LIST, parameters).mappings()]


def show_job(session: Session, job_id: UUID) -> dict[str, Any]:
    """One job with its raw input, its ledger entries and its audit events. Raises NotFound.

    `args` is a text where it is no JSON that Python reads.
    """
    row = session.execute(SHOW, {"id": job_id}).mappings().one_or_none()
    if row is None:
        raise NotFound(f"no job {job_id}")
    args = readable(row["args"])
    job = {**row, "args": row["args"] if args is None else args}
    job["entries"] = [dict(entry) for entry in session.execute(ENTRIES, {"id": job_id}).mappings()]
    job["audit"] = [
        dict(event) for event in session.execute(AUDIT, {"id": job_id, "tenant": job["tenant"]}).mappings()
    ]
    return job
