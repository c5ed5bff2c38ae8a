"""How rows that were set aside are closed: by a run that brings them after all, or by a person who says why.

open ──(a run posts the row of this id, or finds it in the ledger)──▶ corrected
open ──(a person, with a reason)──▶ dismissed

A `conflict` is closed by a person alone. Its id is in the ledger with another content, so that every replay of what
stands would close it, and nobody would have decided which of the two is right.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.arrays import texts
from models.audit import record
from models.backfills.runs import Run, known_run
from models.backfills.tables import CLOSED_STATES
from models.base import require_aware
from models.changing import changed
from models.errors import LedgerbeatError, NotFound

PLACES_TOLD_MAX = 100
"""So many places go into the audit event; each row says for itself by whom it was closed."""

# A look at the index for each run of the namespace, whatever the planner thinks of the tables; dry runs owe nothing.
CORRECTABLE = text("""
    SELECT b.id FROM backfills b CROSS JOIN LATERAL (
        SELECT 1 FROM backfill_quarantine q
        WHERE q.backfill_id = b.id AND q.state = 'open' AND q.row_id IS NOT NULL AND q.code <> 'conflict' LIMIT 1) q
    WHERE b.tenant = :tenant AND b.kind = :kind AND b.namespace = :namespace AND NOT b.dry_run AND b.id <> :id
""")

# Locked in one order, so that two batches that bring the same rows do not wait for each other in a circle.
CORRECT = text("""
    WITH these AS MATERIALIZED (
        SELECT id, backfill_id, place FROM backfill_quarantine
        WHERE backfill_id = ANY(CAST(:runs AS uuid[])) AND row_id = ANY(CAST(:row_ids AS text[]))
            AND state = 'open' AND row_id IS NOT NULL AND code <> 'conflict'
        ORDER BY id FOR UPDATE)
    UPDATE backfill_quarantine q SET state = 'corrected', closed_at = :now, closed_by = :by
    FROM these WHERE q.backfill_id = these.backfill_id AND q.place = these.place
""")

UNKNOWN = text("""
    SELECT p.place FROM unnest(CAST(:places AS text[])) AS p (place)
    WHERE NOT EXISTS (SELECT FROM backfill_quarantine q WHERE q.backfill_id = :id AND q.place = p.place) ORDER BY 1
""")

CODES = text("SELECT DISTINCT code FROM backfill_quarantine WHERE backfill_id = :id ORDER BY 1")

MEANT = """
    backfill_id = :id AND (CAST(:places AS text[]) IS NULL OR place = ANY(CAST(:places AS text[])))
        AND (CAST(:codes AS text[]) IS NULL OR code = ANY(CAST(:codes AS text[])))
"""
DISMISS = """
    WITH these AS MATERIALIZED (
        SELECT id, place FROM backfill_quarantine WHERE {meant} AND state = 'open' ORDER BY id FOR UPDATE)
    UPDATE backfill_quarantine q
    SET state = 'dismissed', closed_at = :now, closed_by = :actor, closed_reason = :reason
    FROM these WHERE q.backfill_id = :id AND q.place = these.place
"""
DISMISS_THEM = text(DISMISS.format(meant=MEANT))
COUNT = "SELECT state, count(*) FROM backfill_quarantine WHERE {meant} GROUP BY state"
COUNT_THEM = text(COUNT.format(meant=MEANT))
COUNTS = text("""
    SELECT backfill_id, state, count(*) FROM backfill_quarantine
    WHERE backfill_id = ANY(CAST(:ids AS uuid[])) GROUP BY 1, 2
