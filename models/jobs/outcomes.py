"""What can become of a job, and finish(): writing it down with the effect, in the same transaction."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, assert_never

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.arrays import integers, texts
from models.base import require_aware
from models.jobs.claim import Job

PARKED_LADDER = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 720, 1440))
"""How long a parked job waits when nothing wakes it: by earlier attempts, the last one for ever."""

UNKNOWN_NAME = "unknown"
"""Stands in the counters for every name that is no job: those are the callers' to choose, without bound."""


@dataclass(frozen=True, slots=True)
class Done:
    """The effect has happened, or had before. `reason` is a short label for the counters: stale, duplicate, ..."""

    result: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A business rule said no; `code` is the contract's. Final."""

    code: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parked:
    """Something is missing: tried again when one of `wait_keys` is woken, and by the ladder. `reason` is short."""

    reason: str
    wait_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cooling:
    """It failed and is tried again at `retry_at`. `error` names no value."""

    error: str
    retry_at: datetime


@dataclass(frozen=True, slots=True)
class Dead:
    """It cannot be processed; a person looks at it. `detail` says why (`cause`, or `errors`)."""

    code: str
    detail: Mapping[str, Any] = field(default_factory=dict)


Outcome = Done | Refused | Parked | Cooling | Dead


@dataclass(frozen=True, slots=True)
class _Change:
    """The columns that an outcome sets, and the label it is counted under."""

    state: str
    reason: str
    result: Mapping[str, Any] | None = None
    error: str | None = None
    due_at: datetime | None = None
    wait_keys: tuple[str, ...] | None = None


def decide(job: Job, outcome: Outcome, now: datetime) -> _Change:
    """What `outcome` makes of the job's row. Pure."""
    match outcome:
        case Done(result, reason):
            return _Change("done", reason, result=result)
        case Refused(code, detail):
            return _Change("refused", code, result={"code": code, **detail})
        case Parked(reason, wait_keys):
            return _Change(
                "parked", reason, error=reason, wait_keys=wait_keys, due_at=now + parked_for(job.attempts)
            )
        case Cooling(error, retry_at):
            return _Change("cooling", "", error=error, due_at=require_aware(retry_at))
        case Dead(code, detail):
            return _Change("dead", code, result={"code": code, **detail}, error=f"{code}: {_cause(detail)}")
        case _:
            assert_never(outcome)


def parked_for(attempts: int) -> timedelta:
    """1 min, 5 min, 30 min, 2 h, 12 h, then daily; `attempts` counts the earlier ones."""
    return PARKED_LADDER[min(attempts, len(PARKED_LADDER) - 1)]


def _cause(detail: Mapping[str, Any]) -> str:
    if errors := detail.get("errors"):
        return "; ".join(f"{error.get('pointer') or '/'} {error.get('message')}" for error in errors[:3])
    return str(detail.get("cause", "no cause given"))


FINISH = text("""
    UPDATE jobs j SET
        state = o.state, attempts = j.attempts + 1, result = o.result::jsonb, last_error = o.error,
        due_at = coalesce(o.due_at, j.due_at),
        wait_keys = CASE WHEN o.wait_keys IS NOT NULL
            THEN ARRAY(SELECT jsonb_array_elements_text(o.wait_keys::jsonb)) END,
        finished_at = CASE WHEN o.state IN ('done', 'refused', 'dead') THEN CAST(:now AS timestamptz) END
    FROM unnest(CAST(:ids AS uuid[]), CAST(:states AS text[]), CAST(:results AS text[]), CAST(:errors AS text[]),
                CAST(:due_ats AS timestamptz[]), CAST(:wait_keys AS text[]))
        AS o (id, state, result, error, due_at, wait_keys)
    WHERE j.id = o.id AND j.id = ANY(CAST(:ids AS uuid[]))
""")

COUNT = text("""
    INSERT INTO job_outcomes (tenant, name, outcome, reason, total)
    SELECT * FROM unnest(CAST(:tenants AS text[]), CAST(:names AS text[]), CAST(:outcomes AS text[]),
                         CAST(:reasons AS text[]), CAST(:totals AS bigint[])) AS c ORDER BY 1, 2, 3, 4
    ON CONFLICT (tenant, name, outcome, reason)
    DO UPDATE SET total = job_outcomes.total + excluded.total, updated_at = now()
""")


def finish(session: Session, outcomes: Sequence[tuple[Job, Outcome]], *, now: datetime) -> None:
    """Write what became of these jobs, one attempt more for each, in two round trips.

    The counters of `job_outcomes` grow with them; a job tried for the first time counts as `accepted` too.
    """
    if not outcomes:
        return
    changes = [(job, decide(job, outcome, require_aware(now))) for job, outcome in outcomes]
    session.execute(FINISH, _columns(changes) | {"now": require_aware(now)})
    tally: Counter[tuple[str, str, str, str]] = Counter()
    for job, change in changes:
        name = UNKNOWN_NAME if change.reason == "unknown_job" else job.name
        tally[job.tenant, name, change.state, change.reason] += 1
        tally[job.tenant, name, "accepted", ""] += job.attempts == 0 and not job.tried
    count(session, tally)


def count(session: Session, tally: Mapping[tuple[str, str, str, str], int]) -> None:
    """Add to the durable counters, by (tenant, name, outcome, reason)."""
    added = sorted((key, total) for key, total in tally.items() if total)
    if not added:
        return
    tenants, names, outcomes, reasons = zip(*(key for key, _ in added), strict=True)
    labels = {"tenants": tenants, "names": names, "outcomes": outcomes, "reasons": reasons}
    values = {label: texts(column) for label, column in labels.items()}
    session.execute(COUNT, values | {"totals": integers(total for _, total in added)})


def _columns(changes: Sequence[tuple[Job, _Change]]) -> dict[str, str]:
    return {
        "ids": texts(job.id.hex for job, _ in changes),
        "states": texts(change.state for _, change in changes),
        "results": texts(_json(change.result) for _, change in changes),
        "errors": texts(change.error for _, change in changes),
        "due_ats": texts(change.due_at.isoformat() if change.due_at else None for _, change in changes),
        "wait_keys": texts(_json(change.wait_keys) for _, change in changes),
    }


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
