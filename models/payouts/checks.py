"""The invariants of payouts: payout, hold, attempts, reservation and history tell one story.

Asked by models.ledger.verify.verify. Each proves a promise from the rows alone, whatever wrote them.
"""

# ruff: noqa: S608 - the queries are put together from constants of this room alone

from collections.abc import Sequence

from models.invariants import Invariant
from models.payouts.states import LIVE_OUTCOMES, OPEN_STATES

STUCK_MINUTES = 10
SHOW = "'ledgerbeat payouts show' the id"

# State -> how often its hold was placed, captured, released and brought back (less what a failed reversal undid).
SETTLED = """
    CASE p.state WHEN 'paid' THEN '1 1 0 0' WHEN 'returned' THEN '1 1 0 1'
        WHEN 'failed' THEN '1 0 1 0' WHEN 'cancelled' THEN '1 0 1 0' ELSE '1 0 0 0' END
"""
# Kind and direction -> the account it must be. A name is its own code: nothing else moves held money.
EXPECTED_CODE = """
    CASE WHEN t.kind = 'hold.placed' AND e.amount_minor > 0 THEN 'wallet:' || p.owner || '\\:held'
        WHEN t.kind IN ('hold.captured', 'hold.released') AND e.amount_minor < 0 THEN 'wallet:' || p.owner || '\\:held'
        WHEN t.kind = 'hold.captured' THEN 'provider:' || p.provider || '\\:clearing'
        WHEN (t.kind, e.amount_minor < 0) IN (('payout.returned', true), ('payout.reversal_failed', false))
            THEN 'provider:' || p.provider || '\\:clearing'
        WHEN t.kind = 'payout.reversal_failed' AND a.code = 'suspense\\:shortfall' THEN a.code
        ELSE 'wallet:' || p.owner || '\\:available' END
"""
# State -> the outcomes of its attempts that are alive; a cooling payout may also keep a key that was not sent.
ALIVE = """
    CASE WHEN p.state IN ('sending', 'submitted', 'in_doubt', 'paid') THEN p.state
        WHEN p.state = 'cooling' AND a.alive = 'not_sent' THEN 'not_sent'
        ELSE '' END
"""

