"""A backfill of a file against the least that anyone could do with its rows, row by row, and beside live work."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import psycopg
import pytest

from models.ledger.outcomes import Leg, Posting
from models.ledger.posting import post
from models.ledger.verify import verify
from models.tenants import sync_tenants
from tasks.backfills.service import BATCH_ROWS
from tests.bench import live
from tests.bench.backfilling import AT, REASON, history, write_history
from tests.bench.measuring import MEGABYTE, Done, Side, interleaved
from tests.bench.postings import TENANT
from tests.bench.report import Report
from tests.bench.running import ROOT, Connection, number
from tests.conftest import Server, _new_database
from tests.waiting import until
from worker.database import Transaction

ROWS = 100_000
ROWS_FULL = 1_000_000
ONE_BY_ONE = 300
MEMORY_ROWS = (20_000, 100_000)
MEMORY_ROWS_FULL = (50_000, 500_000)
ROUNDS, ROUNDS_FULL = 5, 3
LIVE_ROWS = 600_000
"""More than any side reads while the requests are sent."""

STAGE = """
    CREATE TEMP TABLE IF NOT EXISTS staged (
        line bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text, owner text, amount bigint, at bigint
    )
"""
OPEN = """
    INSERT INTO accounts (tenant, code, currency, allow_overdraft)
    SELECT 'acme', code, 'EUR', code = 'house:promo' FROM (
        SELECT DISTINCT 'wallet:' || owner || ':available' AS code FROM staged UNION SELECT 'house:promo') AS c
    ON CONFLICT (tenant, code, currency) DO NOTHING
"""
# Every row that the backfill writes, for so many lines of the file; the fingerprint is made by the database.
INSERT = """
    WITH asked AS MATERIALIZED (
        SELECT line, 'backfill:' || %s || ':' || s.id AS key, amount, to_timestamp(at) AS at, a.id AS wallet_id
        FROM staged s JOIN accounts a
            ON a.tenant = 'acme' AND a.code = 'wallet:' || s.owner || ':available' AND a.currency = 'EUR'
        WHERE s.line > %s AND s.line <= %s
    ), written AS (
        INSERT INTO ledger_transactions (tenant, kind, idempotency_key, fingerprint, subject, occurred_at)
        SELECT 'acme', 'backfill.posting', key, sha256(convert_to(key || ':' || amount, 'UTF8')), key, at
        FROM asked ORDER BY line RETURNING id, idempotency_key
    ), entries AS MATERIALIZED (
        SELECT w.id, e.account_id, e.amount, 2 * a.line + e.leg AS line
        FROM asked a JOIN written w ON w.idempotency_key = a.key
        CROSS JOIN (SELECT id FROM accounts WHERE tenant = 'acme' AND code = 'house:promo' AND currency = 'EUR') AS h
        CROSS JOIN LATERAL (VALUES (h.id, -a.amount, 0), (a.wallet_id, a.amount, 1)) AS e (account_id, amount, leg)
    ), entered AS (
        INSERT INTO ledger_entries (transaction_id, account_id, amount_minor, balance_after_minor)
        SELECT e.id, e.account_id, e.amount,
            a.balance_minor + sum(e.amount) OVER (PARTITION BY e.account_id ORDER BY e.line)
        FROM entries e JOIN accounts a ON a.id = e.account_id ORDER BY e.line
    )
    UPDATE accounts a SET balance_minor = a.balance_minor + s.amount
    FROM (SELECT account_id, sum(amount)::bigint AS amount FROM entries GROUP BY account_id) AS s
    WHERE a.id = s.account_id
