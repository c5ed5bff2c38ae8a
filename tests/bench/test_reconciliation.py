"""A night's run against the least that anyone could do with the same rows: COPY them, and join them once."""

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest

from models.tenants import sync_tenants
from tasks.reconciliation.policy import night_of
from tasks.reconciliation.service import RunReport, reconcile
from tests.bench import live
from tests.bench.measuring import MEGABYTE, PAGE_BYTES, Done, Side, interleaved, resident_megabytes
from tests.bench.report import Report
from tests.integration.reconciliation.generating import (
    BUSINESS_DATE,
    NOW,
    Connection,
    Feed,
    found,
    generate,
    mend,
    truth,
)
from worker.database import Transaction
from worker.providers.records.port import Record, Window

T = TypeVar("T")
ROWS = 200_000
ROWS_FULL = 1_000_000
ROUNDS = 5
ROUNDS_FULL = 3
COLUMNS = """record_id, kind, reference, object_id, amount_minor, currency, fee_minor, fee_currency, status,
    occurred_at, line"""
EMPTY = (b"TRUNCATE provider_records", b"TRUNCATE bare", b"TRUNCATE reconciliation_findings", b"CHECKPOINT")
# Whatever does not agree, and nothing of what that means.
JOIN = """
    SELECT count(*) FROM bare r FULL JOIN (
        SELECT substr(t.subject, 17) AS reference, a.currency, -e.amount_minor AS amount_minor
        FROM accounts a JOIN ledger_entries e ON e.account_id = a.id
        JOIN ledger_transactions t ON t.id = e.transaction_id
        WHERE a.code = 'provider:sandbox:clearing' AND t.occurred_at >= %s AND t.occurred_at < %s
    ) l USING (reference, currency, amount_minor)
    WHERE r.record_id IS NULL OR l.reference IS NULL
"""


@dataclass
class Peak:
    """The most that was held at once, in megabytes, by this process and by the servers."""

    client: float = 0
    server: float = 0


@pytest.fixture
def rows(full: bool) -> int:
    return ROWS_FULL if full else ROWS


@pytest.fixture
def owner(database_url: str, transaction: Transaction, rows: int) -> Iterator[Connection]:
    """A ledger and a feed of so many rows, as the database's owner."""
    with transaction() as session:
        sync_tenants(session, {"acme": "Europe/Istanbul"})
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(b"SET maintenance_work_mem = '256MB'")
        generate(connection, rows)
        connection.execute(b"CREATE TABLE bare (LIKE provider_records)")
        yield connection


def test_a_night(
    owner: Connection, transaction: Transaction, servers: list[int], report: Report, rows: int, full: bool
) -> None:
    peak, records = Peak(), []

    def night(minutes_later: int = 0) -> RunReport:
        now = NOW + timedelta(minutes=minutes_later)
        return reconcile(
            transaction, "acme", "sandbox", BUSINESS_DATE, Feed(owner), clock=lambda: now, with_checks=False
        )

    def ours(_: int) -> Done:
        empty(owner)
        with watched(peak, servers):
            done, seconds = timed(night)
        assert done.adds_up
        assert found(owner) == truth(owner)
        records.append(done.records)
        return Done(done.records, seconds)

    def bare(_: int) -> Done:
        empty(owner)
        count, seconds = timed(lambda: copy_and_join(owner))
        return Done(count, seconds)

    rounds = ROUNDS_FULL if full else ROUNDS
    samples = interleaved(
        [Side("ours", ours, lambda: servers), Side("bare", bare, lambda: servers)], rounds=rounds
    )
    what = f"a night, {rows:,} records against {rows:,} ledger rows"
    report.ratio(
        f"{what}: time / bare COPY and hash join",
        samples["ours"],
        samples["bare"],
        asked=2,
        at_most=True,
        inverted=True,
    )
    report.figure(f"{what}: peak memory of the client", peak.client, "MB")
    report.figure(f"{what}: peak memory of the servers, shared buffers included", peak.server, "MB")
    if not full:
        report.remark(f"A night of {ROWS_FULL:,} records: run with --full.")
    empty(owner)
    wanted = truth(owner)
    assert (night(1).opened, night(2).opened, found(owner) == wanted) == (len(wanted), 0, True)
    mend(owner)
    assert (night(3).closed, found(owner)) == (len(wanted), set())


def test_live_work_beside_nights(
    owner: Connection, database_url: str, redis_url: str, transaction: Transaction, report: Report, rows: int,
    tmp_path: Path,
) -> None:  # fmt: skip
    """One night after another, while requests come at a steady rate."""
    live.open_books(transaction)
    with live.product(database_url, redis_url, tmp_path) as (port, connection):
        found = live.measured(
            port, connection, {"nothing": live.nothing, "nights": lambda _: nights(owner, transaction)}
        )
    live.compare(report, f"beside nights of {rows:,} records", found["nights"], found["nothing"])


@contextmanager
def nights(owner: Connection, transaction: Transaction) -> Iterator[None]:
    """At least one is under way until the block ends."""
    began, over, failed = threading.Event(), threading.Event(), list[BaseException]()

    def work() -> None:
        try:
            while not over.is_set():
                began.set()
                reconcile(
                    transaction,
                    "acme",
                    "sandbox",
                    BUSINESS_DATE,
                    Feed(owner),
                    clock=lambda: NOW,
                    with_checks=False,
                )
        except BaseException as error:  # noqa: BLE001 - raised below
            failed.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    began.wait()
    try:
        yield
    finally:
        over.set()
        worker.join()
    if failed:
        raise failed[0]


def empty(owner: Connection) -> None:
    for statement in EMPTY:
        owner.execute(statement)


def copy_and_join(owner: Connection) -> int:
    """The same records from the same source, by psycopg's own COPY; then one query."""
    night, count = night_of(BUSINESS_DATE, "Europe/Istanbul"), 0
    window = Window(night.fetched_from, night.fetched_until)
    with psycopg.connect(owner.info.dsn, password=owner.info.password) as connection:
        copying = f"COPY bare (take_id, tenant, provider, {COLUMNS}) FROM STDIN".encode()
        with connection.cursor().copy(copying) as copy:
            for one in Feed(owner).read(window):
                assert isinstance(one, Record)
                copy.write_row((1, "acme", "sandbox", *values(one)))
                count += 1
        connection.execute("SET work_mem = '128MB'")
        connection.execute(JOIN.encode(), (window.since, window.until)).fetchone()
    return count


def values(one: Record) -> tuple[object, ...]:
    return (one.record_id, one.kind, one.reference, one.object_id, one.amount_minor, one.currency, one.fee_minor,
            one.fee_currency, one.status, one.occurred_at, one.line)  # fmt: skip


def timed(call: Callable[[], T]) -> tuple[T, float]:
    began = time.perf_counter()
    return call(), time.perf_counter() - began


def own_megabytes() -> float:
    """This process alone: the servers are its children."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES / MEGABYTE


@contextmanager
def watched(peak: Peak, servers: Collection[int]) -> Iterator[None]:
    """Look at the memory every quarter of a second."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.25):
            peak.client = max(peak.client, own_megabytes())
            peak.server = max(peak.server, resident_megabytes(servers))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
