"""All that is recorded of one payout, read together: job, hold, attempts, history, webhooks, news, audit, findings.

Facts only, and ids only: ops tells them as a timeline. Every query is answered by an index.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from models.errors import NotFound
from models.jobs.tables import PAYOUT_COMMANDS
from models.payouts.payout import Payout
from models.payouts.rows import wait_keys

ROWS_MAX = 1000
"""Of each kind. Nothing healthy comes near; `truncated` says so if something does."""

Row = Mapping[str, Any]

PAYOUT = text("SELECT * FROM payouts WHERE id = :id")

JOB_COLUMNS = """
    j.id, j.name, j.state, j.origin, j.idempotency_key, j.accepted_at, j.finished_at, j.last_error, j.result
"""

REQUEST = text(f"SELECT {JOB_COLUMNS} FROM jobs j WHERE j.id = :id")  # noqa: S608 - constants

# jobs_payout_commands_idx
COMMANDS = text(f"""
    SELECT {JOB_COLUMNS}, j.args ->> 'actor' AS actor, j.args ->> 'reason' AS reason
    FROM jobs j
    WHERE j.name IN {PAYOUT_COMMANDS} AND j.tenant = :tenant
        AND j.args ->> 'payout_id' IN (CAST(:id AS text), upper(CAST(:id AS text)))
    ORDER BY j.seq LIMIT :rows
""")  # noqa: S608 - constants

EVENTS = text("""
    SELECT id, at, cause, from_state, to_state, version, attempt_no, code, actor, reason, job_id, transaction_id, detail
    FROM payout_events WHERE payout_id = :id ORDER BY id LIMIT :rows
""")

ATTEMPTS = text("""
    SELECT attempt_no, provider_key, reference, claim_version, outcome, error_code, object_id, sends, started_at,
        finished_at, first_used_at, key_valid_until
    FROM payout_attempts WHERE payout_id = :id ORDER BY attempt_no LIMIT :rows
""")

LEDGER = text("""
    SELECT t.id AS transaction_id, t.kind, t.idempotency_key, t.job_id, t.occurred_at, a.code, a.currency,
        e.amount_minor, e.balance_after_minor
    FROM ledger_transactions t
    JOIN ledger_entries e ON e.transaction_id = t.id
    JOIN accounts a ON a.id = e.account_id
    WHERE t.tenant = :tenant AND t.subject = 'hold:' || CAST(:id AS text) ORDER BY t.id, e.id LIMIT :rows
""")

# Those that its history names, and those that still wait for it, or died, naming a reference of it.
WEBHOOKS = text(f"""
    SELECT {JOB_COLUMNS}, j.delivery_id, j.args ->> 'event_key' AS event_key, j.args ->> 'type' AS type,
        j.args ->> 'move' AS move, j.args ->> 'reference' AS reference, j.args ->> 'object_id' AS object_id,
        j.args -> 'sequence' AS sequence, j.args ->> 'occurred_at' AS occurred_at, j.due_at
    FROM jobs j
    WHERE j.name = 'webhooks.event' AND j.id IN (
        SELECT job_id FROM payout_events WHERE payout_id = :id AND job_id IS NOT NULL
        UNION ALL
        SELECT id FROM jobs WHERE state = 'parked' AND tenant = :tenant
            AND wait_keys && CAST(:wait_keys AS text[])
        UNION ALL
        SELECT id FROM jobs WHERE state = 'dead' AND tenant = :tenant
            AND args ->> 'reference' = ANY(CAST(:references AS text[]))
        UNION ALL
        SELECT id FROM jobs WHERE state = 'queued' AND tenant = :tenant
            AND args ->> 'reference' = ANY(CAST(:references AS text[]))
    )
    ORDER BY j.seq LIMIT :rows
""")  # noqa: S608 - constants

RESERVATION = text("""
    SELECT business_date, amount_minor, currency, reserved_at, released_at
    FROM limit_reservations WHERE payout_id = :id
