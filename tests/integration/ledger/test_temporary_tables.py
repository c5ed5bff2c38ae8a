"""A writer's temporary tables come first in its search path: they must not stand in for the ledger's own."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.integration.ledger.postings import assert_books_in_order, credit, posted
from worker.database import Transaction

pytestmark = pytest.mark.usefixtures("tenant")

IMPOSTORS = (
    "CREATE TEMP TABLE accounts AS SELECT id, tenant, currency FROM public.accounts",
    "INSERT INTO pg_temp.accounts VALUES (999999, 'acme', 'EUR')",
    "CREATE TEMP TABLE ledger_transactions AS SELECT id, tenant, now() AS created_at FROM public.ledger_transactions",
)
FORGED = """
    INSERT INTO ledger_entries (transaction_id, account_id, amount_minor, balance_after_minor)
    SELECT t.id, v.account_id, v.amount_minor, 0
    FROM public.ledger_transactions t CROSS JOIN (VALUES
        ((SELECT id FROM public.accounts WHERE owner = 'ada'), 500), (999999, -500)) AS v (account_id, amount_minor)
    WHERE t.idempotency_key = 'k1'
"""


def forge(transaction: Transaction) -> None:
    with transaction() as session:
        for statement in (*IMPOSTORS, FORGED):
            session.execute(text(statement))


def test_temporary_tables_do_not_vouch_for_entries(transaction: Transaction) -> None:
    posted(transaction, credit("ada", 100, "k1"))
    with pytest.raises(DBAPIError, match="is closed"):
        forge(transaction)
    assert_books_in_order(transaction)