PAYOUT_INVARIANTS: Sequence[Invariant] = (
    Invariant(
        "held_money_is_that_of_open_payouts",
        "what an owner's wallet holds back is the sum of the owner's open payouts, per currency",
        "'ledgerbeat payouts list --owner' and 'ledgerbeat wallets history' show which payout and hold parted ways",
        f"""
        SELECT coalesce(a.tenant, x.tenant), 'wallet:' || coalesce(a.owner, x.owner) || '\\:held '
                || coalesce(a.currency, x.currency),
            'held ' || coalesce(a.balance_minor, 0) || ', open payouts ' || coalesce(x.total, 0)
        FROM (SELECT * FROM accounts WHERE code = 'wallet:' || owner || '\\:held') a
        FULL JOIN (
            SELECT tenant, owner, currency, sum(amount_minor) AS total
            FROM payouts WHERE state IN {OPEN_STATES} GROUP BY 1, 2, 3
        ) x ON (x.tenant, x.owner, x.currency) = (a.tenant, a.owner, a.currency)
        WHERE coalesce(a.balance_minor, 0) <> coalesce(x.total, 0)
        """,
    ),
    Invariant(
        "holds_belong_to_payouts",
        "every hold was placed for a payout",
        "the hold's transactions carry its id as subject: release what nobody asked for with a new transaction",
        """
        SELECT t.tenant, t.subject, t.kind || ' ' || t.id
        FROM ledger_transactions t
        LEFT JOIN (SELECT tenant, 'hold:' || id AS subject FROM payouts) p USING (tenant, subject)
        WHERE t.subject LIKE 'hold:%' AND p.subject IS NULL
        """,
    ),
    Invariant(
        "payouts_are_settled_as_their_state_says",
        "an open payout is held, a paid one captured once, a failed or cancelled one released once, a returned one "
        "brought back once",
        f"{SHOW}: if money is at stake ask the provider what it did; correct the ledger with a new transaction",
        f"""
        SELECT p.tenant, 'payout' || substring(p.subject FROM 5), 'is ' || p.state
            || '; placed, captured, released, brought back: ' || p.times
        FROM (
            SELECT tenant, subject, max(state) AS state, concat_ws(' ', count(*) FILTER (WHERE kind = 'hold.placed'),
                count(*) FILTER (WHERE kind = 'hold.captured'), count(*) FILTER (WHERE kind = 'hold.released'),
                count(*) FILTER (WHERE kind = 'payout.returned')
                    - count(*) FILTER (WHERE kind = 'payout.reversal_failed')) AS times
            FROM (
                SELECT tenant, subject, kind, NULL AS state FROM ledger_transactions WHERE subject LIKE 'hold:%'
                UNION ALL
                SELECT tenant, 'hold:' || id, NULL, state FROM payouts
            ) x GROUP BY 1, 2
        ) p
        WHERE p.times <> {SETTLED}
        """,
    ),
    Invariant(
        "payout_transactions_move_its_amount",
        "each ledger transaction of a payout moves its whole amount between its owner's accounts and its provider's",
        f"{SHOW}; entries were written around the code: correct with a new transaction",
        f"""
        SELECT p.tenant, 'payout:' || p.id, t.kind || ' ' || t.id || ': '
            || string_agg(a.code || ' ' || e.amount_minor || ' ' || a.currency, ', ' ORDER BY e.id)
        FROM payouts p
        JOIN ledger_transactions t ON t.tenant = p.tenant AND t.subject = 'hold:' || p.id
        JOIN ledger_entries e ON e.transaction_id = t.id
        JOIN accounts a ON a.id = e.account_id
        GROUP BY p.tenant, p.id, t.id, t.kind
        HAVING sum(greatest(e.amount_minor, 0)) <> p.amount_minor OR bool_or(a.currency <> p.currency
            OR a.code <> {EXPECTED_CODE} OR e.amount_minor = 0) OR count(DISTINCT a.id) <> count(*)
            OR (count(*) <> 2 AND t.kind <> 'payout.reversal_failed')
        """,
    ),
    Invariant(
        "done_payout_requests_have_their_payout",
        "every request that is done has its payout, every refused one has none",
        "the job's state and its effect parted ways: 'ledgerbeat jobs show' the id",
        """
        SELECT j.tenant, 'job ' || j.id, j.name || ' is ' || j.state
        FROM jobs j LEFT JOIN payouts p ON p.id = j.id AND p.tenant = j.tenant
        WHERE j.name = 'payouts.request' AND (j.state = 'done') <> (p.id IS NOT NULL)
        """,
    ),
    Invariant(
        "one_attempt_is_alive",
        "of a payout's attempts at most one may still pay or has paid: never a second key beside it",
        f"{SHOW} and ask the provider about both references at once: it may pay twice",
        f"""
        SELECT p.tenant, 'payout:' || p.id, 'alive: ' || string_agg(a.attempt_no || ' ' || a.outcome, ', ')
        FROM payout_attempts a JOIN payouts p ON p.id = a.payout_id
        WHERE a.outcome IN {LIVE_OUTCOMES} GROUP BY p.tenant, p.id HAVING count(*) > 1
        """,
    ),
    Invariant(
        "one_attempt_was_taken",
        "at most one attempt of a payout was ever submitted, paid or returned",
        f"{SHOW} and ask the provider about both references at once: it may have paid twice",
        """
        SELECT p.tenant, 'payout:' || p.id, 'taken: ' || string_agg(a.attempt_no || ' ' || a.outcome, ', ')
        FROM payout_attempts a JOIN payouts p ON p.id = a.payout_id
        WHERE a.outcome IN ('submitted', 'paid', 'returned') GROUP BY p.tenant, p.id HAVING count(*) > 1
        """,
    ),
    Invariant(
        "attempts_agree_with_their_payout",
        "the attempt that is alive says what the payout says; an ended payout has none",
        f"{SHOW}: the timeline tells which of the two moved alone; hold it (ledgerbeat providers pause) until known",
        f"""
        SELECT p.tenant, 'payout:' || p.id, 'is ' || p.state || ', attempts ' || coalesce(a.outcomes, 'none')
        FROM payouts p
        LEFT JOIN (
            SELECT payout_id, string_agg(attempt_no || ' ' || outcome, ', ' ORDER BY attempt_no) AS outcomes,
                coalesce(string_agg(outcome, ', ') FILTER (WHERE outcome IN {LIVE_OUTCOMES}), '') AS alive,
                max(claim_version) AS claim_version, count(*) <> max(attempt_no) AS gap,
                bool_or(outcome = 'returned') AS returned
            FROM payout_attempts GROUP BY 1
        ) a ON a.payout_id = p.id
        WHERE coalesce(a.alive, '') <> {ALIVE} OR a.gap OR coalesce(a.returned, false) <> (p.state = 'returned')
            OR (p.state = 'sending' AND a.claim_version <> p.claim_version)
        """,
    ),
    Invariant(
        "attempts_belong_to_their_payout",
        "every attempt belongs to a payout of the same tenant and provider",
        "an attempt was written around the code: compare with a backup",
        """
        SELECT a.tenant, 'payout:' || a.payout_id, 'attempt ' || a.attempt_no || ' at ' || a.provider
        FROM payout_attempts a LEFT JOIN payouts p ON p.id = a.payout_id
        WHERE p.id IS NULL OR (p.tenant, p.provider) <> (a.tenant, a.provider)
        """,
    ),
    Invariant(
        "reservations_agree_with_their_payout",
        "a payout counts against its owner's daily limit until its money is proven not to leave",
        f"{SHOW}: the owner's limit of that day is wrong until the reservation's released_at is set right",
        """
        SELECT coalesce(p.tenant, r.tenant), 'payout:' || coalesce(p.id, r.payout_id),
            'is ' || coalesce(p.state, 'not there') || ', its reservation '
                || CASE WHEN r.payout_id IS NULL THEN 'is missing' WHEN r.released_at IS NULL THEN 'stands'
                    ELSE 'is released' END
                || coalesce(' for ' || r.amount_minor || ' ' || r.currency, '')
        FROM payouts p FULL JOIN limit_reservations r ON r.payout_id = p.id
        WHERE r.payout_id IS NULL
            OR (r.released_at IS NULL) <> coalesce(p.state NOT IN ('failed', 'cancelled', 'returned'), false)
            OR (p.tenant, p.owner, p.currency, p.amount_minor, p.business_date)
                <> (r.tenant, r.owner, r.currency, r.amount_minor, r.business_date)
        """,
    ),
    Invariant(
        "payout_history_leads_to_its_state",
        "the moves in a payout's history follow one another without a gap, and the last one leads to its state",
        f"{SHOW}: somebody changed the row without its history, or the reverse; find out who could write",
        """
        SELECT p.tenant, 'payout:' || p.id, 'is ' || p.state || ' in version ' || p.version || ', history says '
            || coalesce(x.states, 'nothing')
        FROM payouts p
        LEFT JOIN (
            SELECT payout_id, count(*) AS moves, min(version) AS first, max(version) AS last,
                string_agg(to_state, ' ' ORDER BY version) AS states,
                (array_agg(to_state ORDER BY version DESC))[1] AS state,
                bool_and(from_state IS NOT DISTINCT FROM previous) AS linked
            FROM (
                SELECT *, lag(to_state) OVER (PARTITION BY payout_id ORDER BY version) AS previous
                FROM payout_events WHERE to_state IS NOT NULL
            ) e GROUP BY 1
        ) x ON x.payout_id = p.id
        WHERE x.payout_id IS NULL OR NOT x.linked OR x.state <> p.state OR x.first <> 1
            OR (x.moves, x.last) <> (p.version, p.version)
        """,
    ),
    Invariant(
        "payouts_are_not_stuck",
        f"no payout is left in sending, or in doubt without a look-up, for {STUCK_MINUTES} minutes after it was due, "
        "and none submitted for a day",
        "nobody dispatches: 'ledgerbeat doctor' says what is missing (Beat, a worker of the queue 'payouts', the "
        "provider's settings)",
        f"""
        SELECT p.tenant, 'payout:' || p.id, 'is ' || p.state || ', was due at '
            || coalesce(CAST(coalesce(p.claimed_until, p.next_lookup_at) AS text), 'no time')
        FROM payouts p
        WHERE (p.state = 'sending' AND p.claimed_until < :now - interval '{STUCK_MINUTES} minutes')
            OR (p.state = 'in_doubt' AND p.next_lookup_at < :now - interval '{STUCK_MINUTES} minutes')
            OR (p.state = 'submitted' AND coalesce(p.next_lookup_at, '-infinity') < :now - interval '1 day')
        """,
        timed=True,
    ),
)
