"""The whole story of the references in question, in SQL: what is left over of the window, what counts of other times.

Goes into the statement of matching, after its CTE `summed`, where what is left over has a reference.
Beyond the window a line is there for one that might be its counterpart, and only as long as it has none:

    a ledger row    is there for ever. What an earlier night matched stays matched: where its record is forgotten, the
                    record is in the story as a line of its own (`forgotten`), so that nobody else's takes the row.
    a record        as one of the last whole takes tells it, or, forgotten since, as the finding about it has it.
"""

# ruff: noqa: S608 - the statements are put together from constants of this room alone

from models.reconciliation.lines import (
    AT_THE_BANK,
    BY_AMOUNT,
    EACH,
    IN_WINDOW,
    JUDGED,
    JUDGED_TOLD,
    KEY,
    OURS,
    THEIRS,
)

# As the planner cannot look them up: takes that it has no statistics of would be taken for no rows, and joined so.
TAKES = "(SELECT CAST(:takes AS bigint[]))"

LEFT_OVER = f"({KEY}) IN (SELECT {KEY} FROM summed WHERE reference IS NOT NULL)"

# The references in question: what is left over, and what stands open from earlier runs. And what the ledger calls them.
SUSPECTS = f"""
    open_findings AS MATERIALIZED (
        SELECT detail ->> 'line' AS kind, detail ->> 'reference' AS reference, detail FROM reconciliation_findings
        WHERE tenant = :tenant AND provider = :provider AND state = 'open' AND run_id IS NOT NULL
            AND kind NOT IN ('invariant_broken', 'duplicate_record')
    ),
    suspects AS MATERIALIZED (
        SELECT kind, reference FROM summed WHERE reference IS NOT NULL
        UNION
        SELECT kind, reference FROM open_findings
    ),
    subjects AS MATERIALIZED (
        SELECT CASE kind WHEN 'other' THEN reference WHEN 'fee' THEN :fee || reference
            WHEN 'own_transfer' THEN :settlement || reference ELSE :deposit || reference END AS subject
        FROM suspects
        UNION
        SELECT 'hold\\:' || p.payout_id FROM suspects s
        JOIN payout_attempts p ON p.tenant = :tenant AND p.provider = :provider AND p.reference = s.reference
        WHERE s.kind = 'payout'
        UNION
        SELECT reference FROM suspects WHERE kind = 'payout'
    ),
    moved AS MATERIALIZED (
        SELECT t.id FROM subjects s JOIN ledger_transactions t ON t.tenant = :tenant AND t.subject = s.subject
        UNION
        SELECT e.transaction_id FROM accounts a JOIN ledger_entries e ON e.account_id = a.id
        WHERE a.tenant = :tenant AND a.code = CAST(:bank AS text)
            AND {AT_THE_BANK.format(currency="a.currency", amount="e.amount_minor")} IN (
                SELECT reference FROM suspects WHERE kind = 'own_transfer')
        UNION
        SELECT CAST(substr(reference, 13) AS bigint) FROM suspects
        WHERE kind = 'other' AND reference ~ '^transaction [0-9]{{1,18}}$'
    ),
"""

# `outside` lies out of the window. `record_id` of a ledger row is the record that it was matched with across a window's
# edge, where it was: nobody else's record takes it.
OUR_STORY = f"""
    known AS MATERIALIZED ({OURS} AND t.id IN (SELECT id FROM moved)),
    ours AS MATERIALIZED (
        SELECT o.*, NOT ({IN_WINDOW}) AS outside, {JUDGED} AS judged, m.record_id
        FROM known o
        LEFT JOIN reconciliation_pairs m ON m.tenant = :tenant AND m.provider = :provider
            AND m.transaction_id = o.transaction_id
        WHERE (kind, reference) IN (SELECT kind, reference FROM suspects)
            AND (NOT ({IN_WINDOW}) OR (o.transaction_id >= :first_id AND {LEFT_OVER}))
    ),
"""

