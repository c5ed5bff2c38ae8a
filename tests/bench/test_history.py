"""What a job costs beside 10,000 finished ones, and beside millions."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

from models.jobs.accept import accept
from models.tenants import sync_tenants
from tasks.intake.routing import ROUTING
from tasks.intake.service import drain
from tests.bench.measuring import Done, Side, interleaved
from tests.bench.report import Report
from tests.bench.running import connected
from tests.conftest import Server, _new_database
from tests.factories import credit_args, job_request
from worker.database import make_engine, transactions

ROUNDS = 7
JOBS = 2_000
FEW = 10_000
QUICK = (100_000, 300_000)
LONG = (1_000_000, 5_000_000)

# Finished credits, with what they left in the ledger: one house account, 10,000 wallets.
FILL = (
    """INSERT INTO accounts (tenant, code, currency, balance_minor, allow_overdraft)
    SELECT 'acme', 'wallet:old-' || n || ':available', 'EUR', %(rows)s / 10000 * 100, false
    FROM generate_series(0, 9999) AS n
    UNION ALL SELECT 'acme', 'house:promo', 'EUR', -(%(rows)s / 10000 * 100 * 10000), true""",
    """INSERT INTO jobs (tenant, name, origin, idempotency_key, fingerprint, args, state, attempts, due_at, result,
        accepted_at, finished_at)
    SELECT 'acme', 'wallets.credit', 'app', 'old-' || n, sha256(convert_to(n::text, 'UTF8')),
        jsonb_build_object('owner', 'old-' || n %% 10000, 'amount_minor', 100, 'currency', 'EUR', 'reason', 'promo'),
        'done', 1, at, jsonb_build_object('transaction_id', n, 'balance_minor', 100), at, at
    FROM generate_series(1, %(rows)s) AS n, LATERAL (SELECT now() - n * interval '1 second' AS at) AS t""",
    """INSERT INTO ledger_transactions (tenant, kind, idempotency_key, fingerprint, job_id, occurred_at)
    SELECT tenant, 'wallet.credit', 'wallets.credit:' || idempotency_key, fingerprint, id, accepted_at
    FROM jobs ORDER BY seq""",
    """INSERT INTO ledger_entries (transaction_id, account_id, amount_minor, balance_after_minor)
    SELECT t.id, e.account_id, e.amount, e.amount * ((t.id - 1) / 10000 + 1) FROM ledger_transactions t
    CROSS JOIN LATERAL (VALUES ((SELECT max(id) FROM accounts), -100), (1 + t.id %% 10000, 100))
        AS e (account_id, amount)
    ORDER BY t.id""",
)


def test_cost_per_job(
    services: Server, template_database: str, servers: list[int], report: Report, full: bool
) -> None:
    sizes = (FEW, *(LONG if full else QUICK))
    with ExitStack() as held:
        sides = [held.enter_context(filled(services, template_database, rows, servers)) for rows in sizes]
        found = interleaved(sides, rounds=ROUNDS)
    few = found[str(FEW)]
    for rows in sizes[1:]:
        report.ratio(
            f"cost per job beside {rows:,} finished ones / beside {FEW:,}",
            found[str(rows)],
            few,
            asked=1.3,
            at_most=True,
            inverted=True,
        )
    if not full:
        report.remark("Cost per job beside 1,000,000 and 5,000,000 finished ones: run with --full.")


@contextmanager
def filled(server: Server, template: str, rows: int, servers: Sequence[int]) -> Iterator[Side]:
    """A database with so many finished jobs, and what accepts and drains JOBS new ones in it."""
    with _new_database(server.database_url, template) as url:
        engine = make_engine(url, role="ledgerbeat_worker")
        transaction = transactions(engine)
        with transaction() as session:
            sync_tenants(session, {"acme": "UTC"})
        fill(url, rows)

        def run(number: int) -> Done:
            now = datetime.now(UTC)
            asked = [job_request(args=credit_args(f"new-{n % 500}")) for n in range(JOBS)]
            for start in range(0, JOBS, 100):
                with transaction() as session:
                    accept(session, asked[start : start + 100], now=now)
            report = drain(
                transaction, "acme", routing=ROUTING, clock=lambda: datetime.now(UTC), seconds_max=600
            )
            assert report.outcomes == {"done": JOBS}
            return Done(JOBS)

        yield Side(str(rows), run, lambda: servers)
        engine.dispose()


def fill(url: str, rows: int) -> None:
    with connected(url) as connection:
        connection.execute("SET maintenance_work_mem = '256MB'")
        connection.execute("ALTER TABLE ledger_entries DISABLE TRIGGER ledger_entries_balanced")
        for statement in FILL:
            connection.execute(statement.encode(), {"rows": rows})
        connection.execute("ALTER TABLE ledger_entries ENABLE TRIGGER ledger_entries_balanced")
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
