"""Servers that are emptied, stopped and restarted under load: every promise holds, and all recovers by itself."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median

import pytest
import redis
from sqlalchemy.exc import OperationalError

from models.jobs.claim import lock_lane
from ops.embedded import EmbeddedServices
from tests.e2e.app import App
from tests.e2e.clients import Client, accepted, post_all, post_patiently
from tests.e2e.running import Running
from tests.waiting import until

pytestmark = pytest.mark.e2e

QUICK_SECONDS = 0.5
"""Less than the least that a message costs with Celery's own retries, with Redis away (0.6 s)."""


def answers(app: App) -> bool:
    """A connection that was used a moment before the servers stopped is believed, and breaks at its next use."""
    try:
        return app.count("SELECT 1") == 1
    except OperationalError:
        return False


@pytest.fixture
def servers(battered: Running) -> EmbeddedServices:
    assert battered.stack.servers is not None
    return battered.stack.servers


@contextmanager
def held_lane(running: Running, app: App) -> Iterator[None]:
    """The tenant's jobs wait meanwhile."""
    with running.transaction() as session:
        assert lock_lane(session, app.tenant)
        yield


def test_flushing_redis_while_jobs_wait_costs_none_of_them(
    battered: Running, battered_app: App, servers: EmbeddedServices
) -> None:
    app, rounds, many = battered_app, 5, 100
    with held_lane(battered, app), redis.Redis.from_url(servers.services.redis_url) as client:
        for number in range(rounds):
            accepted(post_all(app.url, [app.credit(f"credit-{number}-{n}") for n in range(many)]))
            client.flushall()
        assert app.states() == {"queued": rounds * many}
    app.settle(jobs=rounds * many)
    assert app.wallets() == {"ada": 100 * rounds * many}
    assert app.postings() == rounds * many
    app.check_books()


def test_webhooks_that_arrive_while_redis_is_stopped_are_accepted_at_once_and_none_is_lost(
    battered: Running, battered_app: App, servers: EmbeddedServices
) -> None:
    app, numbers = battered_app, range(200)
    accepted(post_all(app.url, [app.expect(f"order-{n}", f"owner-{n}") for n in numbers]))
    app.settle(jobs=len(numbers))
    servers.stop_redis()
    try:
        captures = [app.capture(f"order-{n}") for n in numbers]
        answers = [answer for _ in range(2) for answer in post_all(app.url, captures, clients=2)]
        duplicates = [body["duplicate"] for body in accepted(answers)]
        assert app.unfinished() == len(numbers)
    finally:
        servers.start_redis()
    assert duplicates == [False] * len(numbers) + [True] * len(numbers)
    assert median(answer.seconds for answer in answers) < QUICK_SECONDS
    app.settle(jobs=2 * len(numbers))
    assert app.wallets() == {f"owner-{n}": 2000 for n in numbers}
    assert app.postings() == len(numbers)
    app.check_books()


def test_postgresql_restarted_under_load_loses_nothing_that_was_accepted_and_doubles_nothing(
    battered: Running, battered_app: App, servers: EmbeddedServices
) -> None:
    app, many = battered_app, 800
    requests = [app.credit(f"credit-{n}", f"owner-{n % 20}") for n in range(many)]
    probe, webhook = app.credit("probe"), app.capture("order-nobody-knows")
    client = Client(app.url)
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(post_patiently, app.url, requests)
        arrived = "SELECT count(*) FROM jobs WHERE tenant = :tenant"
        until(lambda: app.count(arrived) > many // 8, what="load")
        servers.stop_postgres(immediate=True)
        try:
            refused = [client.post(request) for request in (probe, webhook, probe)]
        finally:
            servers.start_postgres()
        sent = load.result()
    client.close()

    not_accepted = [*refused, *(answer for answers in sent for answer in answers[:-1])]
    assert {(answer.status, answer.code) for answer in not_accepted} == {(503, "not_accepted")}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in not_accepted)
    until(lambda: answers(app), what="the database, on a connection that is younger than its restart")
    rows = app.rows("SELECT id, idempotency_key FROM jobs WHERE tenant = :tenant")
    assert {row["idempotency_key"]: str(row["id"]) for row in rows} == {
        f"credit-{n}": answers[-1].json["job_id"] for n, answers in enumerate(sent)
    }
    app.settle(jobs=many)
    assert app.states() == {"done": many}
    assert sum(app.wallets().values()) == 100 * many
    assert app.postings() == many
    app.check_books()
