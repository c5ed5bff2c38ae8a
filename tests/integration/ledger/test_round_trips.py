"""A batch costs a constant number of statements, whatever its size."""

import pytest
from sqlalchemy import Engine

from models.ledger.outcomes import Posting
from tests.integration.ledger.postings import credit, debit, posted, statements, words
from worker.database import Transaction

pytestmark = pytest.mark.usefixtures("tenant")


def batch(size: int, name: str) -> list[Posting]:
    return [credit(f"{name}-{number % 97}", 1 + number, f"{name}:{number}") for number in range(size)]


@pytest.mark.parametrize(
    ("case", "expected"), [("new accounts", 5), ("known accounts", 3), ("replays", 3), ("mixed", 4)]
)
def test_one_posting_costs_as_many_statements_as_five_hundred(
    transaction: Transaction, engine: Engine, case: str, expected: int
) -> None:
    counts = []
    for size in (1, 500):
        postings = batch(size, f"n{size}")
        if case != "new accounts":
            posted(transaction, *postings)
        if case == "known accounts":
            postings = [debit(f"n{size}-{number % 97}", 1, f"d{size}:{number}") for number in range(size)]
        if case == "mixed":
            postings = [*postings, debit(f"n{size}-0", 1, f"d{size}")]
        with statements(engine) as seen:
            outcomes = posted(transaction, *postings)
        assert set(words(outcomes)) <= {"created", "replayed"}
        counts.append(len(seen))
    assert counts == [expected, expected]


def test_the_worst_batch_costs_seven_statements(transaction: Transaction, engine: Engine) -> None:
    posted(transaction, credit("ada", 1, "k1"))
    with statements(engine) as seen:
        posted(transaction, credit("ada", 1, "k1"), debit("new", 1, "k2"), shadow=True)
    assert len(seen) == 7
