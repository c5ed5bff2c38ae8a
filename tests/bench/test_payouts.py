"""Payouts through a provider that takes 200 ms for each, against what that allows; and how soon `paid` is booked."""

import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

import httpx

from models.ledger.verify import verify
from models.tenants import sync_tenants
from ops.embedded.ports import free_port
from ops.processes import worker_answers
from tests.bench.measuring import Done, Side, interleaved
from tests.bench.report import Report
from tests.bench.running import (
    Connection,
    beat,
    celery,
    connected,
    environment,
    number,
    process,
    wait_for,
    web,
)
from tests.factories import accept_jobs, credit_args, job_request
from tests.integration.http.serving import SANDBOX_SECRET
from tests.waiting import until
from worker.celery import NETWORK_CONCURRENCY, NETWORK_QUEUES
from worker.database import Transaction

ROUNDS = 3
PAYOUTS = {8: 400, 16: 800}
"""How many are under way at a time -> payouts of a round: 10 s of what that allows. 16 is the default."""
OWNERS = 200
LATENCY_SECONDS = 0.2
ALL = sum(PAYOUTS.values()) * (ROUNDS + 1)
WITHIN_SECONDS = 240
LOOK_SECONDS = 0.02
ASK_SECONDS = 0.2
"""How long a round took is read from the history: nobody needs to look for its end often."""
API_KEY = "sk_bench"
CONFIG = """
[tenants.acme]
api_tokens = ["env:BENCH_TOKEN"]
[tenants.acme.providers.sandbox]
adapter = "sandbox"
api_key = "env:BENCH_SANDBOX_KEY"
webhook_secrets = ["env:BENCH_SECRET"]
base_url = "http://127.0.0.1:{port}"
"""
SENT = "SELECT count(*) FROM payouts WHERE state IN ('submitted', 'paid')"
OF_ROUND = """
    SELECT extract(epoch FROM max(e.at) FILTER (WHERE e.from_state = 'sending')
        - min(e.at) FILTER (WHERE e.cause = 'claimed'))
    FROM payout_events e JOIN payouts p ON p.id = e.payout_id WHERE p.destination = %s
"""
PAID = "SELECT id, payout_id::text FROM payout_events WHERE id > %s AND to_state = 'paid' ORDER BY id"
LATE_EVENTS = 1000
"""Ids are drawn before they are committed: those of so many before the newest one are looked at again."""
PAUSE = "UPDATE provider_accounts SET paused_at = now(), max_in_flight = %s"
RESUME = "UPDATE provider_accounts SET paused_at = NULL"

rounds = count()


@dataclass
class Watch:
    """When each payout was first seen to be paid, in committed rows, by this machine's clock."""

    database_url: str
    seen: dict[str, float] = field(default_factory=dict)
    newest: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with connected(self.database_url) as connection:
            while not self.over.wait(LOOK_SECONDS):
                self.look(connection)
            self.look(connection)

    def look(self, connection: Connection) -> None:
        found = connection.execute(PAID.encode(), (self.newest - LATE_EVENTS,)).fetchall()
        now = time.time()
        for event_id, payout_id in found:
            self.newest = max(self.newest, int(str(event_id)))
            self.seen.setdefault(str(payout_id).replace("-", ""), now)


@contextmanager
def watching(database_url: str) -> Iterator[Watch]:
    watch = Watch(database_url)
    thread = threading.Thread(target=watch.run)
    thread.start()
    try:
        yield watch
    finally:
        watch.over.set()
        thread.join()


@contextmanager
def product(environ: dict[str, str], folder: Path, sandbox_port: int) -> Iterator[list[int]]:
    """Sandbox, shim, Beat and the two workers, as `ledgerbeat up` starts them; their process ids."""
    with ExitStack() as running:
        port, shim = running.enter_context(web("worker.http.app:create_app", environ, folder))
        secrets = {
            "LEDGERBEAT_SANDBOX_API_KEY": API_KEY,
            "LEDGERBEAT_SANDBOX_WEBHOOK_SECRET": SANDBOX_SECRET,
            "LEDGERBEAT_SANDBOX_WEBHOOK_URL": f"http://127.0.0.1:{port}/v1/webhooks/acme/sandbox",
        }
        sandbox = [sys.executable, "-m", "ops.cli", "sandbox", "--port", str(sandbox_port)]
        networked = [
            "-Q",
            ",".join(NETWORK_QUEUES),
            "--concurrency",
            str(NETWORK_CONCURRENCY),
            "-n",
            "payouts@%h",
        ]
        commands = {
            "sandbox": sandbox,
            "worker": celery("worker", "-Q", "intake,celery", "-n", "worker@%h"),
            "payouts": celery("worker", *networked),
            "beat": beat(folder),
        }
        pids = [shim]
        for name, argv in commands.items():
            log = folder / f"{name}.log"
            pids.append(running.enter_context(process(argv, {**environ, **secrets}, log)).pid)
        for name in ("worker", "payouts"):
            ready = partial(worker_answers, environ["LEDGERBEAT_REDIS_URL"], name)
            until(ready, within_seconds=60, what=name)
        yield pids


