"""Runs of backfills: one row each, with a cursor that is committed with each batch.

pending ──▶ running ──▶ done
   ▲           │
   └─(resume)─ paused
pending, running, paused ──▶ cancelled
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.orm import Session

from models.base import require_aware
from models.changing import changed
from models.errors import NotFound


@dataclass(frozen=True, slots=True)
class NewRun:
    """What is asked for. `source` holds references, never a secret; `namespace` is part of every row's key."""

    id: UUID
    tenant: str
    kind: str
    source: Mapping[str, Any]
    namespace: str
    actor: str
    reason: str
    batch_rows: int
    dry_run: bool = False
    max_amount_minor: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    job_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its row says it; see models.backfills.tables for the columns."""

    id: UUID
    tenant: str
    kind: str
    source: Mapping[str, Any]
    source_digest: str | None
    namespace: str
    options: Mapping[str, Any]
    dry_run: bool
    batch_rows: int
    max_amount_minor: int | None
    state: str
    pause_code: str | None
    stop_asked: str | None
    last_error: str | None
    phase: str
    cursor: Mapping[str, Any] | None
    rows_read: int
    posted: int
    replayed: int
    unchanged: int
    quarantined: int
    waiting: int
    bytes_read: int
    bytes_total: int | None
    rows_total: int | None
    money: Mapping[str, Mapping[str, int]]
    reasons: Mapping[str, int]
    batches: int
    rows_last: int | None
    claim_version: int
    claimed_until: datetime | None
    next_batch_at: datetime
    actor: str
    reason: str
    job_id: UUID | None
    created_at: datetime
    started_at: datetime | None
    last_batch_at: datetime | None
    last_batch_seconds: float | None
    others_waited_at: datetime | None
    worked_seconds: float
    finished_at: datetime | None

    @property
    def is_final(self) -> bool:
        return self.state in ("done", "cancelled")

    def posted_minor(self, currency: str) -> int:
        """What this run has moved so far, for its cap."""
        return self.money.get(currency, {}).get("posted", 0)


COLUMNS = tuple(column.name for column in fields(Run))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a run stands after a batch: everything in its row that a batch changes. Until `claimed_until` it is kept
    for whoever is handed the next turn."""

    phase: str
    cursor: Mapping[str, Any] | None
    rows_read: int
    posted: int
    replayed: int
    unchanged: int
    quarantined: int
    waiting: int
    bytes_read: int
    money: Mapping[str, Mapping[str, int]]
    reasons: Mapping[str, int]
    rows_last: int
    last_batch_seconds: float
    others_waited_at: datetime | None
    worked_seconds: float
    claimed_until: datetime | None


CREATE = text("""
    INSERT INTO backfills (id, tenant, kind, source, namespace, options, dry_run, batch_rows, max_amount_minor,
        actor, reason, job_id, next_batch_at, created_at)
    VALUES (:id, :tenant, :kind, CAST(:source AS jsonb), :namespace, CAST(:options AS jsonb), :dry_run, :batch_rows,
        :max_amount_minor, :actor, :reason, :job_id, :now, :now)
    ON CONFLICT DO NOTHING
""")

LOAD = text("SELECT * FROM backfills WHERE id = :id")

FIND = text("""
    SELECT * FROM backfills
    WHERE (CAST(:tenant AS text) IS NULL OR tenant = :tenant)
        AND (CAST(:states AS text[]) IS NULL OR state = ANY(CAST(:states AS text[])))
        AND (CAST(:dry_run AS boolean) IS NULL OR dry_run = :dry_run)
    ORDER BY created_at DESC, id LIMIT :limit
""")

CHECK_POINT = text("""
    UPDATE backfills SET phase = :phase, cursor = CAST(:cursor AS jsonb), rows_read = :rows_read, posted = :posted,
        replayed = :replayed, unchanged = :unchanged, quarantined = :quarantined, waiting = :waiting,
        bytes_read = :bytes_read, money = CAST(:money AS jsonb), reasons = CAST(:reasons AS jsonb),
        rows_last = :rows_last, last_batch_seconds = :last_batch_seconds, others_waited_at = :others_waited_at,
        worked_seconds = :worked_seconds, claimed_until = :claimed_until, batches = batches + 1, last_batch_at = :now
    WHERE id = :id
    RETURNING *
""")

SET_EXTENT = text("""
    UPDATE backfills SET source_digest = :digest, bytes_total = :bytes_total, rows_total = :rows_total
    WHERE id = :id
""")

WRITE_OFF = text("""
    UPDATE backfills SET quarantined = quarantined + waiting, waiting = 0,
        reasons = reasons || jsonb_build_object('insufficient_funds',
            coalesce((reasons ->> 'insufficient_funds')::bigint, 0) + waiting)
    WHERE id = :id AND waiting > 0
""")

PAUSE = text("""
    UPDATE backfills SET state = 'paused', pause_code = :code, last_error = :error, stop_asked = NULL,
        claimed_until = NULL WHERE id = :id
""")

FINISH = text("""
    UPDATE backfills SET state = :state, finished_at = :now, claimed_until = NULL, stop_asked = NULL, pause_code = NULL,
        last_error = coalesce(:error, last_error)
    WHERE id = :id
""")

