"""A sudden flood in a young database: what a batch reads does not grow with the tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from tasks.intake.batch import drain_batch
from tasks.intake.routing import ROUTING
from tests.factories import accept_jobs, credit_args, job_request
from worker.database import Transaction

PREPARED_AFTER = 12
"""Times that a connection runs a statement before it keeps one plan for it: the driver's 5, PostgreSQL's 5, and two."""
BATCH = 100
READ = text("SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_xact_user_tables")


def watched(transaction: Transaction, reads: list[int]) -> Transaction:
    """That transaction; at its end it notes how many rows of tables were read in it."""

    @contextmanager
    def watch() -> Iterator[Session]:
        with transaction() as session:
            before = session.execute(READ).scalar_one()  # earlier transactions of the connection count, too
            yield session
            reads.append(session.execute(READ).scalar_one() - before)

    return watch


@pytest.mark.parametrize("analyzed", [False, True])
def test_the_last_batch_of_a_flood_reads_no_more_than_the_first(
    transaction: Transaction, owner_transaction: Transaction, tenant: str, now: datetime, analyzed: bool
) -> None:
    reads: list[int] = []

    def drain_flood(name: str, many: int, limit: int) -> None:
        """Credits to one owner each, in batches of `limit`."""
        accept_jobs(transaction, [job_request(args=credit_args(f"{name}-{n}")) for n in range(many)], now=now)
        while drain_batch(watched(transaction, reads), tenant, limit=limit, now=now, routing=ROUTING).claimed:
            pass

    drain_flood("before", 5, 1)
    if analyzed:
        with owner_transaction() as session:
            session.execute(text("ANALYZE"))
    drain_flood("quiet", PREPARED_AFTER, 1)
    reads.clear()
    drain_flood("flood", 20 * BATCH, BATCH)
    first, *_, last, _ = reads
    assert last < 1.1 * first, reads
