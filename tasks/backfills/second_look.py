"""Rows that found too little money at their turn, looked at again when all the rest has been read.

    cursor = {"round": 1, 2, ..., "after": the id of the last one looked at, "settled": how many in this round}

The first round goes from the last row to the first, since an export that begins with the newest is the usual reason;
then to and fro, until a whole round has settled nothing. What waits then stays set aside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from models.backfills.quarantine import Quarantined, SetAside, settle, waiting_rows
from models.backfills.runs import Run
from tasks.backfills.correcting import brought
from tasks.backfills.port import Applied, Portion
from tasks.backfills.postings import from_fields
from tasks.backfills.rows import asked, blamed, take
from worker.database import Transaction
from worker.sources.port import Cursor, Extent, Row


@dataclass(frozen=True, slots=True)
class SecondLook:
    """A Feed of the rows of a run that wait. An empty portion ends a round."""

    transaction: Transaction

    def extent(self) -> Extent:
        return Extent(None, None, None)

    def read(self, run: Run, rows_max: int) -> Portion[Quarantined]:
        cursor = _cursor(run)
        with self.transaction() as session:
            backwards = cursor["round"] % 2 == 1
            page = waiting_rows(session, run.id, after=cursor["after"], rows=rows_max, backwards=backwards)
        after = {**cursor, "after": page[-1].id} if page else cursor
        return Portion(page, after, is_last=not page, bytes_read=run.bytes_read)

    def apply(self, session: Session, run: Run, portion: Portion[Quarantined], *, now: datetime) -> Applied:
        if not portion.items:
            return _next_round(run)
        found = [_row(one) for one in portion.items]
        taken, rows = take(session, run, [asked(run, row) for row in found], now)
        looked_at = portion.items[:rows]
        still = {row.place for row in taken.set_aside}
        done = [one for one in looked_at if one.place not in still]
        settle(session, run.id, [(one.place, "posted", one.code, one.reason) for one in done])
        refused = [row for row in taken.set_aside if row.state != "waiting"]
        return Applied(
            after=_after(run, looked_at, settled=len(done) + len(refused)),
            is_last=False,
            bytes_read=run.bytes_read,
            posted=taken.posted,
            replayed=taken.replayed,
            unchanged=taken.unchanged,
            set_aside=refused,
            money=taken.money,
            past_cap=taken.past_cap,
            row_ids=brought(found[:rows], taken.set_aside),
        )

    def blame(self, portion: Portion[Quarantined], reason: str) -> list[SetAside]:
        return [blamed(_row(one), reason) for one in portion.items]


def _next_round(run: Run) -> Applied:
    cursor = _cursor(run)
    again = {"round": cursor["round"] + 1, "after": None, "settled": 0}
    return Applied(after=again, is_last=cursor["settled"] == 0 or run.waiting == 0, bytes_read=run.bytes_read)


def _after(run: Run, looked_at: Sequence[Quarantined], settled: int) -> Cursor:
    cursor = _cursor(run)
    after = looked_at[-1].id if looked_at else cursor["after"]
    return {**cursor, "after": after, "settled": cursor["settled"] + settled}


def _cursor(run: Run) -> Cursor:
    return run.cursor or {"round": 1, "after": None, "settled": 0}


def _row(one: Quarantined) -> Row:
    return from_fields(one.place, one.line, one.row_id, one.raw, dict(one.fields or {}))
