"""How the lines of a reference are paired, in SQL: step by step, each step takes what the one before has left.

    exact       the same amount in the same currency; the counterpart lies outside of the window
    combined    several movements on one side are told as others on the other, with the same sum
    amount      amount_mismatch                      (of a fee: fee_mismatch)
    currency    currency_mismatch                    (of a fee: fee_mismatch)
    nothing     missing_at_provider, missing_in_ledger, duplicate_at_provider, or status_mismatch for a payout that
                came back on one side only

What goes out is never taken together with what comes back, but for captures: what was credited with an authorisation
and taken back since is what was captured, perhaps nothing, and that is what a provider settles. Exact pairs are found
first for what is older than the window, which has its counterpart already or has waited longest; what only resembles
each other, in the window first.
"""

# ruff: noqa: S608 - the statements are put together from constants of this room alone

from models.reconciliation.lines import BY_AMOUNT, KEY

IN_TURN = "at, record_id, transaction_id"

EXACT = f"""
    exact AS (
        SELECT *, sign(amount_minor) AS way,
            row_number() OVER (PARTITION BY {KEY}, side ORDER BY rank, {IN_TURN}) AS nth_exact,
            count(*) FILTER (WHERE side = 1) OVER key AS exact_theirs,
            count(*) FILTER (WHERE side = -1) OVER key AS exact_ours
        FROM story WINDOW key AS (PARTITION BY {KEY})
    ),
"""

# Sums of both sides that are the same, of all that is left over or of what is left over in or out of the window.
COMBINED = """
    combined AS (
        SELECT *, sum(amount_minor) FILTER (WHERE side = 1) OVER whole
                = sum(amount_minor) FILTER (WHERE side = -1) OVER whole AS whole_agrees,
            sum(amount_minor) FILTER (WHERE side = 1) OVER era
                = sum(amount_minor) FILTER (WHERE side = -1) OVER era AS era_agrees,
            kind = 'deposit' AND sum(side * amount_minor) OVER net = 0 AND bool_or(side = -1) OVER net AS net_agrees,
            min(record_id) FILTER (WHERE side = 1) OVER whole AS whole_record,
            bool_or(outside) OVER whole AND bool_or(judged) OVER whole AS whole_crosses
        FROM (SELECT *, nth_exact <= least(exact_theirs, exact_ours) AS is_exact FROM exact) e
        WHERE is_exact OR NOT is_forgotten
        WINDOW whole AS (PARTITION BY kind, reference, currency, way, is_exact),
            era AS (PARTITION BY kind, reference, currency, way, is_exact, outside),
            net AS (PARTITION BY kind, reference, currency, is_exact)
    ),
"""

RESEMBLING = f"""
    amounts AS (
        SELECT *, CASE WHEN is_exact THEN 'exact' WHEN whole_agrees OR era_agrees OR net_agrees THEN 'combined' END
                AS agreed,
            row_number() OVER (PARTITION BY kind, reference, currency, way, side, agrees ORDER BY outside, {IN_TURN})
                AS nth_amount,
            count(*) FILTER (WHERE side = 1) OVER same AS amount_theirs,
            count(*) FILTER (WHERE side = -1) OVER same AS amount_ours
        FROM (SELECT *, coalesce(is_exact OR whole_agrees OR era_agrees OR net_agrees, false) AS agrees FROM combined) c
        WINDOW same AS (PARTITION BY kind, reference, currency, way, agrees)
    ),
    currencies AS (
        SELECT *, row_number() OVER (PARTITION BY kind, reference, way, side, resembles ORDER BY outside, {IN_TURN})
                AS nth_currency,
            count(*) FILTER (WHERE side = 1) OVER rest AS currency_theirs,
            count(*) FILTER (WHERE side = -1) OVER rest AS currency_ours
        FROM (SELECT *, coalesce(agreed, CASE WHEN nth_amount <= least(amount_theirs, amount_ours) THEN 'amount' END)
            AS resembles FROM amounts) a
        WINDOW rest AS (PARTITION BY kind, reference, way, resembles)
    ),
"""

# `nth` of one side is the counterpart of `nth` of the other; what has none is numbered so that it meets nobody.
PAIRED = """
    paired AS (
        SELECT *, CASE step WHEN 'exact' THEN nth_exact WHEN 'amount' THEN nth_amount WHEN 'currency' THEN nth_currency
                ELSE side * row_number() OVER (PARTITION BY step, side) END AS nth,
            CASE WHEN step = 'currency' THEN '' ELSE currency END AS same_currency,
            CASE WHEN step = 'exact' THEN amount_minor ELSE way END AS same_amount
        FROM (SELECT *, coalesce(resembles, CASE WHEN nth_currency <= least(currency_theirs, currency_ours)
            THEN 'currency' ELSE 'nothing' END) AS step FROM currencies) c
    ),
"""

# `partner` is what is to be remembered of a ledger row: the record that it was matched with across an edge of the
# window, unless an earlier night found both in its window (the one in the window then lies in its margin). Of what is
# known by its amount alone it is remembered wherever both lie.
LINES = f"""
    lines AS (
        SELECT coalesce(t.step, o.step) AS step, coalesce(t.kind, o.kind) AS kind,
            coalesce(t.reference, o.reference) AS reference,
            t.record_id, t.currency AS theirs_currency, t.amount_minor AS theirs_minor, t.at AS theirs_at, t.status,
            t.line, coalesce(t.judged, false) AS theirs_judged,
            o.transaction_id, o.currency AS ours_currency, o.amount_minor AS ours_minor, o.at AS ours_at, o.subject,
            coalesce(o.judged, false) AS ours_judged, coalesce(t.exact_ours, 0) > 0 AS told_once,
            CASE WHEN o.kind = 'fee' THEN NULL
                WHEN o.step = 'combined' AND o.whole_agrees AND o.whole_crosses THEN o.whole_record
                WHEN o.step = 'exact' AND (o.outside OR t.outside OR {BY_AMOUNT.format(kind="o.kind")})
                    AND (o.outside OR o.judged) AND (t.outside OR t.judged) THEN t.record_id END AS partner
        FROM (SELECT * FROM paired WHERE side = 1) t
        FULL JOIN (SELECT * FROM paired WHERE side = -1) o
            ON (t.step, t.kind, t.reference, t.same_currency, t.same_amount, t.nth)
                = (o.step, o.kind, o.reference, o.same_currency, o.same_amount, o.nth)
    )
"""

# What a provider paid out to our bank and took back, or the bank sent back, of which the bank shows neither: the one
# cancels the other, as often as there is one.
CANCELLED = """,
    own_transfers AS MATERIALIZED (
        SELECT transaction_id, split_part(subject, '\\:', 2) AS sender, ours_currency AS currency, ours_minor AS minor,
            row_number() OVER (PARTITION BY split_part(subject, '\\:', 2), ours_currency, ours_minor
                ORDER BY ours_at, transaction_id) AS nth
        FROM lines
        WHERE kind = 'own_transfer' AND step = 'nothing' AND record_id IS NULL AND CAST(:bank AS text) IS NOT NULL
    ),
    cancelled AS MATERIALIZED (
        SELECT o.transaction_id FROM own_transfers o
        JOIN own_transfers b ON (b.sender, b.currency, b.minor, b.nth) = (o.sender, o.currency, -o.minor, o.nth)
    )
"""

PAIRING = f"{EXACT} {COMBINED} {RESEMBLING} {PAIRED} {LINES} {CANCELLED}"
