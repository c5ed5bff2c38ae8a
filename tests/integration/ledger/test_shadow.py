"""Shadow mode: insufficient funds are recorded and do not block."""

import pytest
from sqlalchemy import text

from tests.integration.ledger.postings import (
    assert_books_in_order,
    available,
    credit,
    debit,
    posted,
    rows_of,
    words,
)
from worker.database import Transaction

pytestmark = pytest.mark.usefixtures("tenant")


def shorts(transaction: Transaction) -> list[tuple[str, int]]:
    """(code, short by) of every mismatch, oldest first."""
    with transaction() as session:
        found = session.execute(
            text("""
                SELECT a.code, m.short_minor FROM ledger_mismatches m JOIN accounts a ON a.id = m.account_id
                JOIN ledger_transactions t ON t.id = m.transaction_id AND t.tenant = m.tenant ORDER BY m.id
            """)
        )
        return [(code, short) for code, short in found]


def test_a_debit_of_more_than_there_is_goes_through_and_is_noted(transaction: Transaction) -> None:
    outcomes = posted(
        transaction,
        credit("ada", 10, "k1"),
        debit("ada", 15, "k2"),
        debit("ada", 7, "k3"),
        credit("ada", 1, "k4"),
        shadow=True,
    )
    assert words(outcomes) == ["created"] * 4
    assert available(transaction, "ada") == -11
    assert shorts(transaction) == [("wallet:ada:available", 5), ("wallet:ada:available", 7)]
    assert_books_in_order(transaction)


def test_what_is_covered_by_the_balance_is_no_mismatch(transaction: Transaction) -> None:
    posted(transaction, credit("ada", 10, "k1"), debit("ada", 10, "k2"), shadow=True)
    assert shorts(transaction) == []


def test_a_replay_is_not_counted_again(transaction: Transaction) -> None:
    posted(transaction, debit("ada", 15, "k1"), shadow=True)
    assert words(posted(transaction, debit("ada", 15, "k1"), shadow=True)) == ["replayed"]
    assert shorts(transaction) == [("wallet:ada:available", 15)]


def test_accounts_opened_in_enforce_mode_keep_refusing(transaction: Transaction) -> None:
    posted(transaction, credit("ada", 10, "k1"))
    assert words(posted(transaction, debit("ada", 11, "k2"), shadow=True)) == ["insufficient_funds"]


def test_accounts_that_may_be_overdrawn_are_no_mismatch(transaction: Transaction) -> None:
    posted(transaction, credit("ada", 10, "k1"), shadow=True)
    assert rows_of(transaction, "ledger_mismatches") == 0


def test_the_database_does_not_let_an_overdrawn_account_out_of_shadow(transaction: Transaction) -> None:
    posted(transaction, debit("ada", 15, "k1"), shadow=True)
    with pytest.raises(Exception, match="accounts_not_overdrawn"), transaction() as session:
        session.execute(text("UPDATE accounts SET shadow = false"))
