"""Holds: placed once, settled once, by capture or by release."""

from collections.abc import Callable

import pytest

from models.ledger.codes import clearing_code, held_code, wallet_code
from models.ledger.holds import Hold, capture, place, release
from models.ledger.outcomes import Posting
from models.ledger.reads import Wallet, wallets_of
from tests.integration.ledger.postings import (
    NOON,
    assert_books_in_order,
    balance_of,
    credit,
    debit,
    posted,
    words,
)
from worker.database import Transaction

pytestmark = pytest.mark.usefixtures("tenant")
HOLD = Hold("acme", "p1", "ada", "EUR", 60)
CLEARING = clearing_code("sandbox")
Step = Callable[[], Posting]


def placed() -> Posting:
    return place(HOLD, occurred_at=NOON)


def captured() -> Posting:
    return capture(HOLD, to_code=CLEARING, occurred_at=NOON)


def released() -> Posting:
    return release(HOLD, occurred_at=NOON)


@pytest.fixture
def books(transaction: Transaction) -> Transaction:
    posted(transaction, credit("ada", 100, "k1"))
    return transaction


def ada(transaction: Transaction) -> tuple[int, int]:
    """(available, held)"""
    return balance_of(transaction, wallet_code("ada")), balance_of(transaction, held_code("ada"))


def test_what_is_held_cannot_be_spent(books: Transaction) -> None:
    assert words(posted(books, placed())) == ["created"]
    assert ada(books) == (40, 60)
    assert words(posted(books, debit("ada", 41, "k2"))) == ["insufficient_funds"]
    with books() as session:
        assert wallets_of(session, "acme", "ada") == [Wallet("ada", "EUR", 40, 60)]


def test_more_than_there_is_cannot_be_held(books: Transaction) -> None:
    other = Hold("acme", "p2", "ada", "EUR", 101)
    assert words(posted(books, place(other, occurred_at=NOON))) == ["insufficient_funds"]


def test_a_captured_hold_has_left(books: Transaction) -> None:
    assert words(posted(books, placed(), captured())) == ["created", "created"]
    assert ada(books) == (40, 0)
    assert balance_of(books, CLEARING) == 60
    assert_books_in_order(books)


def test_a_released_hold_is_back(books: Transaction) -> None:
    assert words(posted(books, placed(), released())) == ["created", "created"]
    assert ada(books) == (100, 0)
    assert_books_in_order(books)


@pytest.mark.parametrize("settled", [captured, released])
def test_every_step_again_is_a_replay(books: Transaction, settled: Step) -> None:
    posted(books, placed(), settled())
    before = ada(books)
    assert words(posted(books, placed(), settled(), settled())) == ["replayed"] * 3
    assert ada(books) == before


@pytest.mark.parametrize(("first", "second"), [(captured, released), (released, captured)])
def test_what_is_settled_one_way_cannot_be_settled_the_other(
    books: Transaction, first: Step, second: Step
) -> None:
    posted(books, placed(), first())
    assert words(posted(books, second())) == ["idempotency_conflict"]
    assert_books_in_order(books)


@pytest.mark.parametrize("settled", [captured, released])
def test_what_was_never_held_cannot_be_settled(books: Transaction, settled: Step) -> None:
    other = Hold("acme", "p2", "ada", "EUR", 60)
    posted(books, place(other, occurred_at=NOON))
    assert words(posted(books, settled())) == ["requirement_missing"]
    assert ada(books) == (40, 60)


def test_one_tenants_hold_is_not_settled_by_another(books: Transaction) -> None:
    posted(books, placed())
    foreign = capture(Hold("globex", "p1", "ada", "EUR", 60), to_code=CLEARING, occurred_at=NOON)
    assert words(posted(books, foreign)) == ["requirement_missing"]
    assert ada(books) == (40, 60)
