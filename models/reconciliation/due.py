"""Runs that are due: which dates have a row, whose message is to be sent, and a run that is asked for again.

A row that is due is leased to whoever sends its message: should that be lost, the row falls due again. A run that
failed falls due again too, each time after twice as long.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base import require_aware

LEASE_SECONDS = 300
LEASE_SECONDS_MAX = 6 * 3600

Account = tuple[str, str]
"""Tenant and provider."""

CALENDARS = text("""
    SELECT t.tenant, a.provider, t.timezone, t.reconcile_at_local, t.created_at,
        (SELECT min(r.business_date) FROM reconciliation_runs r
            WHERE r.tenant = a.tenant AND r.provider = a.provider) AS first,
        ARRAY(SELECT r.business_date FROM reconciliation_runs r
            WHERE r.tenant = a.tenant AND r.provider = a.provider AND r.business_date >= :since) AS known
    FROM unnest(CAST(:tenants AS text[]), CAST(:providers AS text[])) AS a (tenant, provider)
    JOIN tenants t USING (tenant) ORDER BY 1, 2
""")

# Oldest first. Two Beats see to different rows.
LEASE = text("""
    WITH due AS (
        SELECT r.id FROM reconciliation_runs r
        JOIN unnest(CAST(:tenants AS text[]), CAST(:providers AS text[])) AS a (tenant, provider)
            USING (tenant, provider)
        WHERE r.state IN ('pending', 'running', 'failed') AND r.due_at <= :now AND r.business_date >= :since
            AND (r.state <> 'running' OR r.claimed_until <= :now)
        ORDER BY r.business_date, r.id LIMIT :rows FOR UPDATE OF r SKIP LOCKED
    ), leased AS (
        UPDATE reconciliation_runs r SET due_at = CAST(:now AS timestamptz) + make_interval(
            secs => least(:seconds * power(2, least(r.revision, 20)), :seconds_max))
        FROM due WHERE r.id = due.id RETURNING r.tenant, r.provider, r.business_date, r.id
    )
    SELECT tenant, provider, business_date FROM leased ORDER BY business_date, id
""").bindparams(seconds=LEASE_SECONDS, seconds_max=LEASE_SECONDS_MAX)

# What is running is left to who runs it. The others begin once more, with a take of their own.
ASK = text("""
    INSERT INTO reconciliation_runs AS r (tenant, provider, business_date, due_at)
    SELECT DISTINCT :tenant, a.provider, a.business_date, CAST(:now AS timestamptz)
    FROM unnest(CAST(:providers AS text[]), CAST(:dates AS date[])) AS a (provider, business_date) ORDER BY 2, 3
    ON CONFLICT (tenant, provider, business_date) DO UPDATE SET
        state = 'pending', due_at = excluded.due_at, claimed_until = NULL, finished_at = NULL, last_error = NULL
    WHERE r.state <> 'running' OR r.claimed_until <= :now
    RETURNING provider, business_date
""")

IS_DUE = text("""
    SELECT state IN ('pending', 'failed') OR (state = 'running' AND claimed_until <= :now) FROM reconciliation_runs
    WHERE tenant = :tenant AND provider = :provider AND business_date = :business_date
""")

PROVIDERS = text("SELECT provider FROM provider_accounts WHERE tenant = :tenant")


class CalendarRow(NamedTuple):
    """What is known of the nights of one account; `known` since the date that was asked for."""

    tenant: str
    provider: str
    timezone: str
    reconcile_at_local: str
    created_at: datetime
    first: date | None
    known: Sequence[date]


@dataclass(frozen=True, slots=True)
class RunName:
    """The identity of a run."""

    tenant: str
    provider: str
    business_date: date


def read_calendars(session: Session, accounts: Collection[Account], *, since: date) -> list[CalendarRow]:
    """Of those accounts whose tenant the database knows."""
    found = session.execute(CALENDARS, _columns(accounts) | {"since": since})
    return [CalendarRow(*row) for row in found]


def lease_due(
    session: Session, accounts: Collection[Account], *, since: date, rows: int, now: datetime
) -> list[RunName]:
    """The runs of these accounts, of `since` and later, whose message is to be sent now; oldest first."""
    values = _columns(accounts) | {"since": since, "rows": rows, "now": require_aware(now)}
    return [RunName(*row) for row in session.execute(LEASE, values)]


def is_due(session: Session, run: RunName, *, now: datetime) -> bool:
    """Is there work in it: pending, failed, or left lying by a process that died?"""
    values = {"tenant": run.tenant, "provider": run.provider, "business_date": run.business_date}
    return bool(session.execute(IS_DUE, values | {"now": now}).scalar_one_or_none())


def ask_for_runs(
    session: Session, tenant: str, runs: Sequence[tuple[str, date]], *, now: datetime
) -> set[tuple[str, date]]:
    """Make these runs, by provider and business date, due now; those that were not already under way."""
    values = {"tenant": tenant, "providers": [one for one, _ in runs], "dates": [day for _, day in runs]}
    return {(row[0], row[1]) for row in session.execute(ASK, values | {"now": require_aware(now)})}


def known_providers(session: Session, tenant: str) -> set[str]:
    """The tenant's provider accounts, of its settings."""
    return set(session.execute(PROVIDERS, {"tenant": tenant}).scalars())


def _columns(accounts: Collection[Account]) -> dict[str, list[str]]:
    ordered = sorted(accounts)
    return {"tenants": [one for one, _ in ordered], "providers": [one for _, one in ordered]}