# All that is kept about them is read once: the feed, and what other takes tell of other times. Of a record that
# several takes tell, the latest night's telling counts; what the feed tells counts before all.
THEIR_STORY = f"""
    tellings AS MATERIALIZED (
        SELECT *, take_id = :take_id OR (take_id = ANY(CAST(:also AS bigint[])) AND {IN_WINDOW}) AS fed,
            NOT ({IN_WINDOW}) AS outside
        FROM ({THEIRS.format(which=f"r.take_id = ANY(CAST({TAKES} AS bigint[])) AND {EACH}")}) r
        WHERE (kind, reference) IN (SELECT kind, reference FROM suspects)
    ),
    theirs AS MATERIALIZED (
        SELECT {KEY}, at, record_id, status, line, outside, {JUDGED_TOLD} AS judged, true AS fed
        FROM tellings WHERE fed AND {LEFT_OVER}
        UNION ALL
        (SELECT DISTINCT ON (record_id, part) {KEY}, at, record_id, status, line, true, false, false
        FROM tellings
        WHERE outside AND NOT fed AND (record_id, part) NOT IN (SELECT record_id, part FROM tellings WHERE fed)
        ORDER BY record_id, part, array_position(CAST(:takes AS bigint[]), take_id) DESC, line DESC)
        UNION ALL
        SELECT * FROM (
            SELECT DISTINCT kind, reference, detail ->> 'provider_currency',
                CAST(detail ->> 'provider_minor' AS bigint), CAST(detail ->> 'provider_at' AS timestamptz) AS at,
                detail ->> 'record_id' AS record_id, detail ->> 'provider_status',
                CAST(detail ->> 'feed_line' AS integer), true, false, false
            FROM open_findings WHERE detail ? 'record_id') found
        WHERE NOT ({IN_WINDOW}) AND (record_id, kind) NOT IN (SELECT record_id, kind FROM tellings)
    ),
"""

# The record of a ledger row is forgotten: the one that it was matched with across an edge; or, of one that is older
# than what is kept, the one that some night found in the same window as the row: that night judged the row, and no
# finding stands about it. A row of a file that is as old may be that very record, told again: it comes first.
FORGOTTEN = f"""
    forgotten AS MATERIALIZED (
        SELECT {KEY}, at, transaction_id, record_id, row_number() OVER (PARTITION BY {KEY} ORDER BY at) AS nth
        FROM ours o
        WHERE kind <> 'fee' AND CASE WHEN record_id IS NOT NULL
            THEN (outside OR NOT {BY_AMOUNT.format(kind="kind")})
                AND record_id NOT IN (SELECT record_id FROM tellings UNION ALL SELECT record_id FROM theirs)
            ELSE outside AND at < :forgotten_before
                AND EXISTS (SELECT FROM reconciliation_runs n
                    WHERE n.tenant = :tenant AND n.provider = :provider AND n.concluded_id >= o.transaction_id
                        AND o.at >= n.concluded_from AND o.at < n.concluded_until)
                AND NOT EXISTS (SELECT FROM reconciliation_findings f
                    WHERE f.tenant = :tenant AND f.provider = :provider AND f.state <> 'closed'
                        AND f.detail ->> 'transaction_id' = CAST(o.transaction_id AS text)
                        AND f.subject IN (o.subject, o.reference, 'payout\\:' || substr(o.subject, 6)))
            END
    ),
"""

# `rank` says who is first to be paired: who is known to belong to each other, then what is older than the window. Of
# what is known by its amount alone, that is overdue: what moved lately is more likely to be meant, and comes before it.
FIRST_OR_LAST = f"CASE WHEN {BY_AMOUNT.format(kind='kind')} THEN 4 ELSE 1 END"
STORY = f"""
    {SUSPECTS} {OUR_STORY} {THEIR_STORY} {FORGOTTEN}
    story AS (
        SELECT -1 AS side, {KEY}, at, transaction_id, subject, record_id, CAST(NULL AS text) AS status,
            CAST(NULL AS integer) AS line, outside, judged, false AS is_forgotten,
            CASE WHEN record_id IS NOT NULL THEN 0 WHEN outside THEN {FIRST_OR_LAST} ELSE 3 END AS rank
        FROM ours
        UNION ALL
        SELECT 1, {KEY}, at, NULL, NULL, record_id, status, line, outside, judged, false,
            CASE WHEN record_id IN (SELECT record_id FROM ours WHERE record_id IS NOT NULL) THEN 0
                WHEN outside THEN {FIRST_OR_LAST} ELSE 3 END
        FROM theirs
        UNION ALL
        SELECT 1, {KEY}, at, NULL, NULL, NULL, NULL, NULL, true, false, true,
            CASE WHEN record_id IS NOT NULL THEN 0 ELSE 2 END
        FROM forgotten f
        WHERE record_id IS NOT NULL OR nth > (SELECT count(*) FROM theirs t WHERE t.fed AND t.outside
            AND (t.kind, t.reference, t.currency, t.amount_minor) = (f.kind, f.reference, f.currency, f.amount_minor))
    ),
"""
