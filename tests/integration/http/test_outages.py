"""Without its servers: PostgreSQL away is 503 and recovers by itself; Redis away is nobody's trouble."""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from ops.embedded import EmbeddedServices
from tests.bench.measuring import with_descendants
from tests.conftest import migrate
from tests.factories import job_rows
from tests.integration.http.problems import check
from tests.integration.http.requests import CREDIT, SANDBOX, captured, credit, job_headers, signed
from tests.integration.http.serving import GLOBEX_TOKEN, serving, settings
from tests.integration.http.test_jobs import send_at_once
from tests.waiting import PATIENCE_SECONDS, until
from worker.database import Transaction, make_engine, transactions
from worker.http.app import Nudge
from worker.locks import Nudger


@pytest.fixture
def own_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServices]:
    """A PostgreSQL and a Redis that the test may stop."""
    home = tmp_path_factory.mktemp("own")
    for folder in (home, home.parent, home.parent.parent):
        folder.chmod(folder.stat().st_mode | 0o011)
    with EmbeddedServices(Path(home) / "servers", durable=False) as embedded:
        yield embedded


def post_credit(client: httpx.Client, key: str) -> httpx.Response:
    return client.post(CREDIT, json=credit(), headers=job_headers(key))


def test_a_stopped_database_is_503_and_a_started_one_is_202_again(own_servers: EmbeddedServices) -> None:
    url = own_servers.services.database_url
    migrate(url)
    with serving(settings(url)) as address, httpx.Client(base_url=address, timeout=20) as client:
        assert post_credit(client, "before").status_code == 202
        own_servers.stop_postgres(immediate=True)
        answer = post_credit(client, "during")
        check(answer, 503, "not_accepted")
        assert int(answer.headers["retry-after"]) >= 1
        body = captured()
        check(client.post(SANDBOX, content=body, headers=signed(body)), 503, "not_accepted")
        assert client.get("/healthz").status_code == 200
        assert check(client.get("/readyz"), 503, "not_ready")["database"] == "unreachable"
        own_servers.start_postgres()
        assert until(lambda: post_credit(client, "during").status_code == 202)
        assert until(lambda: client.get("/readyz").status_code == 200)
        assert post_credit(client, "before").json()["duplicate"] is True
    engine = make_engine(url)
    assert [row["idempotency_key"] for row in job_rows(transactions(engine))] == ["before", "during"]
    engine.dispose()


def test_a_restart_between_two_requests_is_not_noticed(own_servers: EmbeddedServices) -> None:
    url = own_servers.services.database_url
    migrate(url)
    with serving(settings(url)) as address, httpx.Client(base_url=address, timeout=20) as client:
        assert post_credit(client, "a").status_code == 202
        own_servers.restart_postgres()
        assert post_credit(client, "b").status_code == 202


def test_the_shim_starts_without_a_database_and_finds_it_later(own_servers: EmbeddedServices) -> None:
    url = own_servers.services.database_url
    own_servers.stop_postgres()
    with serving(settings(url)) as address, httpx.Client(base_url=address, timeout=20) as client:
        assert client.get("/healthz").status_code == 200
        check(client.get("/readyz"), 503, "not_ready")
        check(post_credit(client, "k"), 503, "not_accepted")
        metrics = client.get("/metrics")
        assert (metrics.status_code, "ledgerbeat_database_up 0.0" in metrics.text) == (200, True)
        own_servers.start_postgres()
        assert until(lambda: client.get("/readyz").json().get("database") == "not_migrated")
        check(post_credit(client, "k"), 503, "not_accepted")
        migrate(url)
        assert until(lambda: client.get("/readyz").status_code == 200)
        assert until(lambda: post_credit(client, "k").status_code == 202)


def test_a_frozen_database_is_503_and_does_not_keep_the_shim_from_stopping(
    own_servers: EmbeddedServices,
) -> None:
    url, before = own_servers.services.database_url, set(threading.enumerate())
    migrate(url)
    with serving(settings(url)) as address, httpx.Client(base_url=address, timeout=30) as client:
        assert post_credit(client, "before").status_code == 202
        frozen = with_descendants([own_servers.services.postgres_pid])
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            check(post_credit(client, "during"), 503, "not_accepted")
            assert client.get("/healthz").status_code == 200
        finally:
            shim = set(threading.enumerate()) - before
            client.close()
    try:
        assert not [thread.name for thread in shim if thread.is_alive() and not thread.daemon]
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)