def pay_out(connection: Connection, transaction: Transaction, in_flight: int) -> Done:
    """Admit a round's payouts while the provider is paused, let them go: from the first claim to the last answer."""
    destination = f"ba-{next(rounds)}~fault:slow_before:{LATENCY_SECONDS}"
    before, many = number(connection, SENT), PAYOUTS[in_flight]
    connection.execute(PAUSE.encode(), (in_flight,))
    asked = {"amount_minor": 1, "currency": "EUR", "provider": "sandbox", "destination": destination,
             "requested_by": "app:bench"}  # fmt: skip
    requests = [
        job_request("payouts.request", {**asked, "owner": f"player-{n % OWNERS}"}) for n in range(many)
    ]
    accept_jobs(transaction, requests, now=datetime.now(UTC))
    waiting = f"SELECT count(*) FROM payouts WHERE state = 'approved' AND destination = '{destination}'"  # noqa: S608
    wait_for(connection, waiting, many)
    connection.execute(RESUME.encode())
    wait_for(connection, SENT, before + many, within_seconds=WITHIN_SECONDS, every_seconds=ASK_SECONDS)
    row = connection.execute(OF_ROUND.encode(), (destination,)).fetchone()
    assert row is not None
    return Done(many, float(str(row[0])))


def test_payouts_per_second(
    database_url: str,
    redis_url: str,
    transaction: Transaction,
    servers: list[int],
    report: Report,
    tmp_path: Path,
) -> None:
    environ = environment(tmp_path, database_url, redis_url) | {"BENCH_SANDBOX_KEY": API_KEY}
    port = free_port()
    (tmp_path / "tenants.toml").write_text(CONFIG.format(port=port))
    with transaction() as session:
        sync_tenants(session, {"acme": "UTC"})
    funds = [job_request(args=credit_args(f"player-{n}", 1_000_000)) for n in range(OWNERS)]
    accept_jobs(transaction, funds, now=datetime.now(UTC))
    with product(environ, tmp_path, port) as pids, connected(database_url) as connection:
        with watching(database_url) as watch:
            sides = [
                side
                for in_flight in PAYOUTS
                for side in sides_of(in_flight, connection, transaction, [*pids, *servers])
            ]
            found = interleaved(sides, rounds=ROUNDS)
            wait_for(connection, "SELECT count(*) FROM payouts WHERE state = 'paid'", ALL)
        told = paid_at(port)
    for in_flight in PAYOUTS:
        report.ratio(
            f"payouts through a provider that takes {LATENCY_SECONDS:g} s, {in_flight} at a time / what that allows",
            found[f"ours {in_flight}"],
            found[f"limit {in_flight}"],
            asked=0.8,
        )
    booked = [1000 * (watch.seen[payout_id] - at) for payout_id, at in told.items()]
    report.figure(
        "`paid` at the provider to the ledger, under that load, median", statistics.median(booked), "ms"
    )
    report.figure("the same, 99th percentile", statistics.quantiles(booked, n=100)[-1], "ms")
    with transaction() as session:
        assert not [check.name for check in verify(session) if check.broken]


def sides_of(
    in_flight: int, connection: Connection, transaction: Transaction, processes: list[int]
) -> tuple[Side, Side]:
    """Ours, and what would be if nothing but the provider took any time."""
    many = PAYOUTS[in_flight]
    return (
        Side(f"ours {in_flight}", lambda _: pay_out(connection, transaction, in_flight), lambda: processes),
        Side(f"limit {in_flight}", lambda _: Done(many, many * LATENCY_SECONDS / in_flight)),
    )


def paid_at(port: int) -> dict[str, float]:
    """Payout -> when the provider says it was paid: then it began to tell."""
    found: dict[str, float] = {}
    cursor: str | None = ""
    with httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {API_KEY}"}, trust_env=False
    ) as client:
        while cursor is not None:
            page = client.get(
                "/events", params={"limit": "100"} | ({"cursor": cursor} if cursor else {})
            ).json()
            for event in page["data"]:
                if event["type"] == "payout.paid":
                    payout_id = event["data"]["reference"].rsplit("-", 1)[0]
                    found[payout_id] = datetime.fromisoformat(event["occurred_at"]).timestamp()
            cursor = page["next_cursor"]
    assert len(found) == ALL
    return found