# A claim of its own: a turn from before the pause is worth nothing, nor is what was read ahead for it.
RESUME = text("""
    UPDATE backfills SET state = 'pending', pause_code = NULL, last_error = NULL, claimed_until = NULL,
        claim_version = claim_version + 1, next_batch_at = :now, max_amount_minor = :max_amount_minor WHERE id = :id
""")

ASK_STOP = text("UPDATE backfills SET stop_asked = :stop WHERE id = :id")


def create_run(session: Session, new: NewRun, *, now: datetime) -> tuple[Run, bool]:
    """The run of this id or this job, and whether it was created by this very call."""
    values = {
        "id": new.id, "tenant": new.tenant, "kind": new.kind, "source": json.dumps(dict(new.source)),
        "namespace": new.namespace, "options": json.dumps(dict(new.options)), "dry_run": new.dry_run,
        "batch_rows": new.batch_rows, "max_amount_minor": new.max_amount_minor, "actor": new.actor,
        "reason": new.reason, "job_id": new.job_id, "now": require_aware(now),
    }  # fmt: skip
    created = changed(session, CREATE, values) == 1
    run = load_run(session, new.id)
    if run is None:
        raise ValueError(f"backfill {new.id}: its job has made another run already")
    return run, created


def load_run(session: Session, run_id: UUID, *, lock: bool = False) -> Run | None:
    """The run; `lock` holds its row until this transaction ends."""
    statement = text(f"{LOAD.text} FOR UPDATE") if lock else LOAD
    return run_if_any(session.execute(statement, {"id": run_id}).mappings().one_or_none())


def known_run(session: Session, run_id: UUID, *, tenant: str | None = None, lock: bool = False) -> Run:
    """The same; raises NotFound, also where it is another tenant's."""
    run = load_run(session, run_id, lock=lock)
    if run is None or tenant not in (None, run.tenant):
        raise NotFound(f"no backfill {run_id}")
    return run


def find_runs(
    session: Session,
    *,
    tenant: str | None = None,
    states: Sequence[str] | None = None,
    dry_run: bool | None = None,
    limit: int = 50,
) -> list[Run]:
    """The newest first."""
    told = list(states) if states is not None else None
    values = {"tenant": tenant, "states": told, "dry_run": dry_run, "limit": limit}
    return [run_of(row) for row in session.execute(FIND, values).mappings()]


def check_point(session: Session, run: Run, at: Checkpoint, *, now: datetime) -> Run:
    """Write where the run stands, in the transaction of the batch, whose row is held; as it is then."""
    values = {
        "id": run.id, "phase": at.phase, "cursor": None if at.cursor is None else json.dumps(dict(at.cursor)),
        "rows_read": at.rows_read, "posted": at.posted, "replayed": at.replayed, "unchanged": at.unchanged,
        "quarantined": at.quarantined, "waiting": at.waiting, "bytes_read": at.bytes_read,
        "money": json.dumps({currency: dict(sums) for currency, sums in at.money.items()}),
        "reasons": json.dumps(dict(at.reasons)), "rows_last": at.rows_last, "last_batch_seconds": at.last_batch_seconds,
        "others_waited_at": at.others_waited_at,
        "worked_seconds": at.worked_seconds, "claimed_until": at.claimed_until, "now": now,
    }  # fmt: skip
    return run_of(session.execute(CHECK_POINT, values).mappings().one())


def set_extent(
    session: Session, run: Run, *, digest: str | None, bytes_total: int | None, rows_total: int | None
) -> None:
    """Note how much there is, and by which digest its content is known; the run is held."""
    values = {"id": run.id, "digest": digest, "bytes_total": bytes_total, "rows_total": rows_total}
    session.execute(SET_EXTENT, values)


def write_off_waiting(session: Session, run: Run, rows: int) -> None:
    """What waited is set aside for good; its row is held. Raises ValueError when the counts do not agree."""
    if rows != run.waiting:
        raise ValueError(f"backfill {run.id}: {rows} rows wait, and {run.waiting} were counted")
    session.execute(WRITE_OFF, {"id": run.id})


def pause_run(session: Session, run: Run, code: str, error: str | None = None) -> None:
    """Stop until somebody resumes it; its row is held."""
    session.execute(PAUSE, {"id": run.id, "code": code, "error": error})


def finish_run(session: Session, run: Run, state: str, *, now: datetime, error: str | None = None) -> None:
    """`done` or `cancelled`, for good; its row is held. `error`: why it ended by itself."""
    session.execute(FINISH, {"id": run.id, "state": state, "now": require_aware(now), "error": error})


def resume_run(session: Session, run: Run, *, max_amount_minor: int | None, now: datetime) -> None:
    """Let it go on where it stopped; its row is held."""
    session.execute(RESUME, {"id": run.id, "max_amount_minor": max_amount_minor, "now": require_aware(now)})


def ask_to_stop(session: Session, run: Run, stop: str) -> None:
    """`pause` or `cancel` when the batch that is under way has ended; its row is held."""
    session.execute(ASK_STOP, {"id": run.id, "stop": stop})


def run_of(row: RowMapping) -> Run:
    """The columns that this code knows: a migration that comes before its code may have added one."""
    return Run(**{name: row[name] for name in COLUMNS})


def run_if_any(row: RowMapping | None) -> Run | None:
    return None if row is None else run_of(row)
