"""Runs: one row per tenant, provider and business date, and the claim that lets one process at a time work on it.

The claim has a version. Whoever writes shows the version that it was given: one whose time ran out and whose run was
taken over finds out at its next write, and has written nothing since.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.orm import Session

from models.base import require_aware
from models.errors import LedgerbeatError


class ClaimLost(LedgerbeatError):
    """The run was claimed by another process meanwhile; nothing may be committed."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a run. `business_date` is the tenant's."""

    run_id: int
    tenant: str
    provider: str
    business_date: date
    version: int
    revision: int


# A row that is there is taken over unless somebody is at work on it.
CLAIM = text("""
    INSERT INTO reconciliation_runs AS r (tenant, provider, business_date, state, revision, claim_version,
        claimed_until, due_at, started_at, window_from, window_to)
    VALUES (:tenant, :provider, :business_date, 'running', 1, 1, :until, :now, :now, :window_from, :window_to)
    ON CONFLICT (tenant, provider, business_date) DO UPDATE SET
        state = 'running', revision = r.revision + 1, claim_version = r.claim_version + 1,
        claimed_until = excluded.claimed_until, started_at = excluded.started_at, finished_at = NULL,
        window_from = excluded.window_from, window_to = excluded.window_to, last_error = NULL
    WHERE r.state <> 'running' OR r.claimed_until <= :now
    RETURNING id, claim_version, revision
""")

RENEW = text("""
    UPDATE reconciliation_runs SET claimed_until = greatest(claimed_until, :until)
    WHERE id = :run_id AND claim_version = :version AND state = 'running'
    RETURNING id
""")

# A run that fails before it has read anything leaves the count of what its earlier revision was told.
END = text("""
    UPDATE reconciliation_runs SET state = :state, claimed_until = NULL, finished_at = :now, last_error = :last_error,
        records = greatest(records, :records), bad_rows = greatest(bad_rows, :bad_rows),
        matched = :matched, expected = :expected,
        findings_open = :findings_open, counts = CAST(:counts AS jsonb), totals = CAST(:totals AS jsonb),
        checks = CAST(:checks AS jsonb), concluded_from = coalesce(:since, concluded_from),
        concluded_until = coalesce(:until, concluded_until), concluded_id = coalesce(:last_id, concluded_id)
    WHERE id = :run_id AND claim_version = :version AND state = 'running'
    RETURNING id
""")

PLAN = text("""
    INSERT INTO reconciliation_runs (tenant, provider, business_date, due_at)
    VALUES (:tenant, :provider, :business_date, :due_at)
    ON CONFLICT (tenant, provider, business_date) DO NOTHING
    RETURNING id
""")

SET_REPORT = text("UPDATE reconciliation_runs SET report_path = :path WHERE id = :run_id")

LOAD = text("""
    SELECT * FROM reconciliation_runs
    WHERE tenant = :tenant AND provider = :provider AND business_date = :business_date
""")


@dataclass(frozen=True, slots=True)
class Concluded:
    """About which of the ledger's transactions a run has concluded: those that occurred in [since, until), as far as
    they were there, up to `last_id`."""

    since: datetime
    until: datetime
    last_id: int


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended, as its row says it."""

    state: str
    records: int = 0
    bad_rows: int = 0
    matched: int = 0
    expected: int = 0
    findings_open: int = 0
    counts: Mapping[str, Any] | None = None
    totals: Mapping[str, Any] | None = None
    checks: Sequence[Mapping[str, Any]] = ()
    last_error: str | None = None


def plan_run(session: Session, tenant: str, provider: str, business_date: date, *, due_at: datetime) -> bool:
    """Make sure that the night has its row. True for exactly one caller, however many ask."""
    values = {"tenant": tenant, "provider": provider, "business_date": business_date, "due_at": due_at}
    return session.execute(PLAN, values).one_or_none() is not None


def claim_run(
    session: Session,
    tenant: str,
    provider: str,
    business_date: date,
    *,
    window: tuple[datetime, datetime],
    seconds: float,
    now: datetime,
) -> Claim | None:
    """Take the run for so many seconds, whether its row is there or not; None while somebody else is at it.

    `window` is what the run judges.
    """
    identity = {"tenant": tenant, "provider": provider, "business_date": business_date}
    times = {"now": require_aware(now), "until": now + timedelta(seconds=seconds)}
    bounds = {"window_from": window[0], "window_to": window[1]}
    row = session.execute(CLAIM, identity | times | bounds).one_or_none()
    return None if row is None else Claim(row[0], tenant, provider, business_date, row[1], row[2])


def renew_claim(session: Session, claim: Claim, *, seconds: float, now: datetime) -> None:
    """Keep it for so many seconds from now, and hold its row until this transaction ends. Raises ClaimLost."""
    values = {"run_id": claim.run_id, "version": claim.version, "until": now + timedelta(seconds=seconds)}
    _written(claim, session.execute(RENEW, values).one_or_none())


def end_run(
    session: Session, claim: Claim, ending: Ending, *, now: datetime, concluded: Concluded | None = None
) -> None:
    """Write how it ended and give the claim back, in the transaction of what it concluded. Raises ClaimLost."""
    values = {
        "run_id": claim.run_id,
        "version": claim.version,
        "now": now,
        "state": ending.state,
        "records": ending.records,
        "bad_rows": ending.bad_rows,
        "matched": ending.matched,
        "expected": ending.expected,
        "findings_open": ending.findings_open,
        "counts": json.dumps(ending.counts or {}),
        "totals": json.dumps(ending.totals or {}),
        "checks": json.dumps(ending.checks),
        "last_error": ending.last_error,
        "since": concluded and concluded.since,
        "until": concluded and concluded.until,
        "last_id": concluded and concluded.last_id,
    }
    _written(claim, session.execute(END, values).one_or_none())


def note_report(session: Session, run_id: int, path: str) -> None:
    """Say where the run's report lies."""
    session.execute(SET_REPORT, {"run_id": run_id, "path": path})


def load_run(session: Session, tenant: str, provider: str, business_date: date) -> RowMapping | None:
    """The row of the run, or None."""
    values = {"tenant": tenant, "provider": provider, "business_date": business_date}
    return session.execute(LOAD, values).mappings().one_or_none()


def _written(claim: Claim, row: object) -> None:
    if row is None:
        raise ClaimLost(f"run {claim.run_id}: claim {claim.version} has been taken over")
