"""What the ledger says: balances, history by cursor, wallets."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from models.ledger.codes import wallet_code
from models.ledger.reads import HISTORY_ROWS_MAX, Wallet, balance, balance_at, history, wallets_of
from tests.integration.ledger.postings import NOON, credit, debit, move, posted
from worker.database import Transaction

pytestmark = pytest.mark.usefixtures("tenant")
ADA = ("acme", wallet_code("ada"), "EUR")
INSTANT = timedelta(microseconds=1)


@pytest.fixture
def books(transaction: Transaction) -> Transaction:
    """Nine credits of ada, 1 to 9 minor units, an hour apart and the last at noon; bob's stand between."""
    for number in range(1, 10):
        at = NOON - timedelta(hours=9 - number)
        posted(
            transaction,
            credit("ada", number, f"a{number}", occurred_at=at),
            credit("bob", 100, f"b{number}", occurred_at=at),
        )
    return transaction


def amounts(transaction: Transaction, cursor: int | None, rows: int) -> tuple[list[int], int | None]:
    with transaction() as session:
        page = history(session, ADA, cursor=cursor, rows=rows)
    return [line.amount_minor for line in page.lines], page.next_cursor


def test_history_is_newest_first_and_of_one_account(books: Transaction) -> None:
    assert amounts(books, None, 50) == ([9, 8, 7, 6, 5, 4, 3, 2, 1], None)


def test_a_line_tells_the_transaction_it_belongs_to(books: Transaction) -> None:
    with books() as session:
        newest = history(session, ADA, rows=1).lines[0]
    told = (newest.kind, newest.idempotency_key, newest.amount_minor, newest.balance_after_minor)
    assert told == ("test", "a9", 9, 45)
    assert newest.occurred_at == NOON


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 8, 9, 10, HISTORY_ROWS_MAX])
def test_pages_of_any_size_give_each_line_once_although_new_ones_arrive(
    books: Transaction, rows: int
) -> None:
    seen, cursor = amounts(books, None, rows)
    for page in range(9):
        if cursor is None:
            break
        posted(books, credit("ada", 1000, f"new:{page}"))
        found, cursor = amounts(books, cursor, rows)
        assert 0 < len(found) <= rows
        seen += found
    assert seen == [9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_a_cursor_before_the_first_line_gives_nothing(books: Transaction) -> None:
    assert amounts(books, 0, 5) == ([], None)


@pytest.mark.parametrize("rows", [0, -1, HISTORY_ROWS_MAX + 1])
def test_a_page_has_bounds(books: Transaction, rows: int) -> None:
    with books() as session, pytest.raises(ValueError, match=rf"1\.\.1000, {rows} was"):
        history(session, ADA, rows=rows)


def test_an_account_that_does_not_exist_has_nothing(books: Transaction) -> None:
    nobody = ("acme", wallet_code("nobody"), "EUR")
    with books() as session:
        assert balance(session, nobody) == 0
        assert balance_at(session, nobody, at=NOON) == 0
        assert history(session, nobody).lines == ()
        assert wallets_of(session, "acme", "nobody") == []


@pytest.mark.parametrize(
    ("at", "total"),
    [
        (NOON - timedelta(hours=8) - INSTANT, 0),
        (NOON - timedelta(hours=8), 1),
        (NOON - timedelta(hours=7) - INSTANT, 1),
        (NOON - timedelta(hours=7), 3),
        (NOON - INSTANT, 36),
        (NOON, 45),
        (NOON.astimezone(timezone(timedelta(hours=3))), 45),
        (datetime(2100, 1, 1, tzinfo=UTC), 45),
    ],
)
def test_the_balance_at_an_instant_counts_what_had_occurred(
    books: Transaction, at: datetime, total: int
) -> None:
    with books() as session:
        assert balance_at(session, ADA, at=at) == total


def test_business_time_decides_and_not_the_order_of_arrival(books: Transaction) -> None:
    posted(books, credit("ada", 500, "late news", occurred_at=NOON - timedelta(days=1)))
    with books() as session:
        assert balance_at(session, ADA, at=NOON - timedelta(days=1)) == 500
        assert balance(session, ADA) == 545
        assert history(session, ADA, rows=1).lines[0].idempotency_key == "late news"


def test_a_naive_instant_is_a_bug_of_the_caller(books: Transaction) -> None:
    with books() as session, pytest.raises(ValueError, match="aware"):
        balance_at(session, ADA, at=datetime(2026, 1, 1))  # noqa: DTZ001 - the point


def test_wallets_show_what_is_available_and_held_by_owner_and_currency(transaction: Transaction) -> None:
    posted(
        transaction,
        credit("bob", 7, "k1"),
        credit("ada", 100, "k2"),
        move(wallet_code("ada"), "wallet:ada:held", 30, "k3"),
        credit("ada", 5, "k4", currency="JPY"),
        credit("ada", 999, "k5", tenant="globex"),
    )
    ada = [Wallet("ada", "EUR", 70, 30), Wallet("ada", "JPY", 5, 0)]
    with transaction() as session:
        assert wallets_of(session, "acme", "ada") == ada
        assert wallets_of(session, "acme") == [*ada, Wallet("bob", "EUR", 7, 0)]
        assert wallets_of(session, "globex") == [Wallet("ada", "EUR", 999, 0)]


def test_an_owner_named_like_a_wallet_keeps_money_apart(transaction: Transaction) -> None:
    posted(transaction, credit("ada", 5, "k1"), credit("ada:available", 7, "k2"), credit("held", 9, "k3"))
    with transaction() as session:
        assert wallets_of(session, "acme") == [
            Wallet("ada", "EUR", 5, 0),
            Wallet("ada:available", "EUR", 7, 0),
            Wallet("held", "EUR", 9, 0),
        ]


def test_a_balance_at_the_edge_of_bigint_is_told(transaction: Transaction) -> None:
    largest = 2**63 - 1
    posted(transaction, credit("ada", largest, "k1"), debit("ada", 1, "k2"))
    with transaction() as session:
        assert balance_at(session, ADA, at=NOON) == largest - 1
        assert wallets_of(session, "acme", "ada") == [Wallet("ada", "EUR", largest - 1, 0)]
