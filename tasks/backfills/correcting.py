"""Rows that other runs had set aside, and that a batch of this one has brought: closed in the batch's own transaction.

Mostly there are none, and then a batch asks one question of an index and no row is looked at.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from models.backfills.closing import correct, correctable_runs
from models.backfills.quarantine import SetAside
from models.backfills.runs import Run
from worker.sources.port import BadRow, Row

RowIds = Callable[[], Iterable[str]]
"""The older system's ids of the rows that the ledger has, now that a batch is applied; made when somebody asks."""


def brought(rows: Sequence[Row | BadRow], aside: Sequence[SetAside]) -> RowIds:
    """Of the rows that were posted, stood already, or had nothing to do: all but those set aside."""

    def row_ids() -> list[str]:
        left = {row.place for row in aside}
        return [row.row_id for row in rows if not isinstance(row, BadRow) and row.place not in left]

    return row_ids


def close_corrected(session: Session, run: Run, row_ids: RowIds, now: datetime) -> None:
    """After the batch is applied: everything it locks in the ledger it has locked. A dry run closes nothing."""
    if run.dry_run or not (runs := correctable_runs(session, run)):
        return
    if ids := list(row_ids()):
        correct(session, runs, ids, by=run, now=now)
