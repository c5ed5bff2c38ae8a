"""From HTTP to the ledger, against SQL alone and against the queues that post one message at a time."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest

from models.ledger.outcomes import Leg, Posting
from models.ledger.posting import post as post_to_ledger
from models.ledger.verify import verify
from models.tenants import sync_tenants
from ops.processes import worker_answers
from tests.bench import pipeline
from tests.bench.generator import load, post
from tests.bench.measuring import Done, Side, interleaved, median_rate
from tests.bench.postings import NOW, TENANT, WALLETS
from tests.bench.queues import Queue, others, plain_celery, working
from tests.bench.report import Report
from tests.bench.running import beat, celery, connected, environment, number, process, wait_for, web
from tests.conftest import Server, _new_database
from tests.integration.http.requests import CREDIT, credit, job_headers
from tests.waiting import until
from worker.database import Transaction, make_engine, transactions

ROUNDS = 3
JOBS = 2_400
MESSAGES = 150
DRAINED = """
    SELECT CASE WHEN EXISTS (SELECT FROM jobs WHERE tenant = 'acme' AND state = 'queued') THEN 0 ELSE 1 END
"""
FINISHED = "SELECT count(*) FROM jobs WHERE state = 'done'"

numbers = count(1)


@pytest.fixture
def other_database_url(services: Server, template_database: str) -> Iterator[str]:
    """A database for SQL alone: no worker of ours looks into it."""
    with _new_database(services.database_url, template_database) as url:
        yield url


@pytest.fixture
def wallets(transaction: Transaction, other_database_url: str) -> None:
    """In both databases the house's account and a thousand wallets, opened."""
    engine = make_engine(other_database_url)
    for each in (transaction, transactions(engine)):
        open_wallets(each)
    engine.dispose()


def open_wallets(transaction: Transaction) -> None:
    legs = [(Leg("house:promo", "EUR", -1), Leg(code, "EUR", 1)) for code in WALLETS]
    with transaction() as session:
        sync_tenants(session, {TENANT: "UTC"})
        opening = [Posting(TENANT, f"open:{number}", "open", two, NOW) for number, two in enumerate(legs)]
        post_to_ledger(session, opening, now=NOW)


def requests(size: int) -> list[bytes]:
    """Credits for a thousand wallets, all from one house account."""
    found = []
    for each in (next(numbers) for _ in range(size)):
        body = str(credit(each % 100 + 1, f"player-{each % 1000}")).replace("'", '"').encode()
        found.append(post(CREDIT, job_headers(uuid4().hex), body))
    return found


@contextmanager
def product(database_url: str, environ: dict[str, str], folder: Path) -> "Iterator[Side]":
    """Two shim processes and one worker, as they run in production."""
    with (
        process(celery("worker", "-E", "-n", "bench@%h"), environ, folder / "worker.log") as worker,
        process(beat(folder), environ, folder / "beat.log") as beating,
        web("worker.http.app:create_app", environ, folder, workers=2) as (port, shim),
        connected(database_url) as connection,
    ):
        until(
            lambda: worker_answers(environ["LEDGERBEAT_REDIS_URL"], "bench"), within_seconds=60, what="worker"
        )

        def run(_: int) -> Done:
            before = number(connection, FINISHED)
            sent = load(port, requests(JOBS))
            ended_at = wait_for(connection, DRAINED, 1)
            assert number(connection, FINISHED) == before + JOBS
            return Done(JOBS, ended_at - sent.began_at)

        yield Side("ours", run, lambda: [worker.pid, beating.pid, shim])


@pytest.mark.usefixtures("wallets")
def test_pipeline(
    database_url: str,
    other_database_url: str,
    redis_url: str,
    transaction: Transaction,
    servers: list[int],
    report: Report,
    tmp_path: Path,
) -> None:
    environ = environment(tmp_path, database_url, redis_url)
    with ExitStack() as running:
        ours = running.enter_context(product(database_url, environ, tmp_path))
        sides = [
            Side("ours", ours.run, lambda: [*ours.processes(), *servers]),
            Side("sql", lambda _: Done(JOBS, pipeline.run(other_database_url, JOBS)), lambda: servers),
        ]
        for queue in [plain_celery(), *_others(report, tmp_path / "venv")]:
            post_all, pid = running.enter_context(working(queue, environ, tmp_path))
            sides.append(
                Side(
                    queue.module,
                    lambda _, post_all=post_all: post_all(MESSAGES),  # type: ignore[misc]
                    lambda pid=pid: [pid, *servers],  # type: ignore[misc]
                )
            )
        found = interleaved(sides, rounds=ROUNDS)
    report.ratio(
        "HTTP to ledger / SQL alone (pgbench inserts, one drain)", found["ours"], found["sql"], asked=0.6
    )
    report.ratio(
        "HTTP to ledger / plain Celery task with an ORM session", found["ours"], found["celery_orm"], asked=30
    )
    peers = [name for name in found if name.endswith("_queue")]
    best = max(peers, key=lambda name: median_rate(found[name]), default=None)
    for name in peers:
        what = f"HTTP to ledger / {name.removesuffix('_queue')}, one posting per message"
        report.ratio(what, found["ours"], found[name], asked=4 if name == best else None)
    with transaction() as session:
        assert not [check.name for check in verify(session, TENANT) if check.broken]


def _others(report: Report, folder: Path) -> list[Queue]:
    try:
        return others(folder)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        report.remark("huey, taskiq and dramatiq could not be installed here: not compared.")
        return []
