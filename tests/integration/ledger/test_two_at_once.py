"""Two writers at once: whatever the order, the ledger ends the same."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations, pairwise
from random import Random

import pytest
from sqlalchemy import text

from models.errors import PostingRaced
from models.ledger.outcomes import Created, Leg, Posting, PostingOutcome, Replayed
from models.ledger.posting import post
from tests.integration.ledger.postings import (
    NOON,
    assert_books_in_order,
    available,
    credit,
    posted,
    rows_of,
    transfer,
    words,
)
from tests.waiting import until
from worker.database import Transaction, is_transient

pytestmark = pytest.mark.usefixtures("tenant")

WAITING = text("""
    SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE NOT l.granted AND a.datname = current_database()
""")
TRIES_MAX = 50


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def second_writer(
    transaction: Transaction, threads: ThreadPoolExecutor
) -> Callable[[Posting], Future[list[PostingOutcome]]]:
    """Posts and commits in a thread of its own; comes back when it waits for a lock."""

    def start(posting: Posting) -> Future[list[PostingOutcome]]:
        outcomes = threads.submit(posted, transaction, posting)
        until(lambda: outcomes.done() or someone_waits(transaction), what="a second writer that waits")
        assert not outcomes.done(), "the second writer did not wait"
        return outcomes

    return start


def someone_waits(transaction: Transaction) -> bool:
    with transaction() as session:
        return bool(session.execute(WAITING).scalar_one())


SecondWriter = Callable[[Posting], Future[list[PostingOutcome]]]


@pytest.mark.parametrize("account_exists", [True, False])
def test_of_two_with_the_same_posting_one_creates_and_the_other_replays(
    transaction: Transaction, second_writer: SecondWriter, account_exists: bool
) -> None:
    if account_exists:
        posted(transaction, credit("ada", 1, "k0"))
    with transaction() as session:
        (first,) = post(session, [credit("ada", 5, "k1")], now=NOON)
        second = second_writer(credit("ada", 5, "k1"))
    assert isinstance(first, Created)
    assert second.result(120) == [Replayed(first.transaction_id, first.balances)]
    assert available(transaction, "ada") == 5 + account_exists


def test_the_second_creates_when_the_first_rolls_back(
    transaction: Transaction, second_writer: SecondWriter
) -> None:
    with transaction() as session:
        post(session, [credit("ada", 5, "k1")], now=NOON)
        second = second_writer(credit("ada", 5, "k1"))
        session.rollback()
    assert words(second.result(120)) == ["created"]
    assert available(transaction, "ada") == 5


def test_the_same_key_on_other_accounts_is_a_race_and_then_a_conflict(
    transaction: Transaction, second_writer: SecondWriter
) -> None:
    other = transfer("bob", "eve", 5, "k1")
    posted(transaction, credit("bob", 5, "k0"))
    with transaction() as session:
        post(session, [replace(credit("ada", 5, "k1"), legs=legs_between("house:x", "ada"))], now=NOON)
        second = second_writer(other)
    with pytest.raises(PostingRaced, match="of 1 keys one"):
        second.result(120)
    assert words(posted(transaction, other)) == ["idempotency_conflict"]
    assert (available(transaction, "bob"), available(transaction, "eve")) == (5, 0)
    assert_books_in_order(transaction)


def legs_between(from_code: str, to_owner: str) -> tuple[Leg, ...]:
    return (Leg(from_code, "EUR", -5), Leg(f"wallet:{to_owner}:available", "EUR", 5))


def test_two_that_open_the_same_account_at_once_open_one(
    transaction: Transaction, second_writer: SecondWriter
) -> None:
    with transaction() as session:
        post(session, [credit("new", 5, "k1")], now=NOON)
        second = second_writer(credit("new", 7, "k2"))
    (outcome,) = second.result(120)
    assert isinstance(outcome, Created)
    assert outcome.balances[1] == ("wallet:new:available", "EUR", 12)
    assert rows_of(transaction, "accounts") == 2
    assert_books_in_order(transaction)


def test_a_debit_waits_for_the_debit_before_it_and_then_sees_an_empty_wallet(
    transaction: Transaction, second_writer: SecondWriter
) -> None:
    posted(transaction, credit("ada", 5, "k0"))
    with transaction() as session:
        post(session, [transfer("ada", "bob", 5, "k1")], now=NOON)
        second = second_writer(transfer("ada", "eve", 5, "k2"))
    assert words(second.result(120)) == ["insufficient_funds"]


def test_opposite_transfers_between_known_accounts_never_deadlock(
    transaction: Transaction, threads: ThreadPoolExecutor
) -> None:
    owners = [f"owner-{number}" for number in range(6)]
    posted(transaction, *(credit(owner, 1_000, f"seed:{owner}") for owner in owners))

    def pay(worker: int) -> list[str]:
        random = Random(worker)  # noqa: S311 - a repeatable order, not a secret
        said = []
        for number in range(25):
            pairs = enumerate(random.sample(owners, 2) for _ in range(4))
            batch = [transfer(one, two, 7, f"{worker}:{number}:{line}") for line, (one, two) in pairs]
            said += words(posted(transaction, *batch))
        return said

    said = [word for result in threads.map(pay, range(8)) for word in result]
    assert len(said) == 8 * 25 * 4
    assert set(said) <= {"created", "insufficient_funds"}
    assert sum(available(transaction, owner) for owner in owners) == 6_000
    assert rows_of(transaction, "ledger_transactions") == said.count("created") + 6
    assert_books_in_order(transaction)


def test_many_that_open_accounts_and_share_keys_end_with_each_key_once(
    transaction: Transaction, threads: ThreadPoolExecutor
) -> None:
    pairs = list(combinations([f"owner-{number}" for number in range(8)], 2))
    batches = [
        [credit(owner, 10, f"{one}-{other}:{owner}") for owner in (one, other)] for one, other in pairs
    ]

    def pay(worker: int) -> list[str]:
        shuffled = Random(worker).sample(batches, len(batches))  # noqa: S311 - a repeatable order
        return [
            word for one, other in pairwise(shuffled) for word in post_anew(transaction, [*one, *other[::-1]])
        ]

    said = [word for result in threads.map(pay, range(8)) for word in result]
    assert set(said) == {"created", "replayed"}
    assert said.count("created") == 2 * len(pairs)
    assert {available(transaction, f"owner-{number}") for number in range(8)} == {70}
    assert_books_in_order(transaction)


def post_anew(transaction: Transaction, batch: list[Posting]) -> list[str]:
    """As the drain does: again after a race or a transient error, and only then."""
    for _ in range(TRIES_MAX):
        try:
            return words(posted(transaction, *batch))
        except PostingRaced:
            continue
        except Exception as error:
            if not is_transient(error):
                raise
    raise AssertionError(f"no luck in {TRIES_MAX} tries")
