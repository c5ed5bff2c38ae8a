"""What a feed tells more than once. A record is its id, and the newest telling of it counts.

The newest stands in the file of the latest business date. Rows there that say the same are one record, repeated. Rows
there of one id that do not say the same contradict each other: each of them counts, so that no money is dropped, and
the record is a finding, `duplicate_record`, with what has no counterpart as a part of it.

Where nothing is told again, and the survey knows, nobody pays for it; else the feed is sorted once, and what is stale
or in conflict stands in a temporary table.
"""

# ruff: noqa: S608 - the statements are put together from constants of this room alone

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.money import BIGINT_MAX
from models.reconciliation.lines import CONFLICTING, EACH, JUDGED_TOLD, TELLINGS, THEIRS
from models.reconciliation.scope import Scope

# As 64 bits, which sort faster than what they stand for; compared within one id only.
CONTENT = """
    hash_record_extended(ROW(r.kind, r.reference, r.object_id, r.amount_minor, r.currency, r.fee_minor, r.fee_currency,
        r.status, r.occurred_at), 0)
"""
# One sort, of nothing but what it needs (hence OFFSET 0). What is not stale and not the first of its id contradicts the
# first.
STALE = text(f"""
    CREATE TEMP TABLE reconciliation_retold ON COMMIT DROP AS
    SELECT id, record_id, nth_place > 1 OR nth > nth_content AS is_stale FROM (
        SELECT id, record_id, rank() OVER (PARTITION BY record_id ORDER BY place DESC) AS nth_place,
            rank() OVER record AS nth_content, row_number() OVER record AS nth
        FROM (
            SELECT r.ctid AS id, r.record_id, array_position(CAST(:takes AS bigint[]), r.take_id) AS place,
                {CONTENT} AS content
            FROM provider_records r WHERE {TELLINGS} OFFSET 0) told
        WINDOW record AS (PARTITION BY record_id ORDER BY place DESC, content)) tellings
    WHERE nth > 1
""")
ANALYZE = text("ANALYZE reconciliation_retold")
IS_NEWEST = "NOT EXISTS (SELECT FROM reconciliation_retold s WHERE s.id = r.ctid AND s.is_stale)"
IN_CONFLICT = "record_id IN (SELECT record_id FROM reconciliation_retold WHERE NOT is_stale)"

# They count beside the others.
REPEATED = text(f"""
    INSERT INTO reconciliation_lines (status, kind, theirs_currency, theirs_rows, theirs_sum)
    SELECT 'repeated', kind, currency, count(*), sum(CAST(amount_minor AS numeric))
    FROM ({THEIRS.format(which="r.ctid IN (SELECT id FROM reconciliation_retold WHERE is_stale)")}) r
    WHERE {JUDGED_TOLD} GROUP BY kind, currency
""")

ANY_CONFLICT = text("SELECT EXISTS (SELECT FROM reconciliation_retold WHERE NOT is_stale)")
ROWS_SHOWN_MAX = 5
# One line for each record, in which no money counts: its rows count as they are. It moved when the first of them did,
# and in question is what the others come to beside the largest, in one currency.
CONFLICTS = text(f"""
    INSERT INTO reconciliation_lines (status, finding, kind, reference, record_id, told_status, line, theirs_currency,
        theirs_minor, theirs_at, theirs_judged, theirs_rows, theirs_sum)
    SELECT 'finding', 'duplicate_record', 'record', reference, record_id, rows || ' rows\\: ' || told, line,
        CASE WHEN currencies = 1 AND others <= {BIGINT_MAX} THEN currency END,
        CASE WHEN currencies = 1 AND others <= {BIGINT_MAX} THEN CAST(others AS bigint) END, at, true, 0, 0
    FROM (
        SELECT record_id, coalesce(min(reference), 'record ' || record_id) AS reference, count(*) AS rows,
            array_to_string((array_agg(concat_ws(' ', kind, amount_minor, currency, 'of ' || reference,
                'in line ' || line) ORDER BY line, ctid))[\\:{ROWS_SHOWN_MAX}], '; ') AS told,
            min(line) AS line, min(currency) AS currency, count(DISTINCT currency) AS currencies,
            sum(abs(CAST(amount_minor AS numeric))) - max(abs(CAST(amount_minor AS numeric))) AS others,
            min(occurred_at) AS at
        FROM provider_records r WHERE {TELLINGS} AND {IS_NEWEST} AND {IN_CONFLICT} GROUP BY record_id) records
    WHERE {JUDGED_TOLD}
""")


def newest_only(sql: str) -> str:
    """The same statement, of the newest tellings; for a transaction in which `set_stale_apart` was called."""
    return sql.replace(EACH, IS_NEWEST).replace(CONFLICTING, IN_CONFLICT)


def set_stale_apart(session: Session, scope: Scope) -> None:
    """Until the transaction ends it is known which tellings are stale, and which are in conflict."""
    session.execute(STALE, scope.values)
    session.execute(ANALYZE)


def count_repeated(session: Session, scope: Scope) -> None:
    """The sums of the stale ones, beside the others in `reconciliation_lines`."""
    session.execute(REPEATED, scope.values)


def find_conflicts(session: Session, scope: Scope) -> None:
    """A finding for each record whose rows contradict each other, among `reconciliation_lines`."""
    if session.execute(ANY_CONFLICT).scalar_one():
        session.execute(CONFLICTS, scope.values)
