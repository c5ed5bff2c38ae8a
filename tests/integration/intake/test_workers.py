"""Real worker and Beat processes: killed, flushed, and reached by a plain Celery client."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
import redis
from celery import Celery
from sqlalchemy import text
from sqlalchemy.engine import make_url

from tasks.schedules.service import SCHEDULES
from tests.factories import accept_jobs, credit_args, job_request, job_rows, job_states
from tests.integration.intake.processes import CeleryProcess, beat, worker
from tests.waiting import insisting, until
from worker.database import Transaction

PRIVATE = "very-private-owner"


@pytest.fixture
def environment(database_url: str, redis_url: str) -> dict[str, str]:
    return {"LEDGERBEAT_DATABASE_URL": database_url, "LEDGERBEAT_REDIS_URL": redis_url}


@pytest.fixture
def client(redis_url: str) -> Iterator[Celery]:
    """What any upstream app has: a broker's address, and nothing of ours."""
    app = Celery("upstream", broker=redis_url, set_as_current=False)
    app.conf.broker_connection_retry_on_startup = True
    yield app
    app.close()


@contextmanager
def locked(database_url: str, table: str) -> Iterator[None]:
    """Nobody else may write the table meanwhile."""
    url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE".encode())
        yield


def is_waiting_for(transaction: Transaction, table: str) -> bool:
    found = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = CAST(:table AS regclass)")
    with transaction() as session:
        return bool(session.execute(found, {"table": table}).scalar_one())


def available(transaction: Transaction) -> dict[str, int]:
    with transaction() as session:
        rows = session.execute(text("SELECT owner, available_minor FROM wallets"))
        return {row.owner: row.available_minor for row in rows}


def sweep(client: Celery) -> None:
    client.send_task("intake.sweep", queue="intake")


def all_done(transaction: Transaction) -> Callable[[], bool]:
    return lambda: set(job_states(transaction).values()) == {"done"}


def test_a_worker_killed_between_effect_and_commit_leaves_nothing_and_another_does_it_once(
    transaction: Transaction,
    tenant: str,
    now: datetime,
    environment: dict[str, str],
    database_url: str,
    client: Celery,
    tmp_path: Path,
) -> None:
    accept_jobs(transaction, [job_request(args=credit_args("ada", 7)) for _ in range(150)], now=now)
    with locked(database_url, "job_outcomes"):
        with worker(environment, tmp_path) as first:
            insisting(
                lambda: sweep(client),
                lambda: is_waiting_for(transaction, "job_outcomes"),
                what="the batch, about to commit",
            )
            first.kill()
        assert set(job_states(transaction).values()) == {"queued"}
        assert available(transaction) == {}
    with worker(environment, tmp_path) as second:
        insisting(lambda: sweep(client), all_done(transaction))
        assert second.stop() == 0
    assert available(transaction) == {"ada": 1050}
    assert {row["attempts"] for row in job_rows(transaction)} == {1}


def test_what_is_queued_survives_a_flushed_redis_because_beat_sweeps(
    transaction: Transaction,
    tenant: str,
    now: datetime,
    environment: dict[str, str],
    redis_url: str,
    tmp_path: Path,
) -> None:
    with worker(environment, tmp_path), beat(environment, tmp_path):
        client = redis.Redis.from_url(redis_url)
        for round_ in range(3):
            accept_jobs(transaction, [job_request(key=f"k{round_}-{n}") for n in range(50)], now=now)
            client.flushdb()
            until(all_done(transaction))
        client.close()
    assert available(transaction) == {"ada": 150 * 100}


def told(*workers: CeleryProcess) -> int:
    """How many slots they say that they ran."""
    return sum(one.printed().count("schedule.ran") for one in workers)


def test_two_beats_and_two_workers_run_a_slot_once(
    transaction: Transaction, tenant: str, environment: dict[str, str], tmp_path: Path
) -> None:
    def slots() -> list[Any]:
        with transaction() as session:
            return list(session.execute(text("SELECT * FROM schedule_slots WHERE finished_at IS NOT NULL")))

    names = {schedule.name for schedule in SCHEDULES}
    with worker(environment, tmp_path) as one, worker(environment, tmp_path) as two:  # noqa: SIM117
        with beat(environment, tmp_path, "beat-1") as first, beat(environment, tmp_path, "beat-2") as second:
            until(lambda: {slot.schedule for slot in slots()} == names and len(slots()) == told(one, two))
            ticked = "Sending due task tick"
            until(lambda: ticked in first.printed() and ticked in second.printed())
    results = {slot.schedule: slot.result for slot in slots()}
    assert set(results) == names
    assert results["ledger.verify"]["broken"] == {}
    hours = {slot.slot for slot in slots()}
    assert told(one, two) == len(slots()) == len(SCHEDULES) * len(hours)


