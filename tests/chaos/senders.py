"""The upstream apps and the providers: they do not give up, and they write down what they were promised."""

import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

import psycopg
from celery import Celery

from tests.chaos.letters import letter
from tests.chaos.pace import Pace
from tests.chaos.wanted import Told, Wanted
from tests.e2e.clients import PATIENCE_SECONDS, PAUSE_SECONDS, Client
from tests.e2e.running import Running
from tests.waiting import until

ENQUEUE = "SELECT enqueue_job(%s, %s, %s, %s::jsonb)::text"
MESSAGES_AT_ONCE = 10
LOST_AFTER_SECONDS = 3.0


@dataclass
class Promises:
    """What was accepted: the job's id for each key, and how often an event was said to be new."""

    jobs: dict[tuple[str, str], str] = field(default_factory=dict)
    news: Counter[tuple[str, str]] = field(default_factory=Counter)
    sent: list[Wanted] = field(default_factory=list)
    repeated: int = 0
    broken: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, wanted: Wanted, job_id: str) -> None:
        """A job that was accepted. Its id must be the one that was told for this key before."""
        with self._lock:
            before = self.jobs.setdefault((wanted.tenant, wanted.key), job_id)
            if before != job_id:
                self.broken.append(f"{wanted.tenant} {wanted.key} was promised as {before}, then as {job_id}")
            self.sent.append(wanted)

    def hear(self, told: Told, *, new: bool) -> None:
        """An event that was accepted, as news or as a duplicate."""
        with self._lock:
            self.news[told.tenant, told.event_key] += new

    def repeat(self, times: int) -> None:
        """Requests that had to be sent once more."""
        with self._lock:
            self.repeated += times


@dataclass(frozen=True)
class Senders:
    """What they all share. Each method is one sender's life, in a thread of its own."""

    running: Running
    pace: Pace
    promises: Promises

    def app(self, jobs: Sequence[Wanted]) -> None:
        """One after another: the next is sent when the one before was accepted."""
        http, sql = Client(self.running.stack.http_url), _SqlDoor(self.running)
        for number, wanted in enumerate(jobs):
            self.pace.wait_for(number / len(jobs))
            for _ in range(1 + wanted.again):
                self.promises.keep(
                    wanted, sql.send(wanted) if wanted.door == "sql" else self._post(http, wanted)
                )
        self.promises.repeat(sql.repeated)
        http.close()
        sql.close()

    def courier(self, events: Sequence[Told]) -> None:
        client = Client(self.running.stack.http_url)
        for number, told in enumerate(events):
            self.pace.wait_for(number / len(events))
            answers = client.post_until_accepted(letter(self.running.app(told.tenant), told))
            self.promises.repeat(len(answers) - 1)
            self.promises.hear(told, new=not answers[-1].json["duplicate"])
        client.close()

    def messenger(self, jobs: Sequence[Wanted]) -> None:
        """Each message twice. Nobody answers, so it looks in the table, and sends again what did not arrive."""
        started = time.monotonic()
        batches = [jobs[first : first + MESSAGES_AT_ONCE] for first in range(0, len(jobs), MESSAGES_AT_ONCE)]
        for number, batch in enumerate(batches):
            self.pace.wait_for(number / len(batches))
            publish(self.running, [*batch, *batch])
        deadline = max(started, time.monotonic()) + PATIENCE_SECONDS
        while missing := self._not_arrived(jobs):
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(missing)} messages were not accepted, such as {missing[0]}")
            self.promises.repeat(len(missing))
            publish(self.running, missing)
            time.sleep(LOST_AFTER_SECONDS)

    def _post(self, client: Client, wanted: Wanted) -> str:
        app = self.running.app(wanted.tenant)
        answers = client.post_until_accepted(app.job(wanted.name, wanted.args, wanted.key))
        self.promises.repeat(len(answers) - 1)
        return str(answers[-1].json["job_id"])

    def _not_arrived(self, jobs: Sequence[Wanted]) -> list[Wanted]:
        if not jobs:
            return []
        time.sleep(LOST_AFTER_SECONDS)
        found = until(self._arrived, what="the table of jobs")
        return [wanted for wanted in jobs if (wanted.tenant, wanted.key) not in found[0]]

    def _arrived(self) -> tuple[set[tuple[object, ...]], ...]:
        """What is in the table, as the only item; none while the database is away."""
        try:
            with self.running.connect() as connection:
                rows = connection.execute("SELECT tenant, idempotency_key FROM jobs WHERE origin = 'app'")
                return (set(rows.fetchall()),)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            return ()


class _SqlDoor:
    """An app that shares the database: its connection may break at any moment, also while it commits."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None
        self.repeated = 0

    def send(self, wanted: Wanted) -> str:
        """The job's id, committed."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self._try(wanted)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                if time.monotonic() > deadline:
                    raise
                self.close()
                self.repeated += 1
                time.sleep(PAUSE_SECONDS)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _try(self, wanted: Wanted) -> str:
        self._connection = self._connection or self._running.connect()
        values = (wanted.tenant, wanted.name, wanted.key, json.dumps(wanted.args))
        row = self._connection.execute(ENQUEUE, values).fetchone()
        self._connection.commit()
        assert row is not None
        return str(row[0])


def publish(running: Running, jobs: Sequence[Wanted]) -> None:
    """By the Celery door, as far as the broker takes them now."""
    with Celery(broker=running.stack.settings.require_broker_url(), set_as_current=False) as client:
        for wanted in jobs:
            call = {"tenant": wanted.tenant, "name": wanted.name, "idempotency_key": wanted.key,
                    "args": wanted.args}  # fmt: skip
            try:
                client.send_task("jobs.accept", kwargs=call, ignore_result=True)
            except Exception:  # noqa: BLE001 - redis, kombu and sockets each have their own; it is sent again
                return


def newest(promises: Promises, many: int) -> list[Wanted]:
    """Jobs that were accepted a moment ago."""
    return list(islice(reversed(list(promises.sent)), many))
