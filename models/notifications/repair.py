"""The operator's view of the outbox: what is in it, and sending some of it again. Always with a reason, audited."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models import audit
from models.base import require_aware


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which notifications; None or empty is no restriction."""

    states: Sequence[str] = ()
    tenant: str | None = None
    type: str | None = None
    subject: str | None = None
    ids: Sequence[int] = ()
    before: int | None = None


FITTING = """
    FROM notifications
    WHERE (CAST(:states AS text[]) = '{}' OR state = ANY(CAST(:states AS text[])))
        AND (CAST(:tenant AS text) IS NULL OR tenant = :tenant)
        AND (CAST(:type AS text) IS NULL OR type = :type)
        AND (CAST(:subject AS text) IS NULL OR subject = :subject)
        AND (CAST(:ids AS bigint[]) = '{}' OR id = ANY(CAST(:ids AS bigint[])))
        AND (CAST(:before AS bigint) IS NULL OR id < :before)
"""

LIST = text(f"""
    SELECT id, tenant, type, subject, version, state, tries, next_try_at, last_error, created_at, delivered_at, data
    {FITTING} ORDER BY id DESC LIMIT :rows
""")

# The oldest first, so that the versions of a subject stay together.
CHOOSE = f"SELECT id, tenant {FITTING} ORDER BY id LIMIT :rows"
PICK = text(CHOOSE)
LOCK = text(f"{CHOOSE} FOR NO KEY UPDATE")

REDELIVER = text("""
    UPDATE notifications SET state = 'pending', tries = 0, next_try_at = :now, delivered_at = NULL
    WHERE id = ANY(:ids)
""")

REOPEN = text("""
    UPDATE notification_lanes SET gone_at = NULL, quiet_until = NULL, failures_in_a_row = 0 WHERE tenant = :tenant
""")


def list_notifications(session: Session, wanted: Wanted, *, rows: int) -> list[dict[str, Any]]:
    """The newest that fit, newest first."""
    return [dict(row) for row in session.execute(LIST, _values(wanted, rows)).mappings()]


def choose(session: Session, wanted: Wanted, *, rows: int, locked: bool = False) -> dict[str, list[int]]:
    """The ids of the oldest that fit, by tenant."""
    found = sorted(
        (row.tenant, row.id) for row in session.execute(LOCK if locked else PICK, _values(wanted, rows))
    )
    return {tenant: [one for _, one in own] for tenant, own in groupby(found, key=lambda row: row[0])}


def redeliver(
    session: Session,
    wanted: Wanted,
    *,
    rows: int,
    actor: str,
    reason: str,
    filters: Mapping[str, Any],
    now: datetime,
) -> dict[str, list[int]]:
    """Send the oldest that fit again, at once and with all tries, under the same webhook-ids; ids by tenant.

    Whatever kept the lanes of these tenants still, 410 Gone too, is forgotten. One audit event per tenant.
    """
    by_tenant = choose(session, wanted, rows=rows, locked=True)
    for tenant, ids in by_tenant.items():
        session.execute(REDELIVER, {"ids": ids, "now": require_aware(now)})
        session.execute(REOPEN, {"tenant": tenant})
        detail = {"filter": dict(filters), "notifications": len(ids), "ids": ids}
        audit.record(session, tenant=tenant, actor=actor, action="notifications.redelivered",
                     subject="notifications", reason=reason, now=now, detail=detail)  # fmt: skip
    return by_tenant


def _values(wanted: Wanted, rows: int) -> dict[str, Any]:
    return {"states": list(wanted.states), "tenant": wanted.tenant, "type": wanted.type, "subject": wanted.subject,
            "ids": list(wanted.ids), "before": wanted.before, "rows": rows}  # fmt: skip
