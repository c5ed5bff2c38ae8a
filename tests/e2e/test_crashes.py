"""Processes that are killed under load: what was accepted is done, once."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from signal import SIGKILL, SIGTERM, Signals
from typing import Any

import pytest
import redis
from celery import Celery

from tasks.schedules.service import SCHEDULES
from tests.e2e.app import App, credit_args
from tests.e2e.clients import Answer, Request, post_patiently
from tests.e2e.running import Running
from tests.waiting import until

pytestmark = pytest.mark.e2e

WORKERS = ("worker", "worker-2")
BEATS = ("beat", "beat-2")
AMOUNT = 7
BACK_SECONDS = 180.0
MESSAGES = 12
REDELIVERED_SECONDS = 300.0
"""Celery's visibility timeout is 60 s, and a worker that another test kills meanwhile has it run again."""


@contextmanager
def under_load(app: App, requests: Sequence[Request]) -> Iterator["Future[list[list[Answer]]]"]:
    """Clients that send all this, patiently, beside the block; they are done when it ends."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(post_patiently, app.url, requests)


def credits_of(app: App, many: int, name: str = "credit") -> list[Request]:
    return [app.credit(f"{name}-{n}", f"owner-{n % 20}", AMOUNT) for n in range(many)]


def check_credited_once(app: App, many: int) -> None:
    """`many` credits, exactly, and sound books."""
    app.settle(jobs=many)
    assert app.states() == {"done": many}
    assert sum(app.wallets().values()) == AMOUNT * many
    assert app.postings() == many
    app.check_books()


@contextmanager
def locked(running: Running, table: str) -> Iterator[None]:
    """Nobody else may write the table meanwhile."""
    with running.connect() as connection:
        connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE".encode())
        yield


def waiting_for(app: App, table: str) -> int:
    """How many wait for the table's lock."""
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = CAST(:table AS regclass)"
    return app.count(query, table=table)


def kill(running: Running, *names: str, signal: Signals = SIGKILL) -> None:
    """Each of them, as soon as it runs."""
    for name in names:
        until(partial(running.stack.pid, name), within_seconds=BACK_SECONDS, what=name)
        running.stack.kill(name, signal)


def wait_until_more_is(state: str, app: App, than: int) -> None:
    """`total` is any state."""

    def more() -> bool:
        states = app.states()
        return (states.total() if state == "total" else states[state]) > than

    until(more, within_seconds=BACK_SECONDS, what=f"another {state} job")


def messages() -> list[tuple[str, str, dict[str, Any]]]:
    return [("wallets.credit", f"message-{n}", credit_args("ada", AMOUNT)) for n in range(MESSAGES)]


@pytest.fixture(scope="module", autouse=True)
def celery_app_of_a_killed_worker(battered: Running) -> App:
    """The sender of messages whose workers were killed over them; it takes a minute until others get them."""
    app = battered.app()
    with locked(battered, "jobs"):
        app.send_by_celery(*messages())
        until(
            lambda: noted(battered) == MESSAGES, within_seconds=BACK_SECONDS, what="every message in unacked"
        )
        until(lambda: waiting_for(app, "jobs") >= 2, within_seconds=BACK_SECONDS, what="jobs.accept")
        kill(battered, *WORKERS)
    return app


def noted(running: Running) -> int:
    """Messages to the door that a worker has noted as its own. Killed between pop and note it would lose one."""
    with redis.Redis.from_url(running.stack.settings.require_broker_url()) as broker:
        return sum(b"jobs.accept" in message for message in broker.hvals("unacked"))


def unread(running: Running) -> int:
    """Messages to the door that no worker has taken."""
    with redis.Redis.from_url(running.stack.settings.require_broker_url()) as broker:
        return int(broker.llen("celery"))


def test_workers_killed_between_the_effect_and_done_do_everything_once(
    battered: Running, battered_app: App
) -> None:
    app, rounds, many = battered_app, 2, 400
    for number in range(rounds):
        with locked(battered, "job_outcomes"), under_load(app, credits_of(app, many, f"round-{number}")):
            until(lambda: waiting_for(app, "job_outcomes"), within_seconds=BACK_SECONDS, what="an effect")
            kill(battered, *WORKERS)
    check_credited_once(app, rounds * many)


def test_workers_killed_between_done_and_the_next_message_do_everything_once(
    battered: Running, battered_app: App
) -> None:
    app, rounds, many = battered_app, 2, 400
    for number in range(rounds):
        done = app.states()["done"]
        with under_load(app, credits_of(app, many, f"round-{number}")):
            wait_until_more_is("done", app, done)
            kill(battered, *WORKERS)
    check_credited_once(app, rounds * many)


