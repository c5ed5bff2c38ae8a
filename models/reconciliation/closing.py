"""What people do with findings: list them, resolve them, ignore them. To close one takes a name and a reason."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.audit import record
from models.base import require_aware
from models.errors import NotFound

PAGE_ROWS_MAX = 1_000

LOCK = text("""
    SELECT id, kind, state, fingerprint FROM reconciliation_findings
    WHERE tenant = :tenant AND id = ANY(CAST(:ids AS bigint[])) ORDER BY id FOR UPDATE
""")

CLOSE = text("""
    UPDATE reconciliation_findings SET state = :state, closed_at = :now, closed_by = :actor, reason = :reason
    WHERE tenant = :tenant AND id = ANY(CAST(:ids AS bigint[]))
""")

# Newest first; a cursor is the id of the last one seen. The id breaks no ties: it is unique.
LIST = text("""
    SELECT id, tenant, provider, kind, severity, state, subject, amount_minor, currency, detail, fingerprint, run_id,
        first_seen_at, last_seen_at, times_seen, occurred_at, closed_at, closed_by, reason
    FROM reconciliation_findings
    WHERE (CAST(:tenant AS text) IS NULL OR tenant = :tenant)
        AND (CAST(:provider AS text) IS NULL OR provider = :provider)
        AND (CAST(:kinds AS text[]) IS NULL OR kind = ANY(CAST(:kinds AS text[])))
        AND (CAST(:states AS text[]) IS NULL OR state = ANY(CAST(:states AS text[])))
        AND (CAST(:severities AS text[]) IS NULL OR severity = ANY(CAST(:severities AS text[])))
        AND (CAST(:subject AS text) IS NULL OR subject = :subject)
        AND (CAST(:run_id AS bigint) IS NULL OR run_id = :run_id)
        AND (CAST(:seen_before AS timestamptz) IS NULL OR first_seen_at < :seen_before)
        AND (CAST(:cursor AS bigint) IS NULL OR id < :cursor)
    ORDER BY id DESC LIMIT :rows
""")


@dataclass(frozen=True, slots=True)
class FindingFilter:
    """Which findings; None: whichever. `seen_before`: first seen before then, so that age is a filter."""

    tenant: str | None = None
    provider: str | None = None
    kinds: Sequence[str] | None = None
    states: Sequence[str] | None = ("open",)
    severities: Sequence[str] | None = None
    subject: str | None = None
    run_id: int | None = None
    seen_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding as it stands."""

    id: int
    tenant: str
    provider: str
    kind: str
    severity: str
    state: str
    subject: str
    amount_minor: int | None
    currency: str | None
    detail: dict[str, Any]
    fingerprint: str
    run_id: int | None
    first_seen_at: datetime
    last_seen_at: datetime
    times_seen: int
    occurred_at: datetime | None
    closed_at: datetime | None
    closed_by: str | None
    reason: str | None

    def age(self, now: datetime) -> timedelta:
        """Since it was first seen; of one that is closed, how long it stood."""
        return (self.closed_at or now) - self.first_seen_at


@dataclass(frozen=True, slots=True)
class FindingPage:
    """Newest first. `next_cursor` is None on the last page."""

    findings: Sequence[FindingRow]
    next_cursor: int | None


def list_findings(
    session: Session, filters: FindingFilter, cursor: int | None = None, limit: int = 100
) -> FindingPage:
    """One page of them, of at most PAGE_ROWS_MAX."""
    rows = max(1, min(limit, PAGE_ROWS_MAX))
    values = asdict(filters) | {"cursor": cursor, "rows": rows + 1}
    lists = {name: values[name] and list(values[name]) for name in ("kinds", "states", "severities")}
    found = [FindingRow(**row) for row in session.execute(LIST, values | lists).mappings()]
    return FindingPage(found[:rows], found[rows - 1].id if len(found) > rows else None)


def resolve(
    session: Session, tenant: str, ids: Collection[int], *, actor: str, reason: str, now: datetime
) -> list[int]:
    """A person has put it right: it opens again should a run see it again. The ids of those that were open.

    Raises NotFound when the tenant has no finding of one of the ids; then nothing is closed.
    """
    return _close(session, tenant, ids, "resolved", actor=actor, reason=reason, now=now)


def ignore(
    session: Session, tenant: str, ids: Collection[int], *, actor: str, reason: str, now: datetime
) -> list[int]:
    """A person wants to hear of it no more: it stays so, however often it is seen. Otherwise as `resolve`."""
    return _close(session, tenant, ids, "ignored", actor=actor, reason=reason, now=now)


def _close(
    session: Session, tenant: str, ids: Collection[int], state: str, *, actor: str, reason: str, now: datetime
) -> list[int]:
    actor, reason, now = _said("actor", actor), _said("reason", reason), require_aware(now)
    rows = session.execute(LOCK, {"tenant": tenant, "ids": sorted(set(ids))}).all()
    if missing := sorted(set(ids) - {row.id for row in rows}):
        raise NotFound(f"{tenant} has no finding {', '.join(map(str, missing))}")
    still_open = [row for row in rows if row.state == "open"]
    closed = {"tenant": tenant, "ids": [row.id for row in still_open], "state": state}
    session.execute(CLOSE, closed | {"actor": actor, "reason": reason, "now": now})
    for row in still_open:
        record(
            session, tenant=tenant, actor=actor, action=f"findings.{state}", subject=f"finding:{row.id}",
            reason=reason, now=now, detail={"kind": row.kind, "fingerprint": row.fingerprint},
        )  # fmt: skip
    return [row.id for row in still_open]


def _said(what: str, value: str) -> str:
    if not value.strip():
        raise ValueError(f"to close a finding, the {what} must be said")
    return value.strip()