""")


class OwedToNobody(LedgerbeatError):
    """What a dry run has set aside is neither corrected nor dismissed."""


@dataclass(frozen=True, slots=True)
class Dismissed:
    """Rows: `closed` now; closed `before`, in whatever way; `waiting` for money, which are left to their run."""

    closed: int
    before: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Which:
    """Rows of a run: at these places, or all; of these codes, or all."""

    places: Sequence[str] | None = None
    codes: Sequence[str] | None = None

    def values(self) -> dict[str, str | None]:
        return {"places": _array(self.places), "codes": _array(self.codes)}

    def told(self) -> dict[str, Any]:
        """For the audit trail."""
        places = None if self.places is None else list(self.places[:PLACES_TOLD_MAX])
        return {"places": places, "codes": None if self.codes is None else list(self.codes)}


def correctable_runs(session: Session, run: Run) -> list[UUID]:
    """The other runs of its tenant, kind and namespace with rows that it may correct: mostly none, cheaply known."""
    told = {"tenant": run.tenant, "kind": run.kind, "namespace": run.namespace, "id": run.id}
    return list(session.execute(CORRECTABLE, told).scalars())


def correct(session: Session, runs: Sequence[UUID], row_ids: Iterable[str], *, by: Run, now: datetime) -> int:
    """The ledger has the rows of these ids, by the batch of this transaction: close what those runs had set aside
    under them. How many there were."""
    values = {
        "runs": texts(map(str, runs)), "row_ids": texts(row_ids), "by": f"backfill:{by.id}", "now": require_aware(now),
    }  # fmt: skip
    return changed(session, CORRECT, values)


def dismiss(
    session: Session, run_id: UUID, which: Which, *, actor: str, reason: str, now: datetime
) -> Dismissed:
    """Close these rows for good, audited. Whatever is closed already stays as it was closed.

    Raises NotFound, also when one of the places or codes is none of the run's: then nothing is closed. Raises
    OwedToNobody for a dry run, ValueError unsigned.
    """
    actor, reason = _said("actor", actor), _said("reason", reason)
    run = known_run(session, run_id, lock=True)  # no batch of its own looks at the same rows meanwhile
    _require_known(session, run, which)
    signed = {"actor": actor, "reason": reason, "now": require_aware(now)}
    closed = changed(session, DISMISS_THEM, {"id": run.id, **which.values(), **signed})
    if closed:
        detail = {"rows": closed, **which.told()}
        record(
            session, tenant=run.tenant, actor=actor, action="backfills.dismiss", subject=f"backfill:{run.id}",
            reason=reason, now=now, detail=detail,
        )  # fmt: skip
    stand = count_aside(session, run.id, which)
    before = sum(stand.get(state, 0) for state in ("posted", *CLOSED_STATES)) - closed
    return Dismissed(closed, before, stand.get("waiting", 0))


def count_aside(session: Session, run_id: UUID, which: Which = Which()) -> dict[str, int]:
    """How many of a run's rows stand in each state of the quarantine; a state with none is left out."""
    return {row[0]: row[1] for row in session.execute(COUNT_THEM, {"id": run_id, **which.values()})}


def counts_aside(session: Session, run_ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """The same of several runs, for each of them."""
    counts: dict[UUID, dict[str, int]] = {run_id: {} for run_id in run_ids}
    for run_id, state, rows in session.execute(COUNTS, {"ids": texts(map(str, run_ids))}):
        counts[run_id][state] = rows
    return counts


def _require_known(session: Session, run: Run, which: Which) -> None:
    if run.dry_run:
        raise OwedToNobody(
            f"backfill {run.id} was a dry run: what it set aside is owed to nobody, and nothing is to be closed"
        )
    if which.places is not None:
        places = session.execute(UNKNOWN, {"id": run.id, "places": texts(which.places)}).scalars().all()
        if places:
            raise NotFound(
                f"backfill {run.id} has set no row aside at {', '.join(places)}; nothing was closed"
            )
    if which.codes is not None:
        codes = session.execute(CODES, {"id": run.id}).scalars().all()
        if unknown := sorted(set(which.codes) - set(codes)):
            there_are = f"its codes are {', '.join(codes)}" if codes else "it has set none aside"
            raise NotFound(
                f"backfill {run.id} has no row set aside as {', '.join(unknown)}: {there_are}; nothing was closed"
            )


def _array(values: Sequence[str] | None) -> str | None:
    return None if values is None else texts(values)


def _said(what: str, value: str) -> str:
    if not value.strip():
        raise ValueError(f"to dismiss a row, the {what} must be said")
    return value.strip()