def test_a_shim_killed_under_load_keeps_every_promise_it_gave(battered: Running, battered_app: App) -> None:
    app, many = battered_app, 1200
    with under_load(app, credits_of(app, many)) as sent:
        for part in range(1, 4):
            wait_until_more_is("total", app, part * many // 5)
            kill(battered, "shim")
    promised = [answers[-1].json["job_id"] for answers in sent.result()]
    rows = app.rows("SELECT id, idempotency_key FROM jobs WHERE tenant = :tenant")
    assert {row["idempotency_key"]: str(row["id"]) for row in rows} == {
        f"credit-{n}": job_id for n, job_id in enumerate(promised)
    }
    assert any(len(answers) > 1 for answers in sent.result()), "it was killed when nobody was waiting"
    check_credited_once(app, many)


def test_a_worker_asked_to_stop_under_load_ends_well_and_loses_nothing(
    battered: Running, battered_app: App
) -> None:
    app, many = battered_app, 600
    with under_load(app, credits_of(app, many)):
        wait_until_more_is("done", app, 0)
        before = len(battered.said)
        kill(battered, *WORKERS, signal=SIGTERM)

        def ends() -> list[str]:
            said = [line for line in battered.said[before:] if line.startswith("worker") and "ended" in line]
            return said if len(said) == 2 else []

        ended = until(ends, within_seconds=BACK_SECONDS, what="the end of both")
    assert all("ended with code 0" in line for line in ended), ended
    check_credited_once(app, many)


def enqueue(running: Running, app: App, many: int, name: str) -> None:
    """Credits by the SQL door, which nudges nobody: only the sweeps that a Beat sends find them."""
    with running.connect() as connection:
        for n in range(many):
            args = json.dumps(credit_args("ada", AMOUNT))
            values = (app.tenant, f"{name}-{n}", args)
            connection.execute("SELECT enqueue_job(%s, 'wallets.credit', %s, %s::jsonb)", values)


def test_two_beats_and_two_workers_double_nothing(battered: Running, battered_app: App) -> None:
    app, many = battered_app, 200
    enqueue(battered, app, many, "both")
    check_credited_once(app, many)
    for number, name in enumerate(BEATS):
        battered.stack.stop_one(name)
        enqueue(battered, app, many, f"without-{name}")
        check_credited_once(app, (2 + number) * many)
        battered.stack.start_one(name)


def tick_as_many_beats_would(running: Running, ticks: int = 20) -> None:
    """Many at once, beside those of the two Beats; all have been taken when this returns."""
    url = running.stack.settings.require_broker_url()
    with Celery(broker=url, set_as_current=False) as client, redis.Redis.from_url(url) as broker:
        for _ in range(ticks):
            client.send_task("schedules.tick", queue="intake", ignore_result=True)
        until(lambda: broker.llen("intake") == 0, within_seconds=BACK_SECONDS, what="the ticks' end")


def test_many_beats_run_each_hour_of_a_schedule_once(battered: Running, battered_app: App) -> None:
    tick_as_many_beats_would(battered)
    finished = "SELECT schedule, slot FROM schedule_slots WHERE finished_at IS NOT NULL"
    names = {schedule.name for schedule in SCHEDULES}
    until(
        lambda: {row["schedule"] for row in battered_app.rows(finished)} == names,
        within_seconds=BACK_SECONDS,
        what="a slot of each",
    )
    tick_as_many_beats_would(battered)
    enqueue(battered, battered_app, 1, "after-the-ticks")
    battered_app.settle(jobs=1)
    slots = battered_app.rows("SELECT schedule, date_trunc('hour', slot) AS hour, slot FROM schedule_slots")
    assert {row["schedule"] for row in slots} == names
    assert [row["slot"] for row in slots] == [row["hour"] for row in slots]
    assert len({(row["schedule"], row["hour"]) for row in slots}) == len(slots)
    lines = "\n".join(battered.log(name) for name in WORKERS).splitlines()
    assert sum("schedule.ran" in line for line in lines) <= len(slots)


def test_messages_that_a_killed_worker_held_come_back_and_take_effect_once(
    battered: Running, celery_app_of_a_killed_worker: App
) -> None:
    """And sent again, as an app does that sees no job of its own, they are the same jobs."""
    app = celery_app_of_a_killed_worker
    count = "SELECT count(*) FROM jobs WHERE tenant = :tenant"
    until(lambda: app.count(count) == MESSAGES, within_seconds=REDELIVERED_SECONDS, what="every message")
    app.send_by_celery(*messages())
    until(lambda: unread(battered) + noted(battered) == 0, within_seconds=BACK_SECONDS, what="an end of them")
    check_credited_once(app, MESSAGES)
