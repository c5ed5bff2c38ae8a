"""A process is killed at every point of what it does, one after the other, and the stack goes on: the same books.

The points are not listed here: they are those that a run without a death reaches.
"""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import redis
from sqlalchemy.engine import make_url

from models.tenants import sync_tenants
from tasks.intake.routing import ROUTING
from tasks.intake.service import drain, sweep
from tests.conftest import Server, _new_database, _redis_database
from tests.factories import accept_jobs, credit_args, job_request
from tests.integration.crashes import books
from tests.integration.crashes.points import Point, bury_the_dead
from tests.integration.crashes.scenarios import SCENARIOS, live
from tests.integration.http.serving import ACME_TOKEN, SANDBOX_SECRET
from tests.unit.families.events import event
from worker.database import Transaction, make_engine, transactions

AT_ONCE = 2
AGES = timedelta(hours=3)
CONFIG = """
[tenants.acme]
timezone = "Europe/Istanbul"
api_tokens = ["env:ACME_TOKEN"]
[tenants.acme.providers.sandbox]
adapter = "sandbox"
webhook_secrets = ["env:ACME_SANDBOX_SECRET"]
"""
MIXED: list[tuple[str, dict[str, Any]]] = [
    ("wallets.credit", credit_args("ada", 500)),
    ("wallets.credit", credit_args("bob", 50)),
    ("wallets.debit", credit_args("ada", 30)),
    ("wallets.debit", credit_args("bob", 51)),
    ("wallets.configure", {"owner": "bob", "allow_overdraft": True}),
    ("wallets.credit", {"owner": "ada"}),
    ("wallets.burn", {}),
    ("deposits.expect", {"provider": "sandbox", "reference": "ref-1", "owner": "ada", "amount_minor": 100,
                         "currency": "EUR"}),
]  # fmt: skip
EVENTS = [
    event("captured", 100, "cap-1"),
    event("refunded", 30, "re-1"),
    event("captured", 5, "x", reference="ref-2"),
]


def hand_in(transaction: Transaction, jobs: list[tuple[str, dict[str, Any]]]) -> None:
    asked = [job_request(name, args, key=f"job-{number}") for number, (name, args) in enumerate(jobs)]
    accept_jobs(transaction, asked, now=now())


def tell(transaction: Transaction) -> None:
    """An event is told twice, for each of them."""
    told = [
        job_request(
            "webhooks.event",
            {**one.as_args(), "provider": "sandbox"},
            key=f"{one.event_key}:{turn}",
            origin="provider",
        )
        for turn in range(2)
        for one in EVENTS
    ]
    accept_jobs(transaction, told, now=now())


def nothing(transaction: Transaction) -> None:
    """The tenant alone."""


def a_mixed_lane(transaction: Transaction) -> None:
    """Some of every job, and of every outcome; events before and after their deposit is announced."""
    tell(transaction)
    hand_in(transaction, MIXED)


def a_lane_that_waits(transaction: Transaction) -> None:
    """Parked events, whose time has come; and one job that is queued."""
    tell(transaction)
    go_on(transaction, at=now() - AGES)
    hand_in(transaction, MIXED[:1])


PREPARED: dict[str, Callable[[Transaction], None]] = {"a drain": a_mixed_lane, "a sweep": a_lane_that_waits}
BEATS = {"a tick"}
"""What Beat asks for again, whoever died."""


def now() -> datetime:
    return datetime.now(UTC)


def go_on(transaction: Transaction, at: datetime | None = None) -> None:
    """What the rest of the stack does within seconds: sweeps, and drains of the lanes that they find."""
    for _ in range(10):
        for lane in (lanes := sweep(transaction, now=at or now())):
            drain(transaction, lane, routing=ROUTING, clock=lambda: at or now())
        if not lanes:
            return
    raise AssertionError("the lanes do not become empty")


@dataclass(frozen=True)
class Stage:
    """Where one scenario is played over and over: a start to clone, Redis databases of its own, and the settings."""

    server: Server
    start: str
    redis_urls: "SimpleQueue[str]"
    environment: dict[str, str]

    def play(self, scenario: str, chosen: Point | None = None) -> tuple[list[Point], books.Books]:
        """From the start: live, or die at the chosen point; then the others go on. The points, and the books."""
        redis_url = self.redis_urls.get()
        try:
            with redis.Redis.from_url(redis_url) as client:
                client.flushdb()
            with _new_database(self.server.database_url, self.start) as url, sound(url) as transaction:
                names = {"LEDGERBEAT_DATABASE_URL": url, "LEDGERBEAT_REDIS_URL": redis_url}
                environment = self.environment | names
                life = live(scenario, environment, chosen)
                assert life.exitcode == (-signal.SIGKILL if chosen else 0)
                bury_the_dead(transaction)
                if scenario in BEATS or not life.acknowledged:
                    assert live(scenario, environment).exitcode == 0
                go_on(transaction)
                assert books.broken(transaction) == []
                return life.points, books.read(transaction)
        finally:
            self.redis_urls.put(redis_url)


@contextmanager
def sound(url: str) -> Iterator[Transaction]:
    """Of a process that does not die."""
    engine = make_engine(url, role="ledgerbeat_worker")
    try:
        yield transactions(engine)
    finally:
        engine.dispose()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "ledgerbeat.toml"
    file.write_text(CONFIG)
    return file


@pytest.fixture
def redis_urls(services: Server) -> "SimpleQueue[str]":
    """One for each process that lives at a time, and none that other tests use."""
    urls: SimpleQueue[str] = SimpleQueue()
    for number in range(AT_ONCE):
        urls.put(_redis_database(services.redis_url, 4 * (number + 1)))
    return urls


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_death_at_any_point_changes_nothing(
    scenario: str, services: Server, template_database: str, redis_urls: "SimpleQueue[str]", config: Path
) -> None:
    with _new_database(services.database_url, template_database) as url:
        with sound(url) as transaction:
            with transaction() as session:
                sync_tenants(session, {"acme": "Europe/Istanbul"})
            PREPARED.get(scenario, nothing)(transaction)
        environment = {
            "LEDGERBEAT_CONFIG": str(config),
            "ACME_TOKEN": ACME_TOKEN,
            "ACME_SANDBOX_SECRET": SANDBOX_SECRET,
        }
        stage = Stage(services, str(make_url(url).database), redis_urls, environment)
        points, expected = stage.play(scenario)
        check_that_it_was_watched(scenario, points)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            ends = list(pool.map(lambda point: stage.play(scenario, point)[1], points))
    assert [
        (point, changes(expected, end)) for point, end in zip(points, ends, strict=True) if end != expected
    ] == []


def changes(expected: books.Books, found: books.Books) -> dict[str, list[tuple[Any, ...]]]:
    """Page by page, what stands in one of the two alone."""
    return {page: sorted(set(expected[page]) ^ set(found[page]), key=repr) for page in expected}


def check_that_it_was_watched(scenario: str, points: list[Point]) -> None:
    labels = {point.label for point in points}
    assert {"before COMMIT", "after COMMIT"} <= labels
    assert len(points) > 8
