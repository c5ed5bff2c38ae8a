"""Records of kind `ignore`: compared with nothing, counted beside the others, listed by what the provider says."""

# ruff: noqa: S608 - the statements are put together from constants of this room alone

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.reconciliation.lines import FEED, JUDGED_TOLD
from models.reconciliation.retold import newest_only
from models.reconciliation.scope import Scope

RECORDS_NAMED_MAX = 5

# In `reference` stand the ids of the first of them.
COUNT = f"""
    INSERT INTO reconciliation_lines (status, kind, told_status, reference, theirs_currency, theirs_rows, theirs_sum)
    SELECT 'ignored', 'ignore', status,
        array_to_string((array_agg(record_id ORDER BY at, record_id))[\\:{RECORDS_NAMED_MAX}], ', '), currency,
        count(*), sum(CAST(amount_minor AS numeric))
    FROM (SELECT r.record_id, r.status, r.currency, r.amount_minor, r.occurred_at AS at FROM provider_records r
        WHERE {FEED} AND r.kind = 'ignore') r
    WHERE {JUDGED_TOLD} GROUP BY status, currency
"""
COUNTS = {False: text(COUNT), True: text(newest_only(COUNT))}

LIST = text("""
    SELECT told_status, theirs_currency, theirs_rows, theirs_sum, reference FROM reconciliation_lines
    WHERE status = 'ignored' ORDER BY 1, 2
""")


@dataclass(frozen=True, slots=True)
class Ignored:
    """So many records that the provider calls `type`, what they add up to, and the ids of the first ones."""

    type: str
    currency: str
    records: int
    amount_minor: int
    record_ids: str


def count_ignored(session: Session, scope: Scope, *, again: bool) -> None:
    """Their sums, beside the others in `reconciliation_lines`. `again`: the feed may tell records more than once."""
    session.execute(COUNTS[again], scope.values)


def list_ignored(session: Session) -> tuple[Ignored, ...]:
    """After matching, in its transaction."""
    return tuple(
        Ignored(type_, currency, int(rows), int(minor), ids)
        for type_, currency, rows, minor, ids in session.execute(LIST)
    )