""")

NOTIFICATIONS = text("""
    SELECT id, type, version, state, tries, next_try_at, last_error, created_at, delivered_at
    FROM notifications WHERE tenant = :tenant AND subject = :subject ORDER BY version LIMIT :rows
""")

AUDIT = text("""
    SELECT at, actor, action, subject, reason, job_id FROM audit_events
    WHERE tenant = :tenant AND subject = :subject ORDER BY id LIMIT :rows
""")

FINDINGS = text("""
    SELECT id, kind, state, amount_minor, currency, detail, first_seen_at, last_seen_at, times_seen, closed_at
    FROM reconciliation_findings WHERE tenant = :tenant AND subject = :subject ORDER BY id LIMIT :rows
""")

ROAD = text("""
    SELECT t.paused_at AS tenant_paused_at, t.payout_retry_limit, a.enabled, a.paused_at, a.paused_by, a.breaker,
        a.breaker_code, a.probe_at
    FROM tenants t LEFT JOIN provider_accounts a ON a.tenant = t.tenant AND a.provider = :provider
    WHERE t.tenant = :tenant
""")


@dataclass(frozen=True, slots=True)
class Story:
    """Rows as they stand, each list in order. `road` is what may stand in the payout's way: pauses, the breaker."""

    payout: Payout
    request: Row | None
    commands: Sequence[Row]
    events: Sequence[Row]
    attempts: Sequence[Row]
    ledger: Sequence[Row]
    webhooks: Sequence[Row]
    reservation: Row | None
    notifications: Sequence[Row]
    audit: Sequence[Row]
    findings: Sequence[Row]
    road: Row
    truncated: bool


def tell_story(session: Session, payout_id: UUID) -> Story:
    """Read all of it. Raises NotFound."""
    row = session.execute(PAYOUT, {"id": payout_id}).mappings().one_or_none()
    if row is None:
        raise NotFound(_missing(session, payout_id))
    payout = Payout.from_row(dict(row))
    about = {"id": payout_id, "tenant": payout.tenant, "subject": payout.subject, "rows": ROWS_MAX}
    attempts = _rows(session, ATTEMPTS, about)
    lists = {
        "commands": _rows(session, COMMANDS, about),
        "events": _rows(session, EVENTS, about),
        "attempts": attempts,
        "ledger": _rows(session, LEDGER, about),
        "webhooks": _rows(session, WEBHOOKS, about | _names(payout, attempts)),
        "notifications": _rows(session, NOTIFICATIONS, about),
        "audit": _rows(session, AUDIT, about),
        "findings": _rows(session, FINDINGS, about),
    }
    return Story(
        payout=payout,
        request=_one(session, REQUEST, about),
        reservation=_one(session, RESERVATION, about),
        road=_one(session, ROAD, {"tenant": payout.tenant, "provider": payout.provider}) or {},
        truncated=any(len(found) == ROWS_MAX for found in lists.values()),
        **lists,
    )


def _missing(session: Session, payout_id: UUID) -> str:
    """What the id is instead, if it is a request that made no payout."""
    job = _one(session, REQUEST, {"id": payout_id})
    if job is None or job["name"] != "payouts.request":
        return f"no payout {payout_id}"
    code = (job["result"] or {}).get("code")
    why = f" ({code})" if code else ""
    return f"no payout {payout_id}: its request is {job['state']}{why}; see: ledgerbeat jobs show {payout_id}"


def _names(payout: Payout, attempts: Sequence[Row]) -> dict[str, list[str]]:
    """What a webhook of it may be known by."""
    waited = [wait_keys(payout.provider, one["reference"], one["object_id"]) for one in attempts]
    return {
        "references": [one["reference"] for one in attempts],
        "wait_keys": [key for keys in waited for key in keys],
    }


def _rows(session: Session, query: TextClause, values: Mapping[str, Any]) -> list[Row]:
    return [dict(row) for row in session.execute(query, values).mappings()]


def _one(session: Session, query: TextClause, values: Mapping[str, Any]) -> Row | None:
    found = _rows(session, query, values)
    return found[0] if found else None
