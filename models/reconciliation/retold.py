"""What a feed tells more than once. A record is its id: told again it is the same one, and the newest telling counts.

The newest stands in the file of the latest business date, and there the furthest down. Where nothing is told again, and
the survey knows, nobody pays for it; else the feed is sorted once, and the stale tellings stand in a temporary table.
"""

# ruff: noqa: S608 - the statements are put together from constants of this room alone

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.reconciliation.lines import EACH, JUDGED_TOLD, TELLINGS, THEIRS
from models.reconciliation.scope import Scope

STALE = text(f"""
    CREATE TEMP TABLE reconciliation_stale ON COMMIT DROP AS
    SELECT id FROM (
        SELECT r.ctid AS id, row_number() OVER (PARTITION BY r.record_id
            ORDER BY array_position(CAST(:takes AS bigint[]), r.take_id) DESC, r.line DESC NULLS LAST, r.ctid DESC)
            AS nth
        FROM provider_records r WHERE {TELLINGS}) tellings
    WHERE nth > 1
""")
ANALYZE = text("ANALYZE reconciliation_stale")
IS_NEWEST = "NOT EXISTS (SELECT FROM reconciliation_stale s WHERE s.id = r.ctid)"

# They count as a part of what the provider told, and as the part that was told again.
SUMS = text(f"""
    INSERT INTO reconciliation_lines (status, kind, theirs_currency, theirs_rows, theirs_sum)
    SELECT s.status, kind, currency, count(*), sum(CAST(amount_minor AS numeric))
    FROM ({THEIRS.format(which="r.ctid IN (SELECT id FROM reconciliation_stale)")}) r
    CROSS JOIN (VALUES ('in question'), ('repeated')) s (status) WHERE {JUDGED_TOLD} GROUP BY s.status, kind, currency
""")


def newest_only(sql: str) -> str:
    """The same statement, of the newest tellings; for a transaction in which `set_stale_apart` was called."""
    return sql.replace(EACH, IS_NEWEST)


def set_stale_apart(session: Session, scope: Scope) -> None:
    """Until the transaction ends it is known which tellings are stale."""
    session.execute(STALE, scope.values)
    session.execute(ANALYZE)


def count_stale(session: Session, scope: Scope) -> None:
    """Their sums, beside the others in `reconciliation_lines`."""
    session.execute(SUMS, scope.values)
