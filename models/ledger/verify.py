"""The invariants of the ledger and of the path money takes to it: named SQL checks, each with its remedy.

The same set, with that of the payouts (models.payouts.checks), runs in `ledgerbeat verify`, in the hourly schedule
and in the tests.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from models.invariants import BROKEN_ROWS_MAX, Broken, Check, Invariant, ask
from models.payouts.checks import PAYOUT_INVARIANTS

__all__ = ["BROKEN_ROWS_MAX", "INVARIANTS", "LEDGER_INVARIANTS", "Broken", "Check", "Invariant", "verify"]

LEDGER_INVARIANTS: Sequence[Invariant] = (
    Invariant(
        "transactions_sum_to_zero",
        "every ledger transaction has entries, and they sum to zero in each currency",
        "entries were written around the trigger: compare with a backup, then correct with a new transaction",
        """
        SELECT t.tenant, 'transaction ' || t.id, coalesce(x.currency, '?') || ' sum ' || coalesce(x.total::text, 'none')
        FROM ledger_transactions t
        LEFT JOIN (
            SELECT e.transaction_id, a.currency, sum(e.amount_minor) AS total
            FROM ledger_entries e LEFT JOIN accounts a ON a.id = e.account_id GROUP BY 1, 2
        ) x ON x.transaction_id = t.id
        WHERE (x.transaction_id IS NULL OR x.total <> 0 OR x.currency IS NULL)
        """,
    ),
    Invariant(
        "entries_belong_to_a_transaction",
        "every entry belongs to a transaction and an account of the same tenant",
        "entries were written around the trigger: compare with a backup",
        """
        SELECT coalesce(t.tenant, a.tenant, '?') AS tenant, 'entry ' || e.id, 'transaction ' || e.transaction_id
        FROM ledger_entries e
        LEFT JOIN ledger_transactions t ON t.id = e.transaction_id
        LEFT JOIN accounts a ON a.id = e.account_id
        WHERE (t.id IS NULL OR a.id IS NULL OR a.tenant <> t.tenant)
        """,
    ),
    Invariant(
        "balances_equal_their_entries",
        "an account's balance is the sum of its entries",
        "a balance was changed by hand: 'ledgerbeat wallets history' shows the entries, which are the truth",
        """
        SELECT a.tenant, 'account ' || a.id || ' ' || a.code || ' ' || a.currency,
            'balance ' || a.balance_minor || ', entries ' || coalesce(x.total, 0)
        FROM accounts a
        LEFT JOIN (SELECT account_id, sum(amount_minor) AS total FROM ledger_entries GROUP BY 1) x
            ON x.account_id = a.id
        WHERE a.balance_minor <> coalesce(x.total, 0)
        """,
    ),
    Invariant(
        "running_balances_add_up",
        "each entry's balance_after is the one before it plus its amount",
        "two writers moved one account at once, around post(): look for writes that did not come from it",
        """
        SELECT a.tenant, 'entry ' || x.id, 'account ' || a.id || ' balance after ' || x.balance_after_minor
        FROM (
            SELECT id, account_id, balance_after_minor,
                amount_minor + coalesce(lag(balance_after_minor) OVER (PARTITION BY account_id ORDER BY id), 0)
                    AS expected
            FROM ledger_entries
        ) x JOIN accounts a ON a.id = x.account_id
        WHERE x.balance_after_minor <> x.expected
        """,
    ),
    Invariant(
        "wallets_are_not_overdrawn",
        "an account without overdraft is never below zero, unless its tenant is in shadow mode",
        "the CHECK constraint accounts_not_overdrawn is gone or was bypassed: restore it",
        """
        SELECT a.tenant, 'account ' || a.id || ' ' || a.code || ' ' || a.currency, 'balance ' || a.balance_minor
        FROM accounts a WHERE a.balance_minor < 0 AND NOT a.allow_overdraft AND NOT a.shadow
        """,
    ),
    Invariant(
        "done_wallet_jobs_stand_in_the_ledger",
        "every wallet job that is done has its ledger transaction, every refused one has none",
        "the job's state and its effect parted ways: 'ledgerbeat jobs show' the id; correct with a new job",
        """
        SELECT j.tenant, 'job ' || j.id, j.name || ' is ' || j.state
        FROM jobs j
        LEFT JOIN ledger_transactions t
            ON t.tenant = j.tenant AND t.idempotency_key = j.name || ':' || j.idempotency_key
        WHERE j.name IN ('wallets.credit', 'wallets.debit', 'wallets.transfer') AND j.origin = 'app'
            AND (j.state = 'done') <> (t.id IS NOT NULL)
        """,
    ),
    Invariant(
        "deposits_agree_with_the_ledger",
        "a deposit's captured, refunded and charged back amounts are what its ledger transactions moved",
        "'ledgerbeat wallets history' on the provider's clearing account shows the transactions of the deposit",
        """
        SELECT d.tenant, 'deposit:' || d.provider || ':' || d.reference,
            'deposit says ' || d.captured_minor - d.refunded_minor - d.charged_back_minor
                || ', ledger says ' || coalesce(x.moved, 0)
        FROM deposits d
        LEFT JOIN (
            SELECT t.tenant, t.subject, -sum(e.amount_minor) AS moved
            FROM ledger_transactions t
            JOIN ledger_entries e ON e.transaction_id = t.id
            JOIN accounts a ON a.id = e.account_id
            WHERE t.subject LIKE 'deposit:%' AND a.code LIKE 'provider:%clearing'
            GROUP BY 1, 2
        ) x ON x.tenant = d.tenant AND x.subject = 'deposit:' || d.provider || ':' || d.reference
        WHERE d.captured_minor - d.refunded_minor - d.charged_back_minor <> coalesce(x.moved, 0)
        """,
    ),
    Invariant(
        "holds_are_settled_once",
        "a hold is placed before it is settled, for the same amount",
        "the hold's transactions carry the subject hold:<id>: read them in order, correct with a new transaction",
        """
        SELECT t.tenant, t.subject, string_agg(t.kind, ', ' ORDER BY t.id) || '; still held ' || sum(x.held)
        FROM ledger_transactions t
        JOIN LATERAL (
            SELECT coalesce(sum(e.amount_minor), 0) AS held
            FROM ledger_entries e JOIN accounts a ON a.id = e.account_id
            WHERE e.transaction_id = t.id AND a.code LIKE '%held' AND a.owner IS NOT NULL
        ) x ON true
        WHERE t.subject LIKE 'hold:%' AND t.kind NOT IN ('payout.returned', 'payout.reversal_failed')
        GROUP BY t.tenant, t.subject
        HAVING count(*) FILTER (WHERE t.kind = 'hold.placed') <> 1 OR count(*) > 2
            OR (count(*) = 2 AND sum(x.held) <> 0)
        """,
    ),
)


INVARIANTS: Sequence[Invariant] = (*LEDGER_INVARIANTS, *PAYOUT_INVARIANTS)
"""All that is asked."""


def verify(session: Session, tenant: str | None = None, *, now: datetime | None = None) -> list[Check]:
    """Ask every invariant of ledger and payouts, of one tenant or of all; what is stuck only with `now`. Reads only."""
    return ask(session, INVARIANTS, tenant, now=now)
