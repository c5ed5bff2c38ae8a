"""Payouts: what keeps money from leaving, and what waits for a person. Ages come from the database's own clock."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from ops.doctor.findings import Finding, ok, problem, warning
from worker.settings import Settings

LATE_SECONDS_MAX = 60
"""Dispatch runs every second: what may leave and has been due for longer is not being dispatched."""
APPROVAL_SECONDS_WARNING = 24 * 3600
RUNBOOK = "ops/runbooks/payouts.md"

# Over open payouts alone (payouts_open_idx). Late: it may leave, it is due, and nothing for it is under way.
LOOK = text("""
    SELECT a.tenant, a.provider, a.enabled, a.paused_by, a.paused_at IS NOT NULL AS paused,
        t.paused_at IS NOT NULL AS tenant_paused, a.breaker, a.breaker_code, coalesce(p.payouts, 0) AS payouts,
        coalesce(p.waiting, 0) AS waiting, coalesce(p.overdue, 0) AS overdue, coalesce(p.slow, 0) AS slow,
        coalesce(p.late_seconds, 0)::float8 AS late_seconds, coalesce(p.approval_seconds, 0)::float8 AS approval_seconds
    FROM provider_accounts a JOIN tenants t USING (tenant)
    LEFT JOIN (
        SELECT o.tenant, o.provider, count(*) AS payouts,
            count(*) FILTER (WHERE o.state IN ('approved', 'cooling')) AS waiting,
            extract(epoch FROM clock_timestamp() - min(o.next_attempt_at) FILTER (
                WHERE coalesce(o.dispatched_until < clock_timestamp(), true))) AS late_seconds,
            count(*) FILTER (WHERE o.state = 'in_doubt'
                AND o.lookups_made >= cardinality(w.in_doubt_ladder_seconds)) AS overdue,
            count(*) FILTER (WHERE o.state = 'awaiting_approval'
                AND o.requested_at < statement_timestamp() - make_interval(secs => :slow_seconds)) AS slow,
            extract(epoch FROM clock_timestamp() - min(o.requested_at) FILTER (
                WHERE o.state = 'awaiting_approval')) AS approval_seconds
        FROM payouts o JOIN tenants w USING (tenant)
        WHERE o.state IN ('awaiting_approval', 'approved', 'sending', 'submitted', 'in_doubt', 'cooling')
        GROUP BY 1, 2
    ) p USING (tenant, provider)
    ORDER BY a.tenant, a.provider
""").bindparams(slow_seconds=APPROVAL_SECONDS_WARNING)


def check_payouts(connection: Connection, settings: Settings) -> Iterator[Finding]:
    """Per provider account: paused, broken, without a key, late; and what waits for a person."""
    rows = connection.execute(LOOK).all()
    found = [finding for row in rows for finding in _account(row, settings)]
    yield from found
    if rows and not found:
        yield ok("payouts", f"{sum(row.payouts for row in rows)} are open, nothing keeps them from leaving")


def _account(row: Any, settings: Settings) -> Sequence[Finding]:
    checks = (_key(row, settings), _paused(row), _breaker(row), _late(row), _overdue(row), _approvals(row))
    return [finding for finding in checks if finding is not None]


def _name(row: Any) -> str:
    return f"{row.tenant}/{row.provider}"


def _key(row: Any, settings: Settings) -> Finding | None:
    """Payouts are open, and the settings of this machine can neither send them nor ask about them."""
    tenant = settings.tenants.get(row.tenant)
    provider = tenant.providers.get(row.provider) if tenant else None
    if not row.payouts or (row.enabled and (provider is None or provider.pays_out)):
        return None
    where = f"tenants.{row.tenant}.providers.{row.provider}"
    missing = where if provider is None else f"{where}.{'base_url' if provider.api_key else 'api_key'}"
    found = (
        f"{_name(row)} cannot pay out or be asked ({missing} is missing), and {row.payouts} payouts are open"
    )
    return problem("payouts", found, f"set {missing} (README: Settings), then start the workers again")


def _paused(row: Any) -> Finding | None:
    if not row.paused:
        return None
    found = f"{_name(row)} is paused by {row.paused_by}; {row.waiting} payouts wait"
    fix = f"when it may go on: ledgerbeat providers resume --tenant {row.tenant} --provider {row.provider} --reason ..."
    return warning("payouts", found, fix)


def _breaker(row: Any) -> Finding | None:
    if row.breaker == "closed":
        return None
    found = f"the breaker of {_name(row)} is {row.breaker} ({row.breaker_code}); {row.waiting} payouts wait"
    return warning(
        "payouts", found, f"see why the provider fails or refuses us; it probes by itself; {RUNBOOK}"
    )


def _late(row: Any) -> Finding | None:
    may_leave = row.enabled and not row.paused and not row.tenant_paused and row.breaker == "closed"
    if not may_leave or row.late_seconds <= LATE_SECONDS_MAX:
        return None
    found = f"{_name(row)}: {row.waiting} payouts wait, the oldest due for {row.late_seconds:.0f} s: nobody dispatches"
    fix = "start Beat and workers of the queues 'intake' and 'payouts'; if they run, the rate limit may be too low"
    return problem("payouts", found, fix)


def _overdue(row: Any) -> Finding | None:
    if not row.overdue:
        return None
    found = f"{_name(row)}: {row.overdue} payouts are in doubt past the whole ladder of look-ups"
    fix = (
        f"ledgerbeat payouts list --tenant {row.tenant} --provider {row.provider} --state in_doubt; {RUNBOOK}"
    )
    return problem("payouts", found, fix)


def _approvals(row: Any) -> Finding | None:
    if not row.slow:
        return None
    hours = row.approval_seconds / 3600
    found = (
        f"{_name(row)}: {row.slow} payouts wait for approval, the oldest for {hours:.0f} h, their money held"
    )
    fix = f"ledgerbeat payouts list --tenant {row.tenant} --state awaiting_approval --older-than 24h; approve or reject"
    return warning("payouts", found, fix)
