"""Opening balances: what an owner had in the older system at a moment, once per owner and currency.

An owner of whom the ledger knows movements until then is not given the balance on top of them: the row is set aside,
or, with existing = "difference", what is lacking to the balance is posted. What stands already is a replay or a
conflict, whatever has moved since.
"""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from models.backfills.moved import Asked, Moved, moved_by_then, standing
from models.backfills.runs import Run
from models.errors import PostingRaced
from tasks.backfills.judging import Judged, Unchanged, aside, posting_or_aside
from tasks.backfills.postings import opening_key, opening_posting
from worker.sources.port import OpeningRow


def judge_openings(
    session: Session, run: Run, rows: Sequence[OpeningRow]
) -> tuple[list[Judged], list[Moved]]:
    """What each row asks of the ledger, in order, and the movements that it was judged by."""
    keys = [opening_key(run.namespace, row) for row in rows]
    stand = standing(session, run.tenant, keys)
    moved = moved_by_then(session, run.tenant, _asked(run, rows))
    judged = [
        _judge(run, row, had, stands=key in stand) for row, had, key in zip(rows, moved, keys, strict=True)
    ]
    return judged, moved


def refuse_moved_meanwhile(
    session: Session, run: Run, rows: Sequence[OpeningRow], moved: Sequence[Moved]
) -> None:
    """With the accounts locked: raises PostingRaced when another transaction has changed what was judged by."""
    if moved_by_then(session, run.tenant, _asked(run, rows)) != moved:
        raise PostingRaced("a wallet has moved while its opening balance was posted")


def _judge(run: Run, row: OpeningRow, moved: Moved, *, stands: bool) -> Judged:
    by_difference = run.options.get("existing") == "difference"
    amount = row.amount_minor - moved.amount_minor if by_difference else row.amount_minor
    if moved.entries and not by_difference and not stands:
        return aside(
            row,
            "already_moved",
            "the ledger knows movements of this wallet until then: the balance would be added to them; "
            'with existing = "difference" only what is lacking is posted',
        )
    if amount != 0:
        return posting_or_aside(row, lambda: opening_posting(run.tenant, run.namespace, row, amount))
    if stands:
        return aside(row, "conflict", "another opening balance of this owner stands already")
    return Unchanged()


def _asked(run: Run, rows: Sequence[OpeningRow]) -> list[Asked]:
    return [Asked(row.owner, row.currency, row.as_of, opening_key(run.namespace, row)) for row in rows]
