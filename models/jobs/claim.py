"""claim(): the oldest work of a lane, and what wakes the jobs that wait.

A lane is a tenant. `queued` means due: whatever waits is `cooling` or `parked` with its `due_at`, and waking it makes
it `queued`. So the order of a lane is `seq` alone, and no clock can turn it round.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from models.base import require_aware
from models.changing import changed
from models.errors import LaneBusy
from models.jobs.stored import readable

WEIGHT_MAX = 2000
LANE_SECONDS_MAX = 15.0
LOCK_NOT_AVAILABLE = "55P03"


@dataclass(frozen=True, slots=True)
class Job:
    """One claimed job. `attempts` counts the earlier ones; `args` is None when they cannot be read.

    `tried` is True after any outcome, also when a redrive has set `attempts` back to 0.
    """

    id: UUID
    seq: int
    tenant: str
    name: str
    origin: str
    idempotency_key: str
    args: dict[str, Any] | None
    attempts: int
    accepted_at: datetime
    delivery_id: int | None
    tried: bool = False


@dataclass(frozen=True, slots=True)
class Lane:
    """A tenant with queued jobs; `due_since` is when the next one to be claimed fell due."""

    tenant: str
    due_since: datetime


# Who has the lane looks rows up by key and never reads a table through; the settings end with the transaction. Without
# them a plan made when a table was small, and kept by the connection, reads it all until it is analyzed again.
LOCK_LANE = text("""
    SELECT pg_try_advisory_xact_lock(hashtextextended('ledgerbeat.lane:' || :tenant, 0)),
        set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)
""")

WAIT_FOR_LANE = text("SELECT pg_advisory_xact_lock(hashtextextended('ledgerbeat.lane:' || :tenant, 0))")
LANE_WAIT = text("SELECT set_config('lock_timeout', :milliseconds, true)")

# The lane's oldest, as many as weigh at most :weight together, and at least one. A job weighs as many postings as it
# asks for. Rows that an operator holds at this moment are left for the next batch. One pass over the index: where the
# rows were joined to their own keys, a plan made when nothing was queued read the whole lane for every batch.
CLAIM = text("""
    WITH oldest AS MATERIALIZED (
        SELECT id, seq, tenant, name, origin, idempotency_key, args, attempts, accepted_at, delivery_id, last_error
        FROM jobs WHERE tenant = :tenant AND state = 'queued' ORDER BY seq LIMIT :limit
        FOR NO KEY UPDATE SKIP LOCKED
    ), weighed AS (
        SELECT *, row_number() OVER up AS nth, sum(CASE jsonb_typeof(args -> 'awards')
            WHEN 'array' THEN greatest(jsonb_array_length(args -> 'awards'), 1) ELSE 1 END) OVER up AS weight
        FROM oldest WINDOW up AS (ORDER BY seq)
    )
    SELECT id, seq, tenant, name, origin, idempotency_key, args::text AS args, attempts, accepted_at, delivery_id,
        last_error IS NOT NULL AS tried
    FROM weighed WHERE nth = 1 OR weight <= :weight ORDER BY seq
""")

HAS_WORK = text("SELECT EXISTS (SELECT FROM jobs WHERE tenant = :tenant AND state = 'queued')")

# One index probe per tenant, however long the lanes are.
LANES = text("""
    SELECT t.tenant, next.due_at
    FROM tenants t CROSS JOIN LATERAL (
        SELECT j.due_at FROM jobs j WHERE j.tenant = t.tenant AND j.state = 'queued' ORDER BY j.seq LIMIT 1) AS next
    ORDER BY next.due_at
""")

WAKE_DUE = text("""
    WITH due AS (
        SELECT id FROM jobs WHERE state IN ('cooling', 'parked') AND due_at <= :now
        ORDER BY due_at LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE jobs j SET state = 'queued', wait_keys = NULL FROM due WHERE j.id = due.id
""")

WAKE_SQL = """
    UPDATE jobs SET state = 'queued', wait_keys = NULL, due_at = :now
    WHERE tenant = :tenant AND state = 'parked' AND wait_keys && CAST(:wait_keys AS text[])
"""
"""Also for a statement that does something else beside."""
WAKE = text(WAKE_SQL)


def lock_lane(session: Session, tenant: str) -> bool:
    """Take the lane until the transaction ends; False when someone else has it. Never waits."""
    return bool(session.execute(LOCK_LANE, {"tenant": tenant}).scalar_one())


def wait_for_lane(session: Session, tenant: str, *, seconds: float = LANE_SECONDS_MAX) -> None:
    """Take the lane until the transaction ends, before the drains that ask later. Raises LaneBusy.

    For operators: while they have it no job of the lane is being applied, so what they read there stays so.
    """
    session.execute(LANE_WAIT, {"milliseconds": str(int(seconds * 1000))})
    try:
        session.execute(WAIT_FOR_LANE, {"tenant": tenant})
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        raise LaneBusy(f"the lane of {tenant} was being drained for {seconds:g} s: try again") from error


def claim(session: Session, tenant: str, *, limit: int, weight_max: int = WEIGHT_MAX) -> list[Job]:
    """The oldest queued jobs of the lane, in order, locked until the transaction ends. Take the lane first."""
    values = {"tenant": tenant, "limit": limit, "weight": weight_max}
    rows = session.execute(CLAIM, values).mappings()
    return [Job(**{**row, "args": readable(row["args"])}) for row in rows]


def has_work(session: Session, tenant: str) -> bool:
    """Are jobs queued in the lane? Takes no lock."""
    return bool(session.execute(HAS_WORK, {"tenant": tenant}).scalar_one())


def lanes_with_work(session: Session) -> list[Lane]:
    """Every lane with queued jobs, the one that has waited longest first."""
    return [Lane(row.tenant, row.due_at) for row in session.execute(LANES)]


def wake_due(session: Session, *, now: datetime, limit: int) -> int:
    """Queue the cooling and parked jobs whose time has come, the most overdue first. How many."""
    return changed(session, WAKE_DUE, {"now": require_aware(now), "limit": limit})


def wake(session: Session, tenant: str, wait_keys: Collection[str], *, now: datetime) -> int:
    """Queue the parked jobs that wait for any of these keys. How many.

    To be called in the transaction that brings about what they wait for, with the lane taken.
    """
    if not wait_keys:
        return 0
    values = {"tenant": tenant, "wait_keys": sorted(wait_keys), "now": require_aware(now)}
    return changed(session, WAKE, values)
