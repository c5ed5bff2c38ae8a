"""post() against the same rows written by bare SQL, against itself one by one, and against spread accounts."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Engine

from models.ledger.outcomes import Created, Leg, Posting
from models.ledger.posting import post
from models.ledger.verify import verify
from tests.bench.measuring import Done, Side, interleaved
from tests.bench.postings import CLEARINGS, HOT, NOW, TENANT, WALLETS, deposits, post_bare
from tests.bench.report import Report
from worker.database import Transaction

BATCH = 100
ROUNDS = 7


@pytest.fixture
def accounts(transaction: Transaction, tenant: str) -> None:
    """Every account of the benchmark, opened."""
    opening = [
        Posting(tenant, f"open:{code}", "open", (Leg(HOT, "EUR", -1), Leg(code, "EUR", 1)), NOW)
        for code in WALLETS + CLEARINGS
    ]
    with transaction() as session:
        assert all(isinstance(answer, Created) for answer in post(session, opening, now=NOW))


@pytest.fixture
def bare(database_url: str) -> "Iterator[psycopg.Connection[tuple[object, ...]]]":
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        connection.execute("SET ROLE ledgerbeat_worker")
        connection.commit()
        yield connection


@pytest.mark.usefixtures("accounts")
def test_posting(
    transaction: Transaction,
    bare: "psycopg.Connection[tuple[object, ...]]",
    engine: Engine,
    servers: list[int],
    report: Report,
) -> None:
    def ours(size: int, batches: int, *, hot: bool) -> Done:
        for _ in range(batches):
            asked = deposits(size, hot=hot)
            with transaction() as session:
                answers = post(session, asked, now=NOW)
            assert all(isinstance(answer, Created) for answer in answers)
        return Done(size * batches)

    def by_sql(_: int) -> Done:
        for _ in range(20):
            post_bare(bare, deposits(BATCH))
        return Done(20 * BATCH)

    found = interleaved(
        [
            Side("post", lambda _: ours(BATCH, 20, hot=True), lambda: servers),
            Side("sql", by_sql, lambda: servers),
            Side("one", lambda _: ours(1, 150, hot=True), lambda: servers),
            Side("uniform", lambda _: ours(BATCH, 20, hot=False), lambda: servers),
        ],
        rounds=ROUNDS,
    )
    report.ratio("post(), batches of 100, one hot account / bare SQL", found["post"], found["sql"], asked=0.7)
    report.ratio("post(), batches of 100 / one by one", found["post"], found["one"], asked=15)
    report.ratio(
        "post(), batches of 100: one hot account / uniform accounts", found["post"], found["uniform"], asked=1
    )
    with transaction() as session:
        assert not [check.name for check in verify(session, TENANT) if check.broken]
