"""Cover: what a wallet lacks is taken from another account, and the wallet is emptied instead of overdrawn."""

import pytest
from sqlalchemy import text

from models.ledger.outcomes import Created, Replayed
from tests.integration.ledger.postings import (
    NOON,
    assert_books_in_order,
    available,
    balance_of,
    credit,
    debit,
    posted,
    rows_of,
    taken_back,
    words,
)
from worker.database import Transaction

pytestmark = pytest.mark.usefixtures("tenant")
COVER = "suspense:refunds"


@pytest.mark.parametrize(
    ("had", "left", "covered", "entries"),
    [(150, 50, 0, 2), (100, 0, 0, 2), (60, 0, -40, 3), (1, 0, -99, 3), (0, 0, -100, 2)],
)
def test_the_wallet_bears_what_it_can_and_the_cover_the_rest(
    transaction: Transaction, had: int, left: int, covered: int, entries: int
) -> None:
    if had:
        posted(transaction, credit("ada", had, "k0"))
    before = rows_of(transaction, "ledger_entries")
    assert words(posted(transaction, taken_back("ada", 100, "k1"))) == ["created"]
    assert (available(transaction, "ada"), balance_of(transaction, COVER)) == (left, covered)
    assert rows_of(transaction, "ledger_entries") - before == entries
    assert_books_in_order(transaction)


def test_an_overdraft_account_bears_it_all(transaction: Transaction) -> None:
    with transaction() as session:
        session.execute(
            text("INSERT INTO wallet_owners VALUES ('acme', 'ada', 'verified', true, :now)"), {"now": NOON}
        )
    posted(transaction, credit("ada", 60, "k0"), taken_back("ada", 100, "k1"))
    assert (available(transaction, "ada"), balance_of(transaction, COVER)) == (-40, 0)


def test_an_account_in_shadow_bears_it_all_and_the_mismatch_is_recorded(transaction: Transaction) -> None:
    posted(transaction, credit("ada", 60, "k0"), taken_back("ada", 100, "k1"), shadow=True)
    assert (available(transaction, "ada"), balance_of(transaction, COVER)) == (-40, 0)
    assert rows_of(transaction, "ledger_mismatches") == 1


def test_a_covered_posting_replays_after_the_balance_has_changed(transaction: Transaction) -> None:
    posted(transaction, credit("ada", 60, "k0"))
    (first,) = posted(transaction, taken_back("ada", 100, "k1"))
    assert isinstance(first, Created)
    assert first.balances == (
        ("wallet:ada:available", "EUR", 0),
        (COVER, "EUR", -40),
        ("house:promo", "EUR", 40),
    )
    posted(transaction, credit("ada", 500, "k2"))
    assert posted(transaction, taken_back("ada", 100, "k1")) == [
        Replayed(first.transaction_id, first.balances)
    ]
    assert available(transaction, "ada") == 500


def test_the_same_key_without_the_cover_is_a_conflict(transaction: Transaction) -> None:
    posted(transaction, credit("ada", 500, "k0"), taken_back("ada", 100, "k1"))
    assert words(posted(transaction, debit("ada", 100, "k1"))) == ["idempotency_conflict"]


def test_a_cover_takes_account_of_the_batch_so_far(transaction: Transaction) -> None:
    posted(
        transaction,
        credit("ada", 100, "k1"),
        taken_back("ada", 70, "k2"),
        taken_back("ada", 70, "k3"),
        credit("ada", 10, "k4"),
    )
    assert (available(transaction, "ada"), balance_of(transaction, COVER)) == (10, -40)
    assert_books_in_order(transaction)


def test_a_cover_that_is_itself_a_wallet_is_not_overdrawn(transaction: Transaction) -> None:
    posting = taken_back("ada", 100, "k1")
    taken, given = posting.legs
    covered_by_bob = type(taken)(taken.code, "EUR", -100, cover="wallet:bob:available")
    by_bob = type(posting)("acme", "k1", "test", (covered_by_bob, given), NOON)
    assert words(posted(transaction, by_bob)) == ["insufficient_funds"]
    posted(transaction, credit("bob", 100, "k2"))
    assert words(posted(transaction, by_bob)) == ["created"]
    assert available(transaction, "bob") == 0