"""
CANCEL = (
    "UPDATE backfills SET state = 'cancelled', finished_at = now(), claimed_until = NULL WHERE namespace = %s"
)
READ = "SELECT coalesce(max(rows_read), 0) FROM backfills WHERE namespace = %s"
POSTED = "SELECT count(*) FROM ledger_transactions WHERE idempotency_key LIKE %s"


@pytest.fixture
def bare(services: Server, template_database: str) -> Iterator[Connection]:
    """A database for SQL alone, so that neither side's rows are in the other's way."""
    with (
        _new_database(services.database_url, template_database) as url,
        psycopg.connect(url.replace("+psycopg", ""), options="-c work_mem=64MB") as connection,
    ):
        connection.execute(b"INSERT INTO tenants (tenant) VALUES (%s)", (TENANT,))
        connection.commit()
        yield connection


def test_a_file(
    database_url: str, transaction: Transaction, bare: Connection, servers: list[int], report: Report,
    tmp_path: Path, full: bool,
) -> None:  # fmt: skip
    rows = ROWS_FULL if full else ROWS
    path = write_history(tmp_path / "history.csv", rows)
    with transaction() as session:
        sync_tenants(session, {TENANT: "UTC"})

    def ours(turn: int) -> Done:
        done = worked(database_url, path, f"ours-{turn}")
        assert done["rows"] == rows
        return Done(rows, done["seconds"])

    def by_sql(turn: int, lines: int) -> Done:
        name = f"bare-{lines}-{turn}"
        copy_and_insert(bare, path, name, rows, lines)
        assert number(bare, POSTED, f"backfill:{name}:%") == rows
        return Done(rows)

    def one_by_one(turn: int) -> Done:
        for posting in islice(postings(f"one-{turn}"), ONE_BY_ONE):
            with transaction() as session:
                post(session, [posting], now=datetime.now(UTC))
        return Done(ONE_BY_ONE)

    found = interleaved(
        [
            Side("ours", ours, lambda: servers),
            Side("sql", lambda turn: by_sql(turn, rows), lambda: servers),
            Side("batches", lambda turn: by_sql(turn, BATCH_ROWS), lambda: servers),
            Side("one", one_by_one, lambda: servers),
        ],
        rounds=ROUNDS_FULL if full else ROUNDS,
    )
    what = f"a backfill of {rows:,} rows"
    report.ratio(f"{what} / COPY and one bare INSERT of them", found["ours"], found["sql"], asked=0.5)
    report.ratio(
        f"{what} / COPY and a bare INSERT of each {BATCH_ROWS:,}, committed", found["ours"], found["batches"]
    )
    report.ratio(f"{what} / post(), row by row", found["ours"], found["one"], asked=20)
    with transaction() as session:
        assert not [check.name for check in verify(session, TENANT) if check.broken]
    if not full:
        report.remark(f"A backfill of {ROWS_FULL:,} rows: run with --full.")


def copy_and_insert(connection: Connection, path: Path, namespace: str, rows: int, lines: int) -> None:
    """The file as it is, by psycopg's own COPY; then one statement and a commit for each so many lines."""
    connection.execute(STAGE.encode())
    connection.execute(b"TRUNCATE staged RESTART IDENTITY")
    copying = b"COPY staged (id, owner, amount, at) FROM STDIN (FORMAT csv, HEADER)"
    with path.open("rb") as file, connection.cursor().copy(copying) as copy:
        while part := file.read(MEGABYTE):
            copy.write(part)
    connection.execute(b"ANALYZE staged")
    connection.execute(OPEN.encode())
    for begin in range(0, rows, lines):
        connection.execute(INSERT.encode(), (namespace, begin, begin + lines))
        connection.commit()


def postings(namespace: str) -> Iterator[Posting]:
    """The same rows for post()."""
    at = datetime.fromtimestamp(AT, UTC)
    for row_id, owner, amount in history(ROWS):
        legs = (Leg(f"house:{REASON}", "EUR", -amount), Leg(f"wallet:{owner}:available", "EUR", amount))
        key = f"backfill:{namespace}:{row_id}"
        yield Posting(TENANT, key, "backfill.posting", legs, at, subject=key)


def worker_of(
    url: str, path: Path, namespace: str, pace: str = "full_speed", batch_rows: int = 0
) -> list[str]:
    return [sys.executable, "-m", "tests.bench.backfilling", url, str(path), namespace, pace, str(batch_rows)]


def worked(url: str, path: Path, namespace: str) -> dict[str, float]:
    """By a process of its own, at full speed; what it printed."""
    done = subprocess.run(worker_of(url, path, namespace), cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_memory(
    database_url: str, transaction: Transaction, report: Report, tmp_path: Path, full: bool
) -> None:
    few, many = MEMORY_ROWS_FULL if full else MEMORY_ROWS
    with transaction() as session:
        sync_tenants(session, {TENANT: "UTC"})
    peaks = {}
    for rows in (few, many):
        path = write_history(tmp_path / f"history-{rows}.csv", rows)
        peaks[rows] = worked(database_url, path, f"rows-{rows}")["peak_kilobytes"] / 1024
    report.figure(
        f"a backfill of {many:,} rows: its peak memory / of {few:,}", peaks[many] / peaks[few], "x", at_most=1.1,
        memory=f"{peaks[many]:.0f} / {peaks[few]:.0f}",
    )  # fmt: skip


def test_live_work_beside_it(
    database_url: str, redis_url: str, transaction: Transaction, report: Report, tmp_path: Path
) -> None:
    path = write_history(tmp_path / "history.csv", LIVE_ROWS)
    with transaction() as session:
        sync_tenants(session, {TENANT: "UTC"})
    live.open_books(transaction)
    read: dict[str, list[int]] = {"throttle": [], "full_speed": []}

    with live.product(database_url, redis_url, tmp_path) as (port, connection):

        def beside(pace: str) -> live.Beside:
            @contextmanager
            def running(name: str) -> Iterator[None]:
                argv = worker_of(database_url, path, name, pace)
                with live.killed_at_the_end(argv, tmp_path):
                    begun_by(connection, name)
                    before = rows_read(connection, name)
                    yield
                    read[pace].append(rows_read(connection, name) - before)
                connection.execute(CANCEL.encode(), (name,))

            return running

        found = live.measured(
            port, connection, {"nothing": live.nothing, **{pace: beside(pace) for pace in read}}
        )
    for pace, words in (("throttle", "beside a backfill"), ("full_speed", "beside one without throttle")):
        live.compare(report, words, found[pace], found["nothing"], asked=2 if pace == "throttle" else None)
        speed = sum(read[pace][1:]) / (live.ROUNDS * live.SECONDS)
        report.figure(f"rows read meanwhile, {words}", speed, "per second")


def begun_by(connection: Connection, namespace: str) -> None:
    until(lambda: rows_read(connection, namespace) > 0, within_seconds=60, what="the first batch")


def rows_read(connection: Connection, namespace: str) -> int:
    return number(connection, READ, namespace)
