"""Matching: what a provider told against what the ledger says, line by line, both directions, in one statement.

Lines agree when kind, reference, currency and amount are the same, as many times on both sides. What agrees shrinks to
a sum at once. Only of the references that are left over is the whole story fetched, whenever it happened (`story`), and
its lines are paired by what they have in common (`pairing`); what a line is stands in `lines`.
"""

# ruff: noqa: S608 - the statements are put together from constants of this room alone

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.reconciliation.ignored import count_ignored
from models.reconciliation.lines import BY_AMOUNT, CONFLICTING, FEED, JUDGED, JUDGED_TOLD, KEY, OURS, THEIRS
from models.reconciliation.pairing import PAIRING
from models.reconciliation.retold import count_repeated, find_conflicts, newest_only, set_stale_apart
from models.reconciliation.scope import Scope, allow_long_statements
from models.reconciliation.story import STORY
from models.reconciliation.surveying import Survey

# All lines of the window, counted by key. What agrees shrinks to a sum per currency and kind.
SUMMED = f"""
    counted AS (
        SELECT {KEY}, sum(side) AS surplus,
            count(*) FILTER (WHERE side = 1 AND judged) AS theirs, count(*) FILTER (WHERE side = -1 AND judged) AS ours
        FROM (
            SELECT side, {KEY}, {JUDGED_TOLD} AS judged FROM ({THEIRS.format(which=FEED)}) r
            UNION ALL
            SELECT side, {KEY}, {JUDGED}
            FROM ({OURS} AND e.transaction_id >= :first_id
                AND t.occurred_at >= :fetched_from AND t.occurred_at < :fetched_until) o
        ) lines
        GROUP BY {KEY}
    ),
    summed AS MATERIALIZED (
        SELECT currency, kind, CASE WHEN in_question THEN reference END AS reference,
            CASE WHEN in_question THEN amount_minor END AS amount_minor,
            sum(theirs) AS theirs, sum(ours) AS ours,
            sum(CAST(theirs AS numeric) * amount_minor) AS theirs_minor,
            sum(CAST(ours AS numeric) * amount_minor) AS ours_minor
        FROM (SELECT *, surplus <> 0 OR {BY_AMOUNT.format(kind="kind")} AS in_question FROM counted) c
        GROUP BY 1, 2, 3, 4
    ),
"""

NAMED = f"""
    SELECT CASE WHEN step IN ('exact', 'combined') THEN 'matched'
            WHEN transaction_id IN (SELECT transaction_id FROM cancelled) THEN 'matched'
            WHEN NOT theirs_judged AND NOT ours_judged THEN 'outside'
            WHEN record_id IS NULL AND ours_at <@ CAST(:awaited AS tstzmultirange) THEN 'expected'
            WHEN greatest(theirs_at, ours_at) > :settled_before THEN 'expected'
            ELSE 'finding' END AS status,
        CASE WHEN step IN ('exact', 'combined') THEN NULL
            WHEN {CONFLICTING} AND step = 'nothing' AND record_id IS NOT NULL THEN 'duplicate_record'
            WHEN kind = 'fee' AND step <> 'nothing' THEN 'fee_mismatch'
            WHEN step <> 'nothing' THEN step || '_mismatch'
            WHEN kind = 'payout' AND coalesce(theirs_minor, ours_minor) > 0 THEN 'status_mismatch'
            WHEN record_id IS NULL THEN 'missing_at_provider'
            WHEN told_once AND kind <> 'own_transfer' THEN 'duplicate_at_provider'
            ELSE 'missing_in_ledger' END AS finding,
        kind, reference, record_id, theirs_currency, theirs_minor, theirs_at, status AS told_status, line,
        theirs_judged, transaction_id, ours_currency, ours_minor, ours_at, subject, ours_judged, partner,
        CAST(CAST(theirs_judged AS int) AS bigint) AS theirs_rows,
        CAST(CAST(ours_judged AS int) AS bigint) AS ours_rows,
        CASE WHEN theirs_judged THEN theirs_minor ELSE 0 END AS theirs_sum,
        CASE WHEN ours_judged THEN ours_minor ELSE 0 END AS ours_sum
    FROM lines
"""
# Sums only: what agreed at once, and what is in question and stands above, line by line.
SUMS = """
    SELECT CASE WHEN reference IS NULL THEN 'agreed' ELSE 'in question' END, NULL, kind, NULL, NULL, currency, NULL,
        NULL, NULL, NULL, NULL, NULL, currency, NULL, NULL, NULL, NULL, NULL,
        CAST(sum(theirs) AS bigint), CAST(sum(ours) AS bigint), sum(theirs_minor), sum(ours_minor)
    FROM summed GROUP BY 1, kind, currency
"""

MATCH = f"""
    CREATE TEMP TABLE reconciliation_lines ON COMMIT DROP AS
    WITH {SUMMED} {STORY} {PAIRING}
    {NAMED} UNION ALL {SUMS}
"""
# By whether the feed tells anything again.
MATCHES = {False: text(MATCH), True: text(newest_only(MATCH))}

TOTALS = text("""
    SELECT 'provider', theirs_currency, status, finding, sum(theirs_rows), sum(theirs_sum) FROM reconciliation_lines
    WHERE theirs_currency IS NOT NULL GROUP BY 2, 3, 4
    UNION ALL
    SELECT 'ledger', ours_currency, status, finding, sum(ours_rows), sum(ours_sum) FROM reconciliation_lines
    WHERE ours_currency IS NOT NULL GROUP BY 2, 3, 4
""")

# One night of an account at a time concludes: the other sees what it found, and neither waits for the other's findings.
ALONE = text("""
    SELECT pg_advisory_xact_lock(hashtextextended('reconciliation\\:' || :tenant || '\\:' || :provider, 0))
""")

# Who belongs to whom is known to the windows alone, as long as both lie in one.
REMEMBER = text("""
    INSERT INTO reconciliation_pairs (tenant, provider, transaction_id, record_id, run_id)
    SELECT DISTINCT ON (transaction_id) :tenant, :provider, transaction_id, partner, :run_id
    FROM reconciliation_lines WHERE partner IS NOT NULL ORDER BY transaction_id, partner
    ON CONFLICT DO NOTHING
""")


@dataclass(frozen=True, slots=True)
class Sum:
    """So many lines of one side, in one currency, of one `status` (and of one kind of finding) and what they add up
    to, of those that are judged."""

    side: str
    currency: str
    status: str
    finding: str | None
    rows: int
    minor: int


def alone(session: Session, scope: Scope) -> None:
    """Wait until no other night of this account concludes, and let none until the transaction ends."""
    session.execute(ALONE, {"tenant": scope.tenant, "provider": scope.provider})


def match(session: Session, scope: Scope, found: Survey) -> list[Sum]:
    """Match both sides, in a transaction that is `alone`. The lines in question stand in the temporary table
    `reconciliation_lines` until it ends; what comes back are the sums of all lines that are judged."""
    allow_long_statements(session)
    again = found.tells_again(scope)
    if again:
        set_stale_apart(session, scope)
    session.execute(MATCHES[again], scope.values | {"first_id": found.first_id})
    if again:
        count_repeated(session, scope)
        find_conflicts(session, scope)
    if found.tells_ignored(scope):
        count_ignored(session, scope, again=again)
    session.execute(REMEMBER, scope.values)
    return [
        Sum(side, currency, status, finding, int(rows), int(minor))
        for side, currency, status, finding, rows, minor in session.execute(TOTALS)
    ]
