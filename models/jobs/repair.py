"""What an operator does to jobs: queue them again, or cancel them. Always with a reason, always audited.

Both take the lane first, so that no drain is at work in it: a job is either finished already and left as it is, or
it is changed here and no drain will apply what it was.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from models import audit
from models.base import require_aware
from models.jobs.claim import wait_for_lane

REDRIVABLE = ("dead", "parked", "cooling")
"""`refused` is final: a business rule said no, and the same key must keep its answer."""

CANCELLABLE = ("queued", "parked", "cooling")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which jobs; None or empty is no restriction, but `states` must be named.

    `code` is the code of a result, or what the cause begins with.
    """

    states: Sequence[str]
    tenant: str | None = None
    name: str | None = None
    code: str | None = None
    accepted_before: datetime | None = None
    accepted_after: datetime | None = None
    ids: Sequence[UUID] = ()


@dataclass(frozen=True, slots=True)
class Picked:
    """A job that fits. `cause` is what it stands there for: a code, for a parked or failed job the reason."""

    id: UUID
    seq: int
    tenant: str
    name: str
    state: str
    cause: str


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants it, why, in which run, and by which filter: what the audit trail keeps."""

    actor: str
    reason: str
    run: UUID
    filter: Mapping[str, Any]


# One select per state, for each has a partial index of its own: what is finished is never read.
OF_STATE = """
    (SELECT id, seq, tenant, name, state,
        CASE WHEN result ->> 'code' <> 'failed' THEN result ->> 'code'
             ELSE coalesce(last_error, 'never tried') END AS cause
    FROM jobs
    WHERE state = '{state}'
        AND (CAST(:tenant AS text) IS NULL OR tenant = :tenant)
        AND (CAST(:name AS text) IS NULL OR name = :name)
        AND (CAST(:code AS text) IS NULL OR result ->> 'code' = :code OR starts_with(last_error, :code))
        AND (CAST(:accepted_before AS timestamptz) IS NULL OR accepted_at < :accepted_before)
        AND (CAST(:accepted_after AS timestamptz) IS NULL OR accepted_at >= :accepted_after)
        AND (CAST(:ids AS uuid[]) = '{{}}' OR id = ANY(CAST(:ids AS uuid[])))
    {tail})
"""

STANDING = text("SELECT id, state FROM jobs WHERE id = ANY(CAST(:ids AS uuid[]))")

# `last_error` stays until the next outcome: it says what the job was queued again for.
REDRIVE = text("""
    UPDATE jobs SET state = 'queued', attempts = 0, due_at = :now, finished_at = NULL, result = NULL, wait_keys = NULL
    WHERE tenant = :tenant AND id = ANY(CAST(:ids AS uuid[])) AND state = ANY(CAST(:states AS text[]))
    RETURNING id
""")

CANCEL = text("""
    UPDATE jobs SET state = 'cancelled', finished_at = :now, wait_keys = NULL
    WHERE tenant = :tenant AND id = ANY(CAST(:ids AS uuid[])) AND state = ANY(CAST(:states AS text[]))
    RETURNING id
""")


def pick(session: Session, wanted: Selection, *, rows: int) -> list[Picked]:
    """The oldest jobs that fit, in order of acceptance."""
    fitting = _selects(wanted, "ORDER BY seq LIMIT :rows")
    query = text(f"SELECT * FROM ({fitting}) AS f ORDER BY seq LIMIT :rows")  # noqa: S608 - states are our own
    found = session.execute(query, {**_values(wanted), "rows": rows})
    return [Picked(*row) for row in found]


def count_fitting(session: Session, wanted: Selection) -> int:
    """How many jobs fit."""
    query = text(f"SELECT count(*) FROM ({_selects(wanted, '')}) AS fitting")  # noqa: S608 - states are our own
    return int(session.execute(query, _values(wanted)).scalar_one())


def states_of(session: Session, ids: Collection[UUID]) -> dict[UUID, str]:
    """The state of each of these jobs; one that does not exist is left out."""
    return {row.id: row.state for row in session.execute(STANDING, {"ids": list(ids)})}


def requeue(
    session: Session, tenant: str, ids: Collection[UUID], states: Sequence[str], *, now: datetime
) -> list[UUID]:
    """Queue those of the tenant's jobs that are still in one of `states`, as if they had never been tried.

    Takes the lane until the transaction ends. Which jobs were queued.
    """
    return _change(session, REDRIVE, tenant, ids, [one for one in states if one in REDRIVABLE], now)


def redrive(
    session: Session,
    tenant: str,
    jobs: Sequence[Picked],
    states: Sequence[str],
    order: Order,
    *,
    now: datetime,
) -> list[UUID]:
    """Queue jobs of one tenant again and audit it. Which were queued; another has changed in the meantime."""
    changed = requeue(session, tenant, [job.id for job in jobs], states, now=now)
    _record(session, tenant, "jobs.redriven", jobs, changed, order, now)
    return changed


def cancel(
    session: Session,
    tenant: str,
    jobs: Sequence[Picked],
    states: Sequence[str],
    order: Order,
    *,
    now: datetime,
) -> list[UUID]:
    """Cancel jobs of one tenant for good and audit it. Which were cancelled; another is finished already."""
    allowed = [one for one in states if one in CANCELLABLE]
    changed = _change(session, CANCEL, tenant, [job.id for job in jobs], allowed, now)
    _record(session, tenant, "jobs.cancelled", jobs, changed, order, now)
    return changed


def _change(
    session: Session,
    statement: TextClause,
    tenant: str,
    ids: Collection[UUID],
    states: Sequence[str],
    now: datetime,
) -> list[UUID]:
    wait_for_lane(session, tenant)
    values = {"tenant": tenant, "ids": list(ids), "states": list(states), "now": require_aware(now)}
    return list(session.execute(statement, values).scalars())


def _record(
    session: Session,
    tenant: str,
    action: str,
    jobs: Sequence[Picked],
    changed: Collection[UUID],
    order: Order,
    now: datetime,
) -> None:
    """One audit event with what was changed; none when nothing was."""
    if not changed:
        return
    ids = set(changed)
    causes = Counter(f"{job.name}: {job.cause}" for job in jobs if job.id in ids)
    audit.record(
        session,
        tenant=tenant,
        actor=order.actor,
        action=action,
        subject="jobs",
        reason=order.reason,
        now=now,
        detail={
            "run": str(order.run),
            "filter": dict(order.filter),
            "jobs": len(ids),
            "causes": dict(causes),
            "ids": sorted(str(one) for one in ids),
        },
    )


def _selects(wanted: Selection, tail: str) -> str:
    return " UNION ALL ".join(OF_STATE.format(state=state, tail=tail) for state in _known(wanted.states))


def _known(states: Sequence[str]) -> list[str]:
    known = sorted({*REDRIVABLE, *CANCELLABLE} & set(states))
    if not known or len(known) != len(set(states)):
        raise ValueError(f"states of unfinished or dead jobs were expected, {sorted(states)} were asked for")
    return known


def _values(wanted: Selection) -> dict[str, Any]:
    return {
        "tenant": wanted.tenant,
        "name": wanted.name,
        "code": wanted.code,
        "accepted_before": wanted.accepted_before,
        "accepted_after": wanted.accepted_after,
        "ids": list(wanted.ids),
    }
