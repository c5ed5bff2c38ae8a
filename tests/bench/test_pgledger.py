"""post() against pgledger's published functions, on one hot account in the same cluster."""

import random

import pytest
from sqlalchemy import Engine

from models.ledger.outcomes import Created
from models.ledger.posting import post
from tests.bench.measuring import Done, Side, interleaved
from tests.bench.postings import NOW, deposits
from tests.bench.report import Report
from tests.bench.running import Connection, connected
from worker.database import Transaction

ROUNDS = 7
BATCH = 100
WALLETS = 1000
ACCOUNT = "SELECT id FROM pgledger_create_account(%s, 'EUR')"
ONE = "SELECT * FROM pgledger_create_transfer(%s, %s, %s)"
MANY = "SELECT * FROM pgledger_create_transfers(%s::transfer_request[])"


@pytest.mark.usefixtures("tenant")
def test_pgledger(
    transaction: Transaction,
    engine: Engine,
    empty_database_url: str,
    pgledger_sql: str | None,
    servers: list[int],
    report: Report,
) -> None:
    if pgledger_sql is None:
        report.remark(
            "pgledger was not compared: LEDGERBEAT_BENCH_PGLEDGER names no copies of its uuid-to-ulid.sql and "
            "pgledger.sql (github.com/pgr0ss/pgledger)."
        )
        return

    def ours(_: int) -> Done:
        for _batch in range(20):
            with transaction() as session:
                assert all(isinstance(a, Created) for a in post(session, deposits(BATCH), now=NOW))
        return Done(20 * BATCH)

    with connected(empty_database_url) as connection:
        connection.execute(pgledger_sql.encode())
        hot, *wallets = [_account(connection, f"account-{number}") for number in range(WALLETS + 1)]

        def one_by_one(_: int) -> Done:
            for _transfer in range(200):
                connection.execute(ONE, (hot, random.choice(wallets), 100))  # noqa: S311 - no secret
            return Done(200)

        def in_batches(_: int) -> Done:
            for _batch in range(5):
                rows = [f'"({hot},{random.choice(wallets)},100)"' for _ in range(BATCH)]  # noqa: S311
                connection.execute(MANY, (f"{{{','.join(rows)}}}",))
            return Done(5 * BATCH)

        found = interleaved(
            [
                Side("ours", ours, lambda: servers),
                Side("one", one_by_one, lambda: servers),
                Side("many", in_batches, lambda: servers),
            ],
            rounds=ROUNDS,
        )
    report.ratio(
        "post(), batches of 100 / pgledger_create_transfer(), hot account",
        found["ours"],
        found["one"],
        asked=8,
    )
    report.ratio(
        "post(), batches of 100 / pgledger_create_transfers(), batches of 100", found["ours"], found["many"]
    )


def _account(connection: Connection, name: str) -> str:
    row = connection.execute(ACCOUNT, (name,)).fetchone()
    assert row is not None
    return str(row[0])