IN_A_ROW_SECONDS = 200 * 3
"""How long 200 requests would take that wait for a connection one after another."""


def test_many_waiting_requests_are_told_at_once_when_the_database_is_unreachable() -> None:
    """A server that takes connections and never speaks: the worst kind of away."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        url = f"postgresql+psycopg://app@127.0.0.1:{silent.getsockname()[1]}/none"
        with serving(settings(url)) as address:
            started = time.monotonic()
            answers = asyncio.run(send_at_once(address, [(f"k{n}", credit()) for n in range(200)]))
            assert {answer.status_code for answer in answers} == {503}
            assert time.monotonic() - started < IN_A_ROW_SECONDS / 10


def test_a_key_that_an_open_transaction_holds_delays_only_itself(
    shim: str, transaction: Transaction, owner_transaction: Transaction, tenant: str
) -> None:
    enqueue = text("SELECT enqueue_job('acme', 'wallets.credit', 'held', jsonb_build_object('owner', 'ada'))")
    with owner_transaction() as session:
        session.execute(enqueue)
        requests = [*((f"k{n}", credit()) for n in range(10)), ("held", credit())]
        answers = asyncio.run(send_at_once(shim, requests))
    assert [answer.status_code for answer in answers] == [202] * 10 + [503]


def test_tenants_that_vanish_from_the_database_are_brought_back(
    client: httpx.Client, owner_transaction: Transaction
) -> None:
    assert post_credit(client, "a").status_code == 202
    with owner_transaction() as session:
        session.execute(text("TRUNCATE tenants"))
    assert post_credit(client, "b").status_code == 503
    assert post_credit(client, "b").status_code == 202
    assert client.post(CREDIT, json=credit(), headers=job_headers(token=GLOBEX_TOKEN)).status_code == 202


def silent(_: str) -> None:
    """A message that is sent."""


def not_returning(nudger: Nudger, gate: threading.Event) -> Nudge:
    """Really tries, and then hangs: an answer that waited for a nudge would not come."""

    def nudge(tenants: Collection[str]) -> None:
        nudger.nudge(tenants)
        gate.wait(PATIENCE_SECONDS)

    return nudge


def test_a_refused_redis_delays_no_answer(database_url: str, transaction: Transaction) -> None:
    nudger, gate = Nudger("redis://127.0.0.1:1/0", silent), threading.Event()
    configured = settings(database_url, redis_url="redis://127.0.0.1:1/0")
    with serving(configured, not_returning(nudger, gate)) as address:
        with httpx.Client(base_url=address, timeout=20) as client:
            assert {post_credit(client, f"k{n}").status_code for n in range(20)} == {202}
            ready = client.get("/readyz")
            assert (ready.status_code, ready.json()["broker"]) == (200, "unreachable")
        gate.set()
    assert len(job_rows(transaction)) == 20


def test_a_frozen_redis_delays_no_answer(own_servers: EmbeddedServices, database_url: str) -> None:
    redis_url, pid = own_servers.services.redis_url, own_servers.services.redis_pid
    nudger, gate = Nudger(redis_url, silent), threading.Event()
    configured = settings(database_url, redis_url=redis_url)
    with serving(configured, not_returning(nudger, gate)) as address:
        os.kill(pid, signal.SIGSTOP)
        try:
            with httpx.Client(base_url=address, timeout=20) as client:
                assert {post_credit(client, f"k{n}").status_code for n in range(20)} == {202}
                ready = client.get("/readyz")
                assert (ready.status_code, ready.json()["broker"]) == (200, "unreachable")
        finally:
            os.kill(pid, signal.SIGCONT)
            gate.set()


def test_a_nudge_that_hangs_for_ever_delays_no_answer(database_url: str) -> None:
    gate = threading.Event()
    with serving(settings(database_url), lambda _: gate.wait(PATIENCE_SECONDS)) as address:
        with httpx.Client(base_url=address, timeout=20) as client:
            assert {post_credit(client, f"k{n}").status_code for n in range(10)} == {202}
        gate.set()