class Watcher:
    """Everything that Celery tells about tasks while the test runs, as Flower would hear it."""

    def __init__(self, client: Celery) -> None:
        self.events: list[dict[str, Any]] = []
        self._client = client
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self.events, what="a worker's heartbeat")
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.should_stop = True
        self._thread.join(60)

    def _watch(self) -> None:
        with self._client.connection_for_read() as connection:
            self._receiver = self._client.events.Receiver(connection, handlers={"*": self.events.append})
            for _ in self._receiver.itercapture(limit=None, timeout=None, wakeup=False):
                pass

    def types(self) -> set[str]:
        return {event["type"] for event in self.events if event["type"].startswith("task-")}


def received(watcher: Watcher, key: str) -> list[dict[str, Any]]:
    """What was told of tasks received with this key.

    A worker gathers these, so they may come after the task's own end; those that a slow Redis did not take in time
    come with the events of the next task.
    """
    return [event for event in list(watcher.events) if event["type"] == "task-received" and key in str(event)]


def at_work(client: Celery) -> list[Any]:
    """The tasks that the workers say they are busy with."""
    answers = client.control.inspect(timeout=2).active() or {}
    return [task for tasks in answers.values() for task in tasks]


def test_a_plain_celery_client_reaches_the_door_and_nobody_sees_the_arguments(
    transaction: Transaction,
    tenant: str,
    environment: dict[str, str],
    database_url: str,
    client: Celery,
    tmp_path: Path,
) -> None:
    call = {"tenant": tenant, "name": "wallets.credit", "idempotency_key": "k1", "args": credit_args(PRIVATE)}
    with worker(environment, tmp_path) as running, Watcher(client) as watcher:
        with locked(database_url, "jobs"):
            client.send_task("jobs.accept", args=list(call.values()))
            client.send_task("jobs.accept", kwargs=call)
            active = until(lambda: at_work(client))

        def again() -> None:
            client.send_task("jobs.accept", kwargs=call)

        insisting(again, all_done(transaction))
        insisting(again, lambda: "task-succeeded" in watcher.types())
        client.send_task("jobs.accept", kwargs={**call, "args": credit_args(PRIVATE, 5)})
        insisting(again, lambda: "task-failed" in watcher.types())
        insisting(again, lambda: len(received(watcher, "k1")) >= 4)
    assert available(transaction) == {PRIVATE: 100}
    assert "jobs.accept" in str(active)
    assert "k1" in str(active)
    assert PRIVATE not in str(active)
    [failed] = [event for event in watcher.events if event["type"] == "task-failed"]
    assert "idempotency_key_reused" in failed["exception"]
    assert all("kwargs" in event for event in received(watcher, "k1"))
    assert PRIVATE not in str(watcher.events)
    assert PRIVATE not in running.printed()


def test_the_door_records_what_is_wrong_so_that_the_caller_finds_it(
    transaction: Transaction, tenant: str, environment: dict[str, str], client: Celery, tmp_path: Path
) -> None:
    with worker(environment, tmp_path):
        for key, name, args in [
            ("wrong", "wallets.credit", {"owner": "ada"}),
            ("unknown", "no.such", {}),
            ("nul", "wallets.credit", {"owner": "a\0"}),
        ]:
            call = {"tenant": tenant, "name": name, "idempotency_key": key, "args": args}
            client.send_task("jobs.accept", kwargs=call)
        until(
            lambda: (
                sorted(job_states(transaction).items())
                == [("nul", "dead"), ("unknown", "dead"), ("wrong", "dead")]
            )
        )
    codes = {row["idempotency_key"]: row["result"]["code"] for row in job_rows(transaction)}
    assert codes == {"wrong": "invalid_arguments", "unknown": "unknown_job", "nul": "invalid_arguments"}
